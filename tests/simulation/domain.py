"""What a stop method sees of a simulated guest: refusals, silence, answers that come late or break off."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from lastcall import Json
from lastcall.api.guests import Ended, GuestState
from lastcall.errors import ConnectionLost, DomainBusy, GuestGone, HypervisorError, OperationInvalid, StartedAnew
from lastcall.hypervisor.ports import Call, Condition
from lastcall.testing.memory.domain import FakeDomain
from simulation.guest import PLUGS, PREPARES, Request, SimulatedGuest
from simulation.workers import Late

if TYPE_CHECKING:
    from simulation.hypervisor import SimulatedHypervisor

LOCK_TIME = 30.0  # seconds that libvirt waits for a domain's job
LOCK_LOOK = 0.5  # seconds between two looks whether that is over
SHORTEST = 0.001  # seconds; less is lost in the sum of a moment and a time
GOING_OFF = 1.8  # seconds: only a guest that is off so soon can be gone before its request has returned


class SimulatedDomain(FakeDomain):
    """A view of one guest for one call."""

    def __init__(
        self,
        hypervisor: "SimulatedHypervisor",
        guest: SimulatedGuest,
        call: Call,
        sent: Callable[[], None] | None,
    ) -> None:
        super().__init__(hypervisor, guest, call, sent)
        self._world, self._guest = hypervisor, guest

    def unsaveable(self) -> str:
        """What its nature says."""
        return self._guest.nature.unsaveable

    def abort_job(self) -> None:
        """End a save or migration."""
        self._world.require(self._guest.uri)
        self._world.abort(self._guest)

    def agent(self, command: str, arguments: Mapping[str, Json] | None = None, *, timeout: float | None = None) -> Json:
        """Answer as long as its guest runs."""
        self._world.require(self._guest.uri)
        if self._guest.state is not GuestState.RUNNING:
            raise HypervisorError("the guest agent does not answer", code=86)
        return super().agent(command, arguments, timeout=timeout)

    def _ask(self, how: str, ended: Ended) -> None:
        self._request(how, partial(self._stop, how, ended))

    def _prepare(self, how: str) -> None:
        self._request(how, self._go_on)

    def _request(self, how: str, effect: Callable[[], None]) -> None:
        """Send it; everything that may become of it is said by the guest's nature, the domain's job and the daemon."""
        self._call.remaining()
        self._world.require(self._guest.uri)
        busy = self._world.hangs_for(self._guest.uri)
        if busy:
            # A daemon that hangs does so over the question for the domain: the request leaves when it goes on, if
            # somebody waits for it still.
            raise Late(busy, partial(self._request, how, effect), lambda: None)
        if self._sent:
            self._sent()
            self._sent()  # a word that comes twice must change nothing
        request = Request(self._world.loop.time(), how)
        self._guest.requests.append(request)
        if how in self._guest.nature.hangs:
            raise self._late(request, math.inf, lambda: None)
        self._deliver(request, effect)

    def _late(self, request: Request, seconds: float, then: Callable[[], None]) -> Late:
        def give_up() -> None:
            request.answer = request.answer or "given up"

        def answer() -> None:
            try:
                self._world.require(self._guest.uri)
            except ConnectionLost:
                request.answer = request.answer or "lost"
                raise
            then()

        return Late(seconds, answer, give_up)

    def _deliver(self, request: Request, effect: Callable[[], None]) -> None:
        guest, how = self._guest, request.how
        if how not in PREPARES and guest.active:
            try:
                request.take_back = self._note(how)
            except StartedAnew as error:
                request.answer = "refused"  # found as its domain is looked up: the plug itself never left
                self._refuse(request, error)
        self._go_through(request, effect)

    def _go_through(self, request: Request, effect: Callable[[], None]) -> None:
        """As soon as somebody's job is over, which libvirt waits for."""
        guest, how = self._guest, request.how
        error, after = self._refusal(how)
        left = LOCK_TIME - (self._world.loop.time() - request.at)
        if isinstance(error, DomainBusy) and left > SHORTEST:
            raise self._late(request, min(LOCK_LOOK, left), partial(self._go_through, request, effect))
        if error and after:
            raise self._late(request, after, partial(self._refuse, request, error))
        if error:
            self._refuse(request, error)
        effect()
        if how in guest.nature.silent:
            raise self._late(request, math.inf, lambda: None)
        goes_off = how not in guest.deaf_to and guest.nature.takes <= GOING_OFF and not guest.reboots
        if how in guest.nature.breaks and goes_off:
            request.answer = request.answer or "broke"
            if how == "agent":
                raise HypervisorError("End of file from agent socket", code=1)
            raise OperationInvalid("domain is not running", code=55)
        lasts = self._answer_takes(how)
        if lasts:
            raise self._late(request, lasts, partial(self._accept, request))
        self._accept(request)

    def _answer_takes(self, how: str) -> float:
        nature = self._guest.nature
        if how in PLUGS:
            return nature.plug
        # libvirt's default asks the agent where one is connected, and returns when the guest is off.
        return nature.saving if how == "save" else nature.takes if how == "default" and nature.agent else 0.0

    def _accept(self, request: Request) -> None:
        request.answer = request.answer or "ok"

    def _refuse(self, request: Request, error: HypervisorError) -> None:
        request.answer = request.answer or "refused"
        request.not_running = isinstance(error, OperationInvalid)
        request.take_back()
        self._world.note(f"libvirt refuses {self._guest.name} {request.how}: {error}")
        raise error

    def _refusal(self, how: str) -> tuple[HypervisorError | None, float]:
        """libvirt's error for a request, and after how long it comes."""
        guest, found = self._guest, self._guest.nature.refuses.get(how)
        if guest.gone:
            return GuestGone(f"no domain {guest.name}", code=42), 0.0
        if not guest.active:
            return OperationInvalid("domain is not running", code=55), 0.0
        if found and self._world.since_start() < found.until:
            kind = OperationInvalid if found.code == 55 else HypervisorError
            command = " 'guest-shutdown'" if how == "agent" else ""  # by its name an agent's answer is known for one
            return kind(f"{how}{command} is refused (error {found.code})", code=found.code), found.after
        if how in PLUGS:
            return None, 0.0
        # A backup lets everything through but what has to have the domain for itself.
        if guest.job and (guest.job.what != "backup" or how == "save"):
            return DomainBusy("cannot acquire state change lock", code=68), 0.0
        awake = guest.state is GuestState.RUNNING or how in PREPARES or how == "save"
        return (None if awake else OperationInvalid("domain is not running", code=55)), 0.0

    def _stop(self, how: str, ended: Ended) -> None:
        self._world.obey(self._guest, how, ended)

    def _go_on(self) -> None:
        if self._guest.state in {GuestState.PAUSED, GuestState.SUSPENDED}:
            self._guest.state, self._guest.held = GuestState.RUNNING, Condition.FREE
            self._world.note(f"{self._guest.name} goes on")
