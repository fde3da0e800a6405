"""What the core hands to a hook: one call's view of the run, and of a guest's domain."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, overload

from lastcall.api.guest_keys import GuestSettings
from lastcall.api.guests import Guest, GuestState, Reason, RunKind
from lastcall.api.shell import Shell
from lastcall.formats.values import value

if TYPE_CHECKING:
    from lastcall.options import Options

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
OptionsT = TypeVar("OptionsT", bound="Options")
DefaultT = TypeVar("DefaultT")

ShutdownMode: TypeAlias = Literal["default", "acpi", "agent", "signal"]
AddressSource: TypeAlias = Literal["lease", "agent", "arp"]
DiskMove: TypeAlias = Literal["shared", "copy", "unsafe"]
Convergence: TypeAlias = Literal["none", "throttle", "postcopy"]


class Domain(Protocol):
    """A guest's domain in libvirt, for the length of one call.

    Every method blocks at most `run.remaining()` seconds, and raises `HypervisorError` when libvirt refuses and
    `CallExpired` when the call's time is over.
    """

    def state(self) -> GuestState:
        """Ask libvirt for the present state."""
        ...

    def xml(self) -> str:
        """Return the live domain XML."""
        ...

    def agent_connected(self) -> bool:
        """Say whether the guest agent's channel is connected; read from the live XML, never by asking the agent."""
        ...

    def raw(self) -> Any:
        """Return the `libvirt.virDomain` itself. What is called on it is no longer bounded by the core."""
        ...

    def shutdown(self, mode: ShutdownMode) -> None:
        """Ask the guest to power off. With `agent`, and `default` where an agent answers, this blocks until it has."""
        ...

    def save(self, *, bypass_cache: bool = False) -> None:
        """Save the guest's memory to disk (managed save); blocks until it is off or the save has failed."""
        ...

    def destroy(self, *, graceful: bool = False) -> None:
        """Pull the plug; `graceful` lets QEMU flush its images first and fails where QEMU does not react."""
        ...

    def pause(self) -> None:
        """Let a guest stand still, as it is in memory, until it is resumed."""
        ...

    def resume(self) -> None:
        """Let a paused guest go on."""
        ...

    def wake(self) -> None:
        """Wake a guest that sleeps (pm-suspended)."""
        ...

    def send_signal(self, number: int, pid: int = 1) -> None:
        """Send a signal, by libvirt's number for it, to a process of a container; by default to its init."""
        ...

    def unsaveable(self) -> str:
        """Say why the guest's memory cannot be saved, judging by its devices; empty where nothing speaks against it."""
        ...

    def immovable(self, storage: DiskMove = "shared") -> str:
        """Say why the guest cannot be moved to another host, judging by its devices, its snapshots and, where both
        hosts are to see them (`shared`), its disks; empty where nothing speaks against it. No other host is asked.
        """
        ...

    def migrate(
        self,
        to: Sequence[str],
        *,
        bandwidth: int = 0,
        storage: DiskMove = "shared",
        converge: Convergence = "none",
        timeout: float | None = None,
    ) -> str:
        """Move the guest to the first of these hosts (libvirt URIs) that answers and has the memory for it.

        Blocks until it runs there, and returns that host's URI. `bandwidth`: MiB a second, 0 = no limit. `storage`:
        `copy` takes its disks along; `unsafe`: libvirt does not judge whether the other host sees them. `converge`:
        what is done with a guest whose memory changes faster than it travels: nothing, it is slowed down, or its memory
        follows it from half of the `timeout` (seconds) on. From then on it cannot be called back.
        """
        ...

    def abort_job(self) -> None:
        """End a save or migration that is under way; the guest goes on."""
        ...

    def agent(self, command: str, arguments: Mapping[str, Json] | None = None, *, timeout: float | None = None) -> Json:
        """Send one command to the QEMU guest agent and return its `return` value."""
        ...

    def addresses(self, source: AddressSource | None = None) -> tuple[str, ...]:
        """Return the guest's IP addresses, as the named source knows them; by default as any does.

        Any: DHCP leases first, then what a connected agent tells, then the host's neighbours, each address once. Of
        them, one that cannot tell is passed over; none may know of any. `HypervisorError` means that nobody could be
        asked: the connection is lost, or the guest gone.
        """
        ...

    def sync_time(self) -> None:
        """Set the guest's clock from its RTC through the guest agent."""
        ...


class Run(Protocol):
    """One hook call's view of the run. The core implements it; it may grow.

    From the end of the call's time box on, every method raises `CallExpired`.
    """

    @property
    def id(self) -> str:
        """The run's id, sortable by time."""
        ...

    @property
    def kind(self) -> RunKind:
        """Shutdown or restore."""
        ...

    @property
    def reason(self) -> Reason:
        """Why the run takes place."""
        ...

    @property
    def voluntary(self) -> bool:
        """True where nothing forces the run, as it does not a run by hand; False when the host is going down."""
        ...

    @property
    def plugin(self) -> str:
        """The name of the plugin that is called: its section is `plugins.<name>`, its guest key `<name>`."""
        ...

    @property
    def rehearsal(self) -> bool:
        """True when nothing is going to be stopped: change nothing that a stop would have to justify."""
        ...

    @property
    def guests(self) -> tuple[Guest, ...]:
        """Every guest of the run, as planned."""
        ...

    def guest(self, name: str, *, uri: str | None = None) -> Guest:
        """Return the guest of the run with this name or UUID, on the connection `uri` where that is given.

        Raises `UnknownGuest` where there is none, and `AmbiguousGuest` where several connections have one.
        """
        ...

    @property
    def folder(self) -> Path:
        """A private folder of this plugin (mode 0700) that survives the reboot."""
        ...

    def environment(self, guest: Guest | None = None) -> dict[str, str]:
        """Return the environment for a program that the hook starts: `PATH`, `LANG` and `HOME`, what is configured in
        `hooks.environment`, and `LASTCALL_…` about the run and the guest. Ours is not for others.
        """
        ...

    def remaining(self) -> float:
        """Seconds left to this call."""
        ...

    def elapsed(self) -> float:
        """Seconds since this hook was first fired for this guest; more than 0 only for `guest_ready`, asked again."""
        ...

    def run_remaining(self) -> float | None:
        """Seconds left to the whole run; None = no limit."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; raises `CallExpired` as soon as the call's time is over."""
        ...

    @overload
    def options(self, model: type[OptionsT], guest: Guest | None = None) -> OptionsT: ...
    @overload
    def options(
        self, model: type[OptionsT], guest: Guest | None = None, *, default: DefaultT
    ) -> OptionsT | DefaultT: ...
    def options(self, model: type[Any], guest: Guest | None = None, *, default: Any = None) -> Any:
        """Return this plugin's validated options: those of `plugins.<name>`, or of the guest key `<name>`.

        Where nothing is set they are the model's defaults, or what is given as `default` (None, say). Raises
        `LastcallError` for a model that the plugin did not declare, and where the model needs what is not set.
        """
        ...

    def has_options(self, guest: Guest | None = None) -> bool:
        """Say whether anything is set in `plugins.<name>`, or under the guest key `<name>` for this guest."""
        ...

    def settings(self, guest: Guest) -> GuestSettings:
        """Return what counts for a guest of the core's own keys: its ladder, its order, its shell and so on."""
        ...

    def shell(self, guest: Guest, *, use: Sequence[str] = ()) -> Shell:
        """Return the guest's configured shell, or those named in `use`; raises `NoShell` where there is none.

        A later one of several is used only if nothing was started through the earlier one. It ends with this call.
        """
        ...

    def domain(self, guest: Guest) -> Domain:
        """Return the guest's domain, bounded by this call."""
        ...

    def evidence(self, **values: Json) -> None:
        """Add figures to the report; kept also when the call fails afterwards."""
        ...

    def log(self, message: str) -> None:
        """Write a line to the run log, or several; a call that says thousands has them cut, and counted."""
        ...


@value(frozen=True, kw_only=True)
class PluginOptions:
    """The pydantic models a plugin declares for `plugins.<name>` and for the guest key `<name>`.

    `only_where_set`: its hooks for guests fire only for those that have the key; of a plugin without a guest key, no
    hook of runs and checks fires unless its section is set.
    """

    settings: "type[Options] | None" = None
    guest: "type[Options] | None" = None
    only_where_set: bool = False
