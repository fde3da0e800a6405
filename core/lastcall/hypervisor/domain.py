"""A guest's domain for worker threads: every call on a lane, bounded by the call it belongs to."""

import contextlib
import ipaddress
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from xml.etree import ElementTree as ET

import libvirt

from lastcall.api.guests import Guest, GuestState
from lastcall.api.run import AddressSource, Convergence, DiskMove, Json, ShutdownMode
from lastcall.errors import ConnectionLost, GuestGone, HypervisorError, in_words
from lastcall.hypervisor.call_limits.open_call import Need
from lastcall.hypervisor.connection import Connection
from lastcall.hypervisor.events import standing_of
from lastcall.hypervisor.libvirt_errors import translated
from lastcall.hypervisor.moving.moves import Moves
from lastcall.hypervisor.ports import AGENT_CHANNEL, Call
from lastcall.hypervisor.starting.asked_starts import AskedStarts
from lastcall.hypervisor.stopping.save_blockers import unsaveable

if TYPE_CHECKING:
    from lastcall.hypervisor.moving.guest_move import GuestMove

T = TypeVar("T")
_AGENT_CHANNEL = f"./devices/channel/target[@name='{AGENT_CHANNEL}']"
AGENT_TIME = 5.0  # seconds for a question that a healthy agent answers at once
SYNC_TIME = 10.0  # seconds; the agent starts a program for it
_MODES = {
    "acpi": libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
    "agent": libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
    "signal": libvirt.VIR_DOMAIN_SHUTDOWN_SIGNAL,
}
# A lease is what the guest was given and costs libvirt no question; a neighbour may be gone for long.
ANY_SOURCE: tuple[AddressSource, ...] = ("lease", "agent", "arp")
_ADDRESSES = {
    "lease": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
    "arp": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
}


class LibvirtDomain:
    """Implements `lastcall.Domain`; see there."""

    def __init__(
        self,
        connection: Connection,
        guest: Guest,
        call: Call,
        asked_starts: AskedStarts,
        sent: Callable[[], None] | None,
        moves: Moves,
    ) -> None:
        self._connection = connection
        self._guest = guest
        self._call = call
        self._asked_starts = asked_starts
        self._sent = sent
        self._moves = moves

    def state(self) -> GuestState:
        """Ask for the state; a domain that is not there is off."""
        try:
            return self._ask(standing_of).state
        except GuestGone:
            return GuestState.OFF

    def xml(self) -> str:
        """Return the live XML."""
        return self._ask(lambda domain: domain.XMLDesc(0))

    def agent_connected(self) -> bool:
        """Look at the agent's channel in the live XML."""
        # The XML costs nothing. To ask the agent would cost a worker: libvirt waits for the answer of one that
        # hangs for ever, unless it is told otherwise.
        channel = ET.fromstring(self.xml()).find(_AGENT_CHANNEL)  # noqa: S314  written by libvirt
        return channel is not None and channel.get("state") == "connected"

    def raw(self) -> Any:
        """Return the virDomain."""
        return self._ask(lambda domain: domain)

    def shutdown(self, mode: ShutdownMode) -> None:
        """Ask the guest to power off."""
        if mode == "default":
            # With an agent connected this is the agent's shutdown, which returns when the guest is off: after 7.1 s,
            # where ACPI took 0.04 s on the same guest.
            need: Need = "blocking" if self._guest.driver == "QEMU" else "quick"
            self._stop(lambda domain: domain.shutdown(), need)
        else:
            # ACPI takes the domain's ordinary job and works also while an agent call hangs;
            # so it is quick, and agent calls are not.
            self._stop(lambda domain: domain.shutdownFlags(_MODES[mode]), "blocking" if mode == "agent" else "quick")

    def save(self, *, bypass_cache: bool = False) -> None:
        """Managed save."""
        flags = libvirt.VIR_DOMAIN_SAVE_BYPASS_CACHE if bypass_cache else 0
        self._stop(lambda domain: domain.managedSave(flags), "blocking")

    def destroy(self, *, graceful: bool = False) -> None:
        """Pull the plug."""
        # Graceful is SIGTERM alone: on a stopped QEMU it took 45 s and failed (error 68). The plain one goes on
        # to SIGKILL and was through after 11.6 s.
        flags = libvirt.VIR_DOMAIN_DESTROY_GRACEFUL if graceful else 0

        def pull(domain: libvirt.virDomain) -> None:
            self._asked_starts.check(self._guest, domain.ID())
            if self._sent:
                self._sent()
            domain.destroyFlags(flags)

        self._ask(pull, "blocking" if graceful else "plug", asks=False)

    def pause(self) -> None:
        """Let a guest stand still."""
        self._ask(lambda domain: domain.suspend())

    def resume(self) -> None:
        """Let a paused guest go on."""
        self._ask(lambda domain: domain.resume())

    def wake(self) -> None:
        """Wake a guest that sleeps."""
        self._ask(lambda domain: domain.pMWakeup(0))

    def send_signal(self, number: int, pid: int = 1) -> None:
        """Send a signal to a container's process."""
        self._stop(lambda domain: domain.sendProcessSignal(pid, number, 0))

    def unsaveable(self) -> str:
        """Look into the live XML."""
        return unsaveable(ET.fromstring(self.xml()))  # noqa: S314  written by libvirt

    def immovable(self, storage: DiskMove = "shared") -> str:
        """Look into the live XML, and for snapshots."""
        return self._move().immovable(storage)

    def migrate(
        self,
        to: Sequence[str],
        *,
        bandwidth: int = 0,
        storage: DiskMove = "shared",
        converge: Convergence = "none",
        timeout: float | None = None,
    ) -> str:
        """Move it, by a connection of our own to the other host."""
        from lastcall.hypervisor.moving.guest_move import MoveWish

        time = math.inf if timeout is None else timeout
        return self._move().move(to, MoveWish(bandwidth=bandwidth, disks=storage, converge=converge, timeout=time))

    def _move(self) -> "GuestMove":
        # Here: few hosts move guests. Those that do load it as they plan, when a method is asked whether it fits.
        from lastcall.hypervisor.moving.guest_move import GuestMove

        return GuestMove(self._connection, self._guest, self._call, self._moves, self._sent)

    def abort_job(self) -> None:
        """End a save or migration."""
        self._ask(lambda domain: domain.abortJob())

    def agent(self, command: str, arguments: Mapping[str, Json] | None = None, *, timeout: float | None = None) -> Json:
        """Send a command to the guest agent; an answer that is none is a HypervisorError as well."""
        import libvirt_qemu

        request = json.dumps({"execute": command, **({"arguments": arguments} if arguments else {})})
        # Never 0, which is NOWAIT: ten of ten agents were "not available for now" and seven guests never stopped. Never
        # nothing either, as libvirt's own limit for an agent is none.
        seconds = max(1, math.floor(min(self._call.remaining(), timeout or math.inf)))
        stops = command == "guest-shutdown"
        ask = partial(self._stop, need="blocking") if stops else partial(self._ask, need="blocking", asks=False)
        try:
            answer = ask(lambda domain: libvirt_qemu.qemuAgentCommand(domain, request, seconds, 0))
            return json.loads(answer)["return"]
        # Whoever has the guest has written the answer: no UTF-8, of which libvirt's binding says SystemError,
        except (UnicodeError, SystemError):
            raise HypervisorError(f"the guest agent's answer to {command} is malformed: no text in UTF-8") from None
        # no JSON, nothing that is called `return`, or too deep.
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise HypervisorError(f"the guest agent's answer to {command} is malformed: {in_words(error)}") from None

    def addresses(self, source: AddressSource | None = None) -> tuple[str, ...]:
        """Return the guest's addresses without loopback ones. libvirt's own question to an agent has no time limit."""
        if source is None:
            return tuple(dict.fromkeys(address for one in ANY_SOURCE for address in self._addresses_if_known(one)))
        if source == "agent":
            cards: Any = self.agent("guest-network-get-interfaces", timeout=AGENT_TIME)
            return tuple(address for address in _told_by_agent(cards) if _from_outside(address))
        found: Any = self._ask(lambda domain: domain.interfaceAddresses(_ADDRESSES[source]))
        addresses: list[str] = [entry["addr"] for card in found.values() for entry in card["addrs"] or ()]
        return tuple(address for address in addresses if _from_outside(address))

    def _addresses_if_known(self, source: AddressSource) -> tuple[str, ...]:
        try:
            # Seen in the XML: to ask an agent that nobody is behind would cost a call in the few places for blocking
            # ones.
            return self.addresses(source) if source != "agent" or self.agent_connected() else ()
        except (ConnectionLost, GuestGone):
            raise
        except HypervisorError:  # a driver without leases, say, or an agent that hangs
            return ()

    def sync_time(self) -> None:
        """Set the guest's clock from its RTC; as libvirt would, but in a bounded time."""
        self.agent("guest-set-time", timeout=SYNC_TIME)

    def _stop(self, request: Callable[[libvirt.virDomain], T], need: Need = "quick") -> T:
        """Ask the guest to stop, as it runs now: once it was started anew, its plug is not pulled for that."""
        take_back: Callable[[], None] | None = None

        def ask(domain: libvirt.virDomain) -> T:
            nonlocal take_back
            take_back = self._asked_starts.note(self._guest, domain.ID())
            return request(domain)

        try:
            return self._ask(ask, need)
        except HypervisorError as error:
            if take_back and not isinstance(error, ConnectionLost):  # of that nobody knows what was delivered
                take_back()
            raise

    def _ask(self, work: Callable[[libvirt.virDomain], T], need: Need = "quick", *, asks: bool = True) -> T:
        """Do it on a lane. `asks`: it may be what asks the guest to stop, of which the ladder wants to know."""
        with self._connection.lanes.borrow(need, self._guest.uuid, timeout=self._call.remaining()) as lane:
            self._call.remaining()  # an abandoned call must not send a request after all
            with translated(lane.connection):
                domain = lane.connection.lookupByUUIDString(self._guest.uuid)
                self._call.remaining()  # nor one whose daemon hung over this, and goes on when nobody waits any more
                # Said before the request, not after it: a rung's time counts from here, and the call may last until the
                # guest is off. Not before the domain is found: what never left was taken for a request.
                if self._sent and asks:
                    self._sent()
                return work(domain)


def _told_by_agent(cards: Any) -> Iterator[str]:
    """The addresses in an agent's answer; what is none is passed over, as somebody would try to reach it."""
    try:
        for entry in [entry for card in cards for entry in card.get("ip-addresses", ())]:
            with contextlib.suppress(ValueError):
                yield str(ipaddress.ip_address(str(entry["ip-address"])))
    except (LookupError, TypeError, AttributeError):
        raise HypervisorError("the guest agent's answer to guest-network-get-interfaces is malformed") from None


def _from_outside(address: str) -> bool:
    """Neither a loopback address nor a link-local one, which means nothing without its link."""
    return not address.startswith(("127.", "169.254.", "fe80:")) and address != "::1"
