"""What a stop method sees of a guest in memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lastcall.api.guests import Ended, GuestState
from lastcall.api.run import AddressSource, Convergence, DiskMove, Json, ShutdownMode
from lastcall.errors import DomainBusy, HypervisorError, OperationInvalid, Unsupported
from lastcall.hypervisor.ports import Call
from lastcall.testing.memory.guest import FakeGuest
from lastcall.testing.memory.workers import Hangs

if TYPE_CHECKING:
    from lastcall.testing.memory.hypervisor import FakeHypervisor


class FakeDomain:
    """Implements `lastcall.Domain` for a guest in memory."""

    def __init__(
        self, hypervisor: "FakeHypervisor", fake: FakeGuest, call: Call, sent: Callable[[], None] | None
    ) -> None:
        self._hypervisor = hypervisor
        self._fake = fake
        self._call = call
        self._sent = sent

    def state(self) -> GuestState:
        """The state."""
        self._call.remaining()
        return self._fake.state

    def xml(self) -> str:
        """What the test says, or a minimal domain."""
        return self._fake.xml or f"<domain><name>{self._fake.name}</name></domain>"

    def agent_connected(self) -> bool:
        """Say whether it hears its agent."""
        return self._fake.agent

    def raw(self) -> Any:
        """There is no libvirt object behind it."""
        raise HypervisorError("a fake guest has no libvirt domain")

    def shutdown(self, mode: ShutdownMode) -> None:
        """Go off after `takes` seconds, unless deaf to this."""
        self._ask(mode, Ended.SHUTDOWN)

    def save(self, *, bypass_cache: bool = False) -> None:
        """Be saved after `takes` seconds."""
        self._ask("save", Ended.SAVED)

    def destroy(self, *, graceful: bool = False) -> None:
        """Be off at once."""
        self._ask("graceful" if graceful else "destroy", Ended.DESTROYED)

    def pause(self) -> None:
        """Stand still at once."""
        self._send("pause")
        self._fake.state = GuestState.PAUSED

    def resume(self) -> None:
        """Go on at once."""
        self._prepare("resume")

    def wake(self) -> None:
        """Wake up at once."""
        self._prepare("wake")

    def send_signal(self, number: int, pid: int = 1) -> None:
        """Go off after `takes` seconds, unless deaf to this signal."""
        self._ask(f"signal {number}", Ended.SHUTDOWN)

    def unsaveable(self) -> str:
        """What the test says."""
        return self._fake.traits.unsaveable

    def immovable(self, storage: DiskMove = "shared") -> str:
        """What keeps it from being saved."""
        return self._fake.traits.unsaveable

    def migrate(
        self,
        to: Sequence[str],
        *,
        bandwidth: int = 0,
        storage: DiskMove = "shared",
        converge: Convergence = "none",
        timeout: float | None = None,
    ) -> str:
        """Be on the first of these hosts after `takes` seconds."""
        self._fake.moved_to = to[0]
        self._ask("migrate", Ended.MIGRATED)
        return to[0]

    def abort_job(self) -> None:
        """Note that somebody asked for it."""
        self._fake.asked.append((self._hypervisor.loop.time(), "abort"))
        if "abort" in self._fake.hangs_in:
            raise Hangs

    def agent(self, command: str, arguments: Mapping[str, Json] | None = None, *, timeout: float | None = None) -> Json:
        """Answer a ping, go off when asked to shut down, and answer what the test says."""
        if not self._fake.agent or "agent" in self._fake.deaf_to:
            raise Unsupported("the guest agent does not answer", code=86)
        self._call.remaining()
        self._fake.told.append((command, arguments or {}))
        if command in self._fake.commands:
            answer = self._fake.commands[command]
            if isinstance(answer, Exception):
                raise answer
            return answer(arguments or {}) if callable(answer) else answer
        if command == "guest-shutdown":
            self._ask("agent", Ended.SHUTDOWN)
        elif command != "guest-ping":
            raise HypervisorError(f"the agent of a fake guest knows no {command}")
        return {}

    def addresses(self, source: AddressSource | None = None) -> tuple[str, ...]:
        """What the test says, whoever is asked."""
        return self._fake.addresses

    def sync_time(self) -> None:
        """Note it, unless its agent does not answer."""
        if "agent" in self._fake.deaf_to:
            raise Unsupported("the guest agent does not answer", code=86)
        self._fake.told.append(("guest-set-time", {}))

    def _prepare(self, how: str) -> None:
        self._send(how)
        self._fake.state = GuestState.RUNNING

    def _note(self, how: str) -> Callable[[], None]:
        """Remember which start of it is asked; another one is not forced off for that."""
        starts, fake = self._hypervisor.asked_starts, self._fake
        if how in {"destroy", "graceful"}:
            starts.check(fake.guest, fake.life)
        return starts.note(fake.guest, fake.life)

    def _send(self, how: str) -> None:
        self._call.remaining()
        fake = self._fake
        self._hypervisor.require(fake.uri)
        take_back = self._note(how) if how not in {"pause", "resume", "wake"} else None
        if self._sent:
            self._sent()
        fake.asked.append((self._hypervisor.loop.time(), how))
        if how in fake.hangs_in:
            raise Hangs
        if how in fake.refuses:
            if take_back:
                take_back()
            raise Unsupported(f"{how} is refused", code=84)
        held = self._hypervisor.loop.time() < fake.busy_until or (how == "save" and fake.traits.job)
        if how != "destroy" and held:
            raise DomainBusy("cannot acquire state change lock", code=68)

    def _ask(self, how: str, ended: Ended) -> None:
        self._send(how)
        loop, fake = self._hypervisor.loop, self._fake
        if how not in fake.deaf_to:
            loop.call_later(0 if ended is Ended.DESTROYED else fake.takes, self._hypervisor.stop, fake, ended)
        if how in fake.breaks:
            if how == "agent":
                # The socket goes with its guest: a success that comes as an error.
                raise HypervisorError("End of file from agent socket", code=1)
            # As libvirt answers where QEMU is gone and the domain not yet off.
            raise OperationInvalid("domain is not running", code=55)
