"""The models of the configuration's core. `compose` adds the sections and guest keys that plugins declare."""

from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from lastcall.api.guests import Reason
from lastcall.api.matching import is_like
from lastcall.api.reasons import REASON_WORDS, known_reason
from lastcall.config.guest_settings import RULES, GuestPolicy, GuestRule, Section
from lastcall.config.paths import HOOKS, RUN, STATE
from lastcall.config.sections.connection import ConnectionSettings
from lastcall.config.sections.fleet_lock import FleetLockSettings
from lastcall.config.sections.spelling import AbsolutePath, Spelling
from lastcall.config.sections.units import UnitSettings
from lastcall.errors import OnFailure
from lastcall.formats.quantities import parse_size
from lastcall.options import Duration

DEFAULT_URI = "qemu:///system"


def _limit(value: object) -> object:
    return None if value == "none" else value


def _at_least_one(value: object) -> object:
    # Without any a host stop would stop nobody, and be as planned.
    if isinstance(value, list | tuple) and value:
        return cast("object", value)
    raise ValueError(
        f"should be a list of at least one URI, such as [{DEFAULT_URI!r}], which is what it is if left out"
    )


def _one_or_several(value: object) -> object:
    if value in ([], ()):
        raise ValueError("should be at least one reason; to never run a plugin, block it")
    return [value] if isinstance(value, str) else value


Limit = Annotated[
    Duration | None,
    BeforeValidator(_limit),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}], "description": "a duration, or none"}),
]
Variable = Annotated[
    str, Spelling(r"[A-Za-z_][A-Za-z0-9_]*", "the name of a variable: letters of ASCII, digits and _, no digit first")
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}], "description": "a size such as 64MiB"}),
]

ReasonWord = Annotated[str, AfterValidator(known_reason), WithJsonSchema({"enum": list(REASON_WORDS)})]
ReasonWords = Annotated[
    tuple[ReasonWord, ...],
    BeforeValidator(_one_or_several),
    Field(strict=False),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(REASON_WORDS)},
                {"type": "array", "items": {"enum": list(REASON_WORDS)}, "minItems": 1},
            ]
        }
    ),
]
WatchReasons = Annotated[
    tuple[ReasonWord, ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(strict=False),
    WithJsonSchema({"anyOf": [{"enum": list(REASON_WORDS)}, {"type": "array", "items": {"enum": list(REASON_WORDS)}}]}),
]


class ReasonSettings(Section):
    """What differs for one reason; what is not given is taken from `shutdown`."""

    deadline: Duration | None = Field(default=None, gt=0, description="For the whole run.")
    reserve: Duration | None = Field(default=None, description="Kept of the deadline for the last resort.")
    grace: Duration | None = Field(default=None, description="Before the reserve, everybody not yet asked is asked.")
    parallel: int | None = Field(default=None, ge=0, description="Guests moving at once, 0 = no limit.")


class WatchSettings(Section):
    """How guests are waited for that are watched."""

    wait: Duration = Field(
        default=60.0, description="How long a neighbour is waited for that stays up: none of its guests goes off."
    )
    reasons: WatchReasons = Field(
        default=("power",), description="Why a host stops that waits for its neighbours; in other runs nobody is."
    )


class ShutdownSettings(Section):
    """The shutdown run."""

    deadline: Limit = Field(
        default=600.0, gt=0, description="For the whole run; `none` = no limit, in voluntary runs only."
    )
    reserve: Duration = Field(
        default=30.0, description="Kept of the deadline for the last resort (at most a third of it)."
    )
    grace: Duration = Field(
        default=30.0,
        description="Before the reserve, everybody not yet asked is asked (at most a quarter of the deadline).",
    )
    parallel: int = Field(default=0, ge=0, description="Guests moving at once, 0 = no limit.")
    fail_unit: bool = Field(
        default=False,
        description="The unit fails, for its OnFailure=, where a host stop has forced a guest off or left it running.",
    )
    watch: WatchSettings = Field(
        default=WatchSettings.model_construct(), description="How guests are waited for that are watched."
    )
    by_reason: dict[Annotated[Reason, Field(strict=False)], ReasonSettings] = Field(
        default={}, strict=False, description="What differs for single reasons, such as `power: {deadline: 90s}`."
    )

    def for_reason(self, reason: Reason) -> Self:
        """The same with what differs for this reason."""
        differing = self.by_reason.get(reason)
        given = {} if differing is None else {key: getattr(differing, key) for key in differing.model_fields_set}
        return self.model_copy(update=given)


class RestoreSettings(Section):
    """The restore run."""

    policy: Literal["was-running", "none"] = Field(
        default="was-running", description="What to start: the guests that were running, or nothing."
    )
    deadline: Limit = Field(default=900.0, gt=0, description="For the whole run; `none` = no limit.")
    parallel: int = Field(
        default=4, ge=0, description="Guests starting at once, 0 = no limit; a slot is held until the guest is ready."
    )
    delay: Duration = Field(default=0.0, description="Between one start and the next.")
    attempts: int = Field(default=3, ge=1, description="How often a start is tried before the guest is parked.")
    retry: Duration = Field(default=10.0, description="Between two attempts.")
    bad_image: Literal["park", "fresh"] = Field(
        default="park",
        description="What becomes of a guest whose saved image does not load: it is parked, or started without it.",
    )
    sync_time: Literal["resumed", "always", "never"] = Field(
        default="resumed", description="Whose clock is set, through the guest agent: that of guests that were saved."
    )
    bypass_cache: bool = Field(
        default=False, description="Read saved memory around the host's page cache, to keep what is in it."
    )
    ready_timeout: Duration = Field(
        default=120.0, gt=0, description="How long a started guest may take until no plugin says that it is not ready."
    )

    @property
    def brings_back(self) -> bool:
        """Whether guests come back that nobody names."""
        return self.policy != "none"


class MigrateSettings(Section):
    """Guests that are moved to other hosts."""

    parallel: int = Field(default=2, ge=0, description="Guests that move to one other host at once, 0 = no limit.")


class PluginHookSettings(Section):
    """How one plugin's hook calls are treated; what is not given is taken from `hooks`."""

    timeout: Duration | None = Field(default=None, gt=0, description="The time box of one call.")
    on_failure: OnFailure | None = Field(
        default=None, description="What a failed call means for the guest, or for a voluntary run."
    )


class HookSettings(Section):
    """Hooks: time boxes, failure policy, blocking, order."""

    timeout: Duration = Field(default=60.0, gt=0, description="The time box of one call.")
    on_failure: OnFailure = Field(
        default="continue",
        description="What a failed call means: nothing, do not ask this guest to stop now, or abort a voluntary run.",
    )
    pre_budget: Duration = Field(
        default=120.0, gt=0, description="All of `pre_shutdown` together; at most a quarter of the deadline."
    )
    block: tuple[str, ...] = Field(default=(), strict=False, description="Names of plugins that are not loaded.")
    first: tuple[str, ...] = Field(
        default=(), strict=False, description="Names of plugins that come before all others, in this order."
    )
    last: tuple[str, ...] = Field(
        default=(), strict=False, description="Names of plugins that come after all others, in this order."
    )
    environment: dict[Variable, str] = Field(
        default={},
        description="Variables for the programs that are started, beside PATH, LANG, HOME and LASTCALL_…; "
        "`{CREDENTIALS_DIRECTORY: /run/credentials/lastcall.service}` lets them read the unit's credentials.",
    )
    plugins: dict[str, PluginHookSettings] = Field(
        default={}, description="Time box and failure policy of single plugins."
    )
    reasons: dict[str, ReasonWords] = Field(
        default={},
        description="The reasons of the runs that plugins' hooks are for, by their names or globs such as "
        "`pre_shutdown/*`; later ones win. `host` is every host stop, and the boot after it.",
    )

    def reasons_for(self, plugin: str) -> tuple[str, ...]:
        """The words for a plugin by its name; none where nothing is said."""
        said = [words for pattern, words in self.reasons.items() if is_like(plugin, pattern)]
        return said[-1] if said else ()


class RunLogSettings(Section):
    """How many run logs are kept."""

    keep: int = Field(default=100, ge=1, description="Run logs that are kept; the oldest go first.")
    size: Size = Field(
        default=64 << 20, ge=1 << 20, description="Bytes of all of them; one alone has at most 16MiB of plugins' lines."
    )


class PathSettings(Section):
    """Where lastcall keeps its things."""

    state: AbsolutePath = Field(
        default=STATE,
        description="What must survive a reboot: the guests to restore, run logs, the plugins' folders.",
    )
    run: AbsolutePath = Field(default=RUN, description="What must not: the lock.")
    hooks: AbsolutePath = Field(default=HOOKS, description="Drop-ins.")


def _one_of_ours(connections: tuple[ConnectionSettings, ...]) -> tuple[ConnectionSettings, ...]:
    if all(one.watch for one in connections):
        raise ValueError(f"all of these are watched: add the one whose guests are stopped, such as {DEFAULT_URI!r}")
    return connections


class Settings(Section):
    """The whole configuration."""

    connections: Annotated[
        tuple[ConnectionSettings, ...], BeforeValidator(_at_least_one), AfterValidator(_one_of_ours)
    ] = Field(
        default=(ConnectionSettings.model_construct(uri=DEFAULT_URI),),
        strict=False,
        json_schema_extra={"minItems": 1},
        description="The libvirt connections whose guests are ours.",
    )
    shutdown: ShutdownSettings = Field(default=ShutdownSettings.model_construct(), description="The shutdown run.")
    restore: RestoreSettings = Field(default=RestoreSettings.model_construct(), description="The restore run.")
    migrate: MigrateSettings = Field(
        default=MigrateSettings.model_construct(), description="Guests that are moved to other hosts."
    )
    hooks: HookSettings = Field(
        default=HookSettings.model_construct(), description="Hooks: time boxes, failure policy, blocking, order."
    )
    runs: RunLogSettings = Field(default=RunLogSettings.model_construct(), description="The logs of runs.")
    paths: PathSettings = Field(default=PathSettings.model_construct(), description="Where things are kept.")
    units: UnitSettings = Field(default=UnitSettings.model_construct(), description="Our units among the host's.")
    fleet_lock: FleetLockSettings | None = Field(
        default=None, description="Who says whether this host may reboot, so that several do not at once."
    )
    plugins: Any = Field(default=None, description="The plugins' own sections.")
    defaults: GuestPolicy = Field(default=GuestPolicy.model_construct(), description="What every guest gets.")
    guests: tuple[GuestRule, ...] = Field(default=(), strict=False, description=RULES)

    def for_reason(self, reason: Reason) -> Self:
        """These settings with what differs for this reason."""
        return self.model_copy(update={"shutdown": self.shutdown.for_reason(reason)})


class Bootstrap(BaseModel):
    """What is needed to find the plugins, before anything else of the configuration can be judged."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    hooks: HookSettings = HookSettings.model_construct()
    paths: PathSettings = PathSettings.model_construct()
