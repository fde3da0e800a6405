"""The models of what a guest gets: ladders, rules and everything that they may set."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError

from lastcall.api.guests import Guest, GuestState
from lastcall.api.matching import matches
from lastcall.formats.quantities import parse_duration, parse_percent
from lastcall.options import BY_METADATA, Duration, NamedChoice

LADDER = "The ladder of stop methods; empty = libvirt's own shutdown request."
RULES = "Rules: every one that matches applies, later ones win, whole keys."
LAST_RESORT = (
    "After the ladder, or when the time is up: a method, a ladder of its own, or leave; a voluntary run leaves "
    "the guest running unless forced."
)
JOBS = (
    "When somebody's backup, dump or snapshot of the guest has been waited for as long as there is time: ask the guest "
    "all the same, or abort it first."
)
DEPENDS_ON = (
    "The guests that it needs (names, globs or mappings as in `match`): it stops before them and starts after them."
)

SHELL = (
    "How commands are run in the guest: `agent`, `ssh`, or both; a later one is used where the one before cannot be "
    "reached."
)


LEAVE = "leave"
LEAVE_IS_LAST = (
    f"`last_resort: {LEAVE}`, beside `stop`, is what leaves a guest running that nothing in its ladder stops"
)
NEVER = "never"
_SHED_FORMS = f"{NEVER}, a time on battery such as 5min, or a mapping of after, below and runtime_below"
SHED = (
    "When it is stopped already while a battery carries the host: `never`, after a time on battery, or the first that "
    "holds of `after`, `below` (charge) and `runtime_below`; by metadata only the time."
)


class Section(BaseModel):
    """What all sections share: unknown keys are errors, values are not coerced, nothing changes after loading."""

    # Not strict, pydantic takes true for 1. Not deferred, each model costs about a millisecond at every start.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


def _true_false_or(word: str) -> BeforeValidator:
    """Beside a word, too, `true` and `false` are no numbers: to Python, 1 is one of True, False and a word."""

    def judge(value: object) -> object:
        if isinstance(value, bool | str):
            return value
        raise PydanticKnownError("literal_error", {"expected": f"true, false or {word!r}"})

    return BeforeValidator(judge)


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping) else value


def last_resort_steps(value: object) -> object:
    """The short forms of `last_resort`: one method's name, or `leave`, with which a ladder may end, too."""
    steps = [value] if isinstance(value, str) else value
    if not isinstance(steps, Sequence) or LEAVE not in steps:
        return cast("object", steps)
    given = cast("Sequence[object]", steps)
    # Taken for the name of a method that nobody has, it made of "save it, else leave it" that its plug was pulled.
    if given.index(LEAVE) < len(given) - 1:
        raise ValueError(f"{LEAVE!r} ends a ladder: what stands behind it would never be tried")
    return given if given[1:] else []


class LadderStep(NamedChoice):
    """One rung of a ladder: a method's name, or the name with options. `compose` adds a field for each known method."""

    # An unknown method is a rung that is skipped and told of; forbidden, one misspelt word would
    # cost a host stop all of its configuration.
    model_config = ConfigDict(extra="allow")
    expects = "a step is the name of one stop method, or one name with its options"


class GuestHookSettings(Section):
    """What differs for the hooks of one guest."""

    timeout: Duration | None = Field(default=None, gt=0, description="The time box of one call for this guest.")


def _time_or_never(value: object) -> object:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{error}, or {NEVER}") from None


Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"},
                {"type": "number", "minimum": 0, "maximum": 100},
            ],
            "description": "a part such as 60%, or the plain number",
        }
    ),
]


class ShedSettings(Section):
    """When a guest is shed: as soon as one of these holds; where none is given, never."""

    after: Duration | None = Field(
        default=None, description="Time on battery from which it is shed.", json_schema_extra=BY_METADATA
    )
    below: Percent | None = Field(default=None, gt=0, description="Charge of the battery below which it is shed.")
    runtime_below: Duration | None = Field(
        default=None, gt=0, description="Runtime, as it is believed, below which it is shed."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if value == NEVER:
            return dict[str, object]()
        if isinstance(value, Mapping):
            given = cast("Mapping[str, object]", value)
            if given and all(one is None for one in given.values()):
                raise ValueError(f"says nothing; {_SHED_FORMS}")
            if given:
                return given
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return {"after": _time_or_never(value)}
        raise ValueError(f"should be {_SHED_FORMS}")

    @model_serializer
    def _as_written(self) -> dict[str, float] | float | str:
        given = {key: getattr(self, key) for key in type(self).model_fields if getattr(self, key) is not None}
        return given["after"] if list(given) == ["after"] else given or NEVER

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short forms: never, and the time alone."""
        return {"anyOf": [{"const": NEVER}, {"type": "string"}, {"type": "number"}, handler(core_schema)]}


def _not_nothing(text: str) -> str:
    if not text:
        raise ValueError('is empty, which no guest has; "*" matches every guest')
    return text


_Wanted = Annotated[str, AfterValidator(_not_nothing)]


class Match(Section):
    """Which guests a rule is for: all that are given have to match."""

    name: _Wanted | None = Field(default=None, description="A name, or a glob such as `db-*`.")
    uuid: _Wanted | None = Field(default=None, description="A domain's UUID.")
    uri: _Wanted | None = Field(default=None, description="A connection's URI, or a glob.")
    state: GuestState | None = Field(default=None, strict=False, description="The state at planning.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, Mapping):
            raise ValueError('should be a name such as "db-*", or a mapping of name, uuid, uri and state')  # noqa: TRY004  pydantic collects ValueErrors
        return cast("Mapping[str, object]", value)

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError('says nothing; "*" matches every guest')
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form: the name alone."""
        return {"anyOf": [{"type": "string"}, handler(core_schema)]}

    @model_serializer
    def _only_given(self) -> dict[str, str] | str:
        given = written_match(self)
        return given["name"] if list(given) == ["name"] else given

    @property
    def called(self) -> str:
        """What it is called to a person."""
        where = f" on {self.uri}" if self.uri else ""
        return f"{self.name or self.uuid or 'somebody'}{where}"

    def covers(self, guest: Guest) -> bool:
        """Say whether the rule is for this guest."""
        return matches(guest, name=self.name, uuid=self.uuid, uri=self.uri, state=self.state)


class GuestPolicy(Section):
    """What a guest gets: `defaults`, overlaid by its metadata and by every rule that matches it."""

    manage: Annotated[Literal[True, False, "watch"], _true_false_or("watch")] = Field(
        default=True,
        description="False = somebody else's: listed, never touched, never restored; watch = as well, but whoever it "
        "needs is asked only when it is off, and whoever needs it is started only when it runs.",
        json_schema_extra=BY_METADATA,
    )
    depends_on: Annotated[tuple[Match, ...], BeforeValidator(_one_or_many)] = Field(
        default=(), strict=False, description=DEPENDS_ON, json_schema_extra=BY_METADATA
    )
    order: int | None = Field(
        default=None,
        description="Guests start in ascending order and stop in descending; those without a number start last.",
        json_schema_extra=BY_METADATA,
    )
    stop: tuple[LadderStep, ...] = Field(default=(), strict=False, description=LADDER)
    timeout: Duration = Field(
        default=90.0, gt=0, description="For a rung that names none.", json_schema_extra=BY_METADATA
    )
    last_resort: Annotated[tuple[LadderStep, ...], BeforeValidator(last_resort_steps)] = Field(
        default=(), strict=False, description=LAST_RESORT
    )
    paused: Literal["save", "resume", "leave"] = Field(
        default="save",
        description="What to do with a paused guest: save it with its pause (else resume it), resume it, or leave it.",
        json_schema_extra=BY_METADATA,
    )
    jobs: Literal["wait", "abort"] = Field(default="wait", description=JOBS, json_schema_extra=BY_METADATA)
    transient: Literal["stop", "leave"] = Field(
        default="stop",
        description="What to do with a guest that cannot be restored, as libvirt forgets it when it is off.",
        json_schema_extra=BY_METADATA,
    )
    restore: Annotated[Literal[True, False, "always"], _true_false_or("always")] = Field(
        default=True,
        description="Start it again when it was running; always = at every boot, also after a crash.",
        json_schema_extra=BY_METADATA,
    )
    drill: bool = Field(
        default=False,
        description="`lastcall drill` without names stops it and brings it back.",
        json_schema_extra=BY_METADATA,
    )
    shed: ShedSettings = Field(default=ShedSettings.model_construct(), description=SHED, json_schema_extra=BY_METADATA)
    sleep: Literal["leave", "pause", "save"] = Field(
        default="leave",
        description="While the host sleeps: left as it is, paused, or saved and started again afterwards.",
        json_schema_extra=BY_METADATA,
    )
    start_delay: Duration = Field(
        default=0.0,
        description="How long a restore waits before it starts it, once its turn has come; others start meanwhile.",
        json_schema_extra=BY_METADATA,
    )
    ready_timeout: Duration | None = Field(
        default=None,
        gt=0,
        description="How long it may take to be ready after its start; else `restore.ready_timeout`.",
        json_schema_extra=BY_METADATA,
    )
    shell: Annotated[tuple[str, ...], BeforeValidator(_one_or_many)] = Field(
        default=(), strict=False, description=SHELL
    )
    hooks: GuestHookSettings = Field(
        default=GuestHookSettings.model_construct(), description="What differs for this guest's hooks."
    )


class GuestRule(GuestPolicy):
    """A policy for the guests that `match`."""

    match: Match = Field(description="Which guests: a name glob, or a mapping of name, uuid, uri and state.")


# No methods of the policy: each would take a name from plugins, whose guest keys are its fields.
def overlay(policy: GuestPolicy, over: GuestPolicy) -> GuestPolicy:
    """The policy with every key that `over` gives."""
    given = over.model_fields_set - {"match"}
    merged = policy.model_copy(update={key: getattr(over, key) for key in given})
    merged.__pydantic_fields_set__.update(given)
    return merged


def written_match(match: Match) -> dict[str, str]:
    """What somebody has written to mean these guests, by key."""
    return {key: str(getattr(match, key)) for key in Match.model_fields if getattr(match, key) is not None}
