"""One hook call's view of the run: everything it offers ends with the call's time box."""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

from lastcall.api.guest_keys import GuestSettings
from lastcall.api.guests import Guest, Reason, RunKind
from lastcall.api.matching import only_one
from lastcall.api.run import DefaultT, Domain, Json, OptionsT
from lastcall.api.shell import GuestShell, Shell
from lastcall.errors import CallExpired, LastcallError, in_words
from lastcall.formats.plain_values import plain_evidence
from lastcall.formats.values import changing
from lastcall.guest_shell.shell import ChosenShell, Providers
from lastcall.hooks.environment import program_environment
from lastcall.hooks.sources import NUMBER
from lastcall.hypervisor.ports import Call
from lastcall.persistence.files import private_folder
from lastcall.timing.terms import Terms

if TYPE_CHECKING:
    from lastcall.options import Options


class OptionLookup(Protocol):
    """Finds a plugin's validated options."""

    def __call__(self, plugin: str, guest: Guest | None) -> "tuple[type[Options] | None, Options | None]":
        """The model that it has declared, for itself or for guests, and what is set; None where there is none."""
        ...


_NOT_GIVEN = object()


@changing(kw_only=True)
class RunContext:
    """What all calls of one run share. `wait` sleeps, until the event is set or the seconds are over.

    `environment`: what is configured for the programs that are started.
    """

    id: str
    kind: RunKind
    rehearsal: bool
    terms: Terms
    folders: Path
    options: OptionLookup
    settings: Callable[[Guest], GuestSettings]
    domain: Callable[[Guest, Call, Callable[[], None] | None], Domain]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    guests: tuple[Guest, ...] = ()
    wait: Callable[[threading.Event, float], object] = threading.Event.wait
    shells: Providers = field(default_factory=dict[str, "tuple[str, GuestShell]"])
    concerns: Callable[[str, Guest], bool] = lambda _plugin, _guest: True
    shell_names: Callable[[Guest], Sequence[str]] = lambda _guest: ()
    called: Callable[[str], str] = lambda plugin: f"plugin {plugin!r}"


def _folder_name(plugin: str) -> str:
    """What a plugin's folder is called; that of executables, which are called `hook/NN-name`, by their name.

    Programs of one name in several hooks have one: what is done before a shutdown is put right after a restore.
    """
    _, inside, file = plugin.partition("/")
    # With a sign that no name of another plugin has.
    return f"executable-{NUMBER.sub('', file)}" if inside else plugin


class _End:
    """The end of a call, one for all views of it.

    Its event is made when somebody sleeps, which hardly any call does: to make one for each request of 1500 guests took
    a third of the loop's time.
    """

    def __init__(self) -> None:
        self.passed = False
        self._event: threading.Event | None = None

    def let_pass(self) -> None:
        """Let it pass now; wakes who sleeps."""
        self.passed = True  # first: an event that is made meanwhile looks at this
        if self._event is not None:
            self._event.set()

    def event(self) -> threading.Event:
        """What to sleep on."""
        self._event = made = self._event or threading.Event()
        if self.passed:
            made.set()
        return made


class HookCall:
    """Implements `lastcall.Run` for one call of one plugin."""

    def __init__(
        self,
        context: RunContext,
        plugin: str,
        *,
        expires: float,
        say: Callable[[str], None] | None = None,
        sent: Callable[[], None] | None = None,
        since: float | None = None,
    ) -> None:
        self._context = context
        self._plugin = plugin
        self._expires = expires
        self._say = say
        self._sent = sent
        self._since = since
        self._end = _End()
        self._shells: list[ChosenShell] = []
        self.collected: dict[str, Json] = {}

    def expire(self) -> None:
        """End the call: whatever still runs of it can do nothing more."""
        self._end.let_pass()

    @property
    def expired(self) -> bool:
        """True once the call is over."""
        return self._end.passed or self._context.terms.clock() >= self._expires

    @property
    def id(self) -> str:
        """The run's id."""
        return self._alive().id

    @property
    def kind(self) -> RunKind:
        """Shutdown or restore."""
        return self._alive().kind

    @property
    def reason(self) -> Reason:
        """Why the run takes place."""
        return self._alive().terms.reason

    @property
    def voluntary(self) -> bool:
        """Whether nothing forces the run."""
        return self.reason.voluntary

    @property
    def plugin(self) -> str:
        """Whose call it is."""
        self._alive()
        return self._plugin

    @property
    def rehearsal(self) -> bool:
        """True when nothing is going to be stopped."""
        return self._alive().rehearsal

    @property
    def guests(self) -> tuple[Guest, ...]:
        """Every guest of the run."""
        return self._alive().guests

    def guest(self, name: str, *, uri: str | None = None) -> Guest:
        """The guest of this name or UUID."""
        return only_one(name, self._alive().guests, uri)

    @property
    def folder(self) -> Path:
        """This plugin's private folder, made when first asked for."""
        folder = self._alive().folders / _folder_name(self._plugin)
        private_folder(folder)
        return folder

    def environment(self, guest: Guest | None = None) -> dict[str, str]:
        """The environment for a program of this call."""
        context, deadline = self._alive(), self.run_remaining()
        facts = {
            "LASTCALL_RUN_ID": context.id,
            "LASTCALL_KIND": context.kind.value,
            "LASTCALL_REASON": context.terms.reason.value,
            "LASTCALL_REHEARSAL": "1" if context.rehearsal else "",
            "LASTCALL_DEADLINE": "" if deadline is None else f"{deadline:.1f}",
        }
        if guest:
            facts |= {"LASTCALL_GUEST": guest.name, "LASTCALL_UUID": guest.uuid, "LASTCALL_URI": guest.uri}
        return program_environment(context.environment, facts)

    def remaining(self) -> float:
        """Seconds left to this call."""
        return max(0.0, self._expires - self._alive().terms.clock())

    def to_last_resort(self) -> float:
        """Seconds until the run's last resort."""
        terms = self._alive().terms
        return max(0.0, terms.deadline.last_resort - terms.clock())

    def elapsed(self) -> float:
        """Seconds since the first call of a series."""
        now = self._alive().terms.clock()
        return 0.0 if self._since is None else now - self._since

    def run_remaining(self) -> float | None:
        """Seconds left to the run."""
        return self._alive().terms.left()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        remaining = self.remaining()
        self._context.wait(self._end.event(), min(seconds, remaining))
        if seconds > remaining:
            self._end.let_pass()  # a wait may end a hair before the clock says so
        self._alive()

    @overload
    def options(self, model: type[OptionsT], guest: Guest | None = None) -> OptionsT: ...
    @overload
    def options(
        self, model: type[OptionsT], guest: Guest | None = None, *, default: DefaultT
    ) -> OptionsT | DefaultT: ...
    def options(self, model: type[Any], guest: Guest | None = None, *, default: Any = _NOT_GIVEN) -> Any:
        """Return this plugin's options."""
        declared, found = self._alive().options(self._plugin, guest)
        if declared is None or not issubclass(declared, model):
            whose = "for itself" if guest is None else "for guests"
            why = f"{self._plugin} declares no options of type {model.__name__} {whose}"
            raise LastcallError(why, "return them in `plugin_options`: PluginOptions(settings=…, guest=…)")
        if found is not None:
            return found
        if default is not _NOT_GIVEN:
            return default
        try:
            return declared()
        except ValueError as error:  # pydantic's: a field without a default
            where = f"plugins.{self._plugin}" if guest is None else f"{self._plugin} of {guest.name}"
            missing = ", ".join(name for name, one in declared.model_fields.items() if one.is_required())
            raise LastcallError(f"{where} is not set, and needs {missing or in_words(error)}") from None

    def has_options(self, guest: Guest | None = None) -> bool:
        """Say whether any are set."""
        return self._alive().options(self._plugin, guest)[1] is not None

    def settings(self, guest: Guest) -> GuestSettings:
        """Return what counts for a guest."""
        return self._alive().settings(guest)

    def shell(self, guest: Guest, *, use: Sequence[str] = ()) -> Shell:
        """Return the guest's shell."""
        context = self._alive()
        names = tuple(use) or context.shell_names(guest)
        shell = ChosenShell(guest, names, context.shells, self._as)
        self._shells.append(shell)
        return shell

    def release(self) -> None:
        """Give back what the call holds open; may block, so the worker that did the call does it."""
        shells, self._shells = self._shells, []
        for shell in shells:
            with contextlib.suppress(Exception):  # nobody can do anything about it any more
                shell.close()

    def _as(self, plugin: str) -> "HookCall":
        """The same call as another plugin sees it."""
        other = HookCall(self._context, plugin, expires=self._expires, say=self._say)
        # One end for both: what a provider holds open is over with the call that asked for it.
        other._end = self._end
        return other

    def domain(self, guest: Guest) -> Domain:
        """Return the guest's domain."""
        return self._alive().domain(guest, self, self._sent)

    def evidence(self, **values: Json) -> None:
        """Add figures to the report."""
        self._alive()
        # Now and in the plugin's own thread: what its objects do when they are looked at is its own affair.
        self.collected = plain_evidence({**self.collected, **values})

    def log(self, message: str) -> None:
        """Write a line to the run log."""
        self._alive()
        if self._say:
            self._say(message)

    def _alive(self) -> RunContext:
        # A thread cannot be ended from outside: an abandoned one finds nothing any more that it could do harm with.
        if self.expired:
            self._end.let_pass()
            raise CallExpired("the time of this call is over")
        return self._context
