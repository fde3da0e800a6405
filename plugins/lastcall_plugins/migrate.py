"""Stop method `migrate`: the guest moves to another host instead of stopping, and comes back with the restore."""

import socket
from collections.abc import Iterable
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from lastcall import Guest, Outcome, Reason, StopMethod, StopRequest, hookimpl
from lastcall.options import StepOptions

_LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})


def _one_or_many(given: object) -> object:
    return [given] if isinstance(given, str) else given


def _a_host(uri: str) -> str:
    if "://" not in uri:
        raise ValueError(f"{uri!r} is no libvirt URI, such as 'qemu+tls://{uri or 'hb'}/system'")
    return uri


class MigrateOptions(StepOptions):
    """Options of `migrate`."""

    to: Annotated[tuple[Annotated[str, AfterValidator(_a_host)], ...], BeforeValidator(_one_or_many)] = Field(
        strict=False,
        min_length=1,
        max_length=16,
        description="Where to (a libvirt URI, or several): the first host that answers and has the memory.",
    )
    bandwidth: int = Field(default=0, ge=0, description="At most so many MiB a second; 0 = no limit.")
    storage: Literal["shared", "copy", "unsafe"] = Field(
        default="shared",
        description="Its disks: both hosts see them, they are copied, or both see them where libvirt cannot tell.",
    )
    converge: Literal["none", "throttle", "postcopy"] = Field(
        default="none",
        description="Where its memory changes faster than it travels: give up, slow the guest down, or let the memory "
        "follow it from half of `timeout` on.",
    )
    reasons: tuple[Reason, ...] = Field(
        default=(Reason.REBOOT, Reason.KEXEC, Reason.SOFT_REBOOT, Reason.MANUAL, Reason.POWEROFF),
        strict=False,
        min_length=1,
        description="The runs in which it moves; in all others, as for want of `power`, the next rung stops it.",
    )
    come_back: bool = Field(default=True, description="The restore brings it back; without, it stays where it is.")


class Migrate(StopMethod[MigrateOptions]):
    """Moves the guest. Before a reboot it goes on elsewhere; what asks it to stop comes after this in its ladder."""

    name = "migrate"
    outcome = Outcome.MOVED

    def unfit_with(self, call: StopRequest[MigrateOptions]) -> str | None:
        """What is known without asking another host, which may not answer."""
        guest, run, options = call.guest, call.run, call.options
        if guest.driver != "QEMU":
            return f"guests of {guest.driver} cannot be moved"
        if run.reason not in options.reasons:
            return f"not for {run.reason}: its `reasons` are {', '.join(options.reasons)}"
        if not guest.persistent and options.come_back:
            return "a transient guest is no more to libvirt here once it has moved, and could not come back"
        if all(_is_here(uri, guest) for uri in options.to):
            return f"{options.to[0]} is this host"
        return run.domain(guest).immovable(options.storage) or None

    def request(self, call: StopRequest[MigrateOptions]) -> None:
        """Move it; returns when it runs there."""
        options = call.options
        elsewhere = [uri for uri in options.to if not _is_here(uri, call.guest)]
        call.run.domain(call.guest).migrate(
            elsewhere,
            bandwidth=options.bandwidth,
            storage=options.storage,
            converge=options.converge,
            timeout=options.timeout or call.run.settings(call.guest).timeout,
        )

    def withdraw(self, call: StopRequest[MigrateOptions]) -> None:
        """Abort it: the guest goes on here, and can be asked. Once its memory follows it, libvirt refuses that."""
        call.run.domain(call.guest).abort_job()


def _is_here(uri: str, guest: Guest) -> bool:
    """Whether a URI leads to the host that the guest is on, as far as one can see it."""
    if uri == guest.uri:
        return True
    there, here = urlsplit(uri), urlsplit(guest.uri)
    if there.query or here.query:
        return False  # of another socket, say: only the other host knows
    name = there.hostname or ""
    if here.hostname:
        return name == here.hostname
    own = socket.gethostname()
    return name in _LOCAL or name in {own, own.partition(".")[0]}


@hookimpl
def stop_methods() -> Iterable[StopMethod[Any]]:
    """Offer `migrate`."""
    return [Migrate()]
