"""Example: guests wait for guests of other hosts by keys in etcd, where libvirt of those hosts cannot be looked at.

A key stands for each guest that is up, `/lastcall/up/HOST/GUEST`; its host writes it, and removes it when the guest is
off. Whoever has to go after others waits until their keys are gone. README.md beside this file says how it is set up:

    plugins: {etcd: {members: ["10.0.0.1:2379", "10.0.0.2:2379", "10.0.0.3:2379"], host: hb}}
    guests: [{match: db, etcd: {after: [ha/web]}}]

Without a quorum nothing is known. A stop by hand is refused then; a host that goes down goes down without order.
"""

import socket
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

from etcd3gw import Etcd3Client, exceptions
from pydantic import Field

import lastcall
from lastcall.options import Duration, Options

T = TypeVar("T")
Member = Annotated[str, Field(pattern=r"^[^\s/]+:[0-9]{1,5}$")]
GuestPath = Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")]
alone = set[str]()
"""The runs that go on without etcd: nobody asks again, which would take each guest the timeouts of all members."""
since: dict[tuple[str, str, str], float] = {}
"""When a guest of a run began to wait, on the monotonic clock."""


class Settings(Options):
    """The section `plugins.etcd`."""

    members: tuple[Member, ...] = Field(default=("127.0.0.1:2379",), min_length=1, description="HOST:PORT of each.")
    tls: Annotated[str, Field(pattern="^/")] | None = Field(default=None, description="A file of CA certificates.")
    host: str = Field(default=socket.gethostname(), min_length=1, description="What this host is called in the keys.")
    prefix: str = Field(default="/lastcall/up/", pattern="^/.*/$", description="Where the keys are.")
    timeout: Duration = Field(default=2.0, gt=0, description="For the answer of one member.")
    wait: Duration = Field(default=60.0, gt=0, description="How long a guest waits for those that stay up.")


class Order(Options):
    """A guest's key `etcd`."""

    after: tuple[GuestPath, ...] = Field(default=(), description="HOST/GUEST of those that go first.")


@lastcall.hookimpl
def plugin_options() -> lastcall.PluginOptions:
    """Declare the section and the key."""
    return lastcall.PluginOptions(settings=Settings, guest=Order)


@lastcall.hookimpl
def pre_shutdown(run: lastcall.Run) -> None:
    """Call the roll: whoever is up stands there, also who was started by virsh."""
    if run.rehearsal:
        return
    try:
        for guest in run.guests:
            put(run, guest)
    except lastcall.HookFailed as error:
        if run.voluntary:
            raise lastcall.HookFailed(f"{error}: nobody can say who else is still up", on_failure="abort") from None
        alone.add(run.id)
        raise lastcall.HookFailed(f"{error}: this host goes down without waiting for others") from None


@lastcall.hookimpl
def guest_waits(guest: lastcall.Guest, run: lastcall.Run) -> list[str]:
    """Name those of other hosts that are still up."""
    settings, after = run.options(Settings), run.options(Order, guest).after
    if not after or run.id in alone:
        return []
    if time.monotonic() - since.setdefault((run.id, *guest.key), time.monotonic()) > settings.wait:
        run.log(f"{guest.name} goes without waiting any longer")
        return []
    try:
        return [path for path in after if ask(run, lambda etcd, path=path: etcd.get(settings.prefix + path))]
    except lastcall.HookFailed as error:
        alone.add(run.id)
        run.log(f"{error}: goes on without order")
        return []


@lastcall.hookimpl
def on_guest_stopped(guest: lastcall.Guest, result: lastcall.GuestResult, run: lastcall.Run) -> None:
    """It is off: others may go."""
    if not run.rehearsal and result.ended is not None:
        ask(run, lambda etcd: etcd.delete(key_of(run, guest)))


@lastcall.hookimpl
def on_guest_started(guest: lastcall.Guest, result: lastcall.GuestResult, run: lastcall.Run) -> None:
    """It is up again."""
    if not run.rehearsal and result.outcome not in {lastcall.Outcome.FAILED, lastcall.Outcome.UNKNOWN}:
        put(run, guest)


@lastcall.hookimpl
def check(run: lastcall.Run) -> list[lastcall.Problem]:
    """Whether there is a quorum."""
    try:
        ask(run, lambda etcd: etcd.get(run.options(Settings).prefix))
    except lastcall.HookFailed as error:
        return [lastcall.Problem(what="etcd", where="plugins.etcd", message=str(error), remedy="mend the cluster")]
    return []


def key_of(run: lastcall.Run, guest: lastcall.Guest) -> str:
    """The key that stands for a guest of this host."""
    settings = run.options(Settings)
    return f"{settings.prefix}{settings.host}/{guest.name}"


def put(run: lastcall.Run, guest: lastcall.Guest) -> None:
    """Say that a guest of this host is up."""
    ask(run, lambda etcd: etcd.put(key_of(run, guest), run.id))


def ask(run: lastcall.Run, question: Callable[[Etcd3Client], T]) -> T:
    """Ask one member after the other; raises HookFailed where none answers for a quorum."""
    settings, failures = run.options(Settings), list[str]()
    for member in settings.members:
        host, _, port = member.rpartition(":")
        etcd = Etcd3Client(
            host, int(port), protocol="https" if settings.tls else "http", ca_cert=settings.tls,
            timeout=settings.timeout,
        )  # fmt: skip
        try:
            return question(etcd)
        except (exceptions.Etcd3Exception, OSError, ValueError) as error:
            failures.append(f"{member} ({type(error).__name__})")
        finally:
            etcd.session.close()
    raise lastcall.HookFailed(f"etcd does not answer: {', '.join(failures)}")
