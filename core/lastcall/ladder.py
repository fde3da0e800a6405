"""Stopping one guest: rung by rung, each with its time, until libvirt says that the guest is off."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lastcall.api.guests import Ended, Guest, GuestState, Outcome
from lastcall.api.results import Attempt, Verdict
from lastcall.asking import Asker, Unfit
from lastcall.bell import Bell
from lastcall.errors import ConnectionLost, LastcallError
from lastcall.milestone import Milestone
from lastcall.plan import Step
from lastcall.ports import Hypervisor
from lastcall.presence import Presence
from lastcall.records import AttemptEnded, GuestAsked
from lastcall.stream import Stream

LANE_PATIENCE = 60.0  # seconds that a request may wait for its lane; its own time counts from when it is sent
SENT_POLL = 0.5  # seconds between two looks whether it was sent
OUTCOMES = {
    Ended.SHUTDOWN: Outcome.STOPPED,
    Ended.DESTROYED: Outcome.FORCED,
    Ended.SAVED: Outcome.SAVED,
    Ended.CRASHED: Outcome.FAILED,
    Ended.FAILED: Outcome.FAILED,
    Ended.MIGRATED: Outcome.SKIPPED,
    Ended.VANISHED: Outcome.STOPPED,
}


@dataclass(frozen=True, slots=True)
class Climbed:
    """How far the ladder came: off by `method`, or still not known to be off."""

    ended: Ended | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True)
class Ladder:
    """Climbs guests' ladders; knows neither libvirt nor plugins. `end` is when the run is over, on the loop's clock."""

    asker: Asker
    hypervisor: Hypervisor
    presence: Presence
    stream: Stream
    loop: asyncio.AbstractEventLoop
    end: float

    async def climb(
        self, guest: Guest, steps: Sequence[Step], until: Milestone, *, out_of_order: bool = False
    ) -> Climbed:
        """Try the steps in order until the guest is off, they are exhausted, or the milestone passes."""
        for step in steps:
            if until.passed or self.presence.ended(guest.key) or self.presence.lost(guest.uri):
                break
            await _Rung(self, guest, step, until, out_of_order=out_of_order).climb()
            if self.presence.ended(guest.key):
                return Climbed(self.presence.ended(guest.key), step.method)
        return Climbed(self.presence.ended(guest.key))

    async def settle(self, guest: Guest) -> GuestState:
        """Ask libvirt what the guest does now; being off is noted. UNKNOWN where libvirt does not answer."""
        try:
            async with asyncio.timeout_at(None if self.end == math.inf else self.end):
                standing = await self.hypervisor.standing(guest)
        except (LastcallError, TimeoutError):
            return GuestState.UNKNOWN
        if standing.state is GuestState.OFF:
            self.presence.confirm_off(guest.key, standing.ended or Ended.VANISHED)
        return standing.state


class _Rung:
    """One attempt with one method."""

    def __init__(self, ladder: Ladder, guest: Guest, step: Step, until: Milestone, *, out_of_order: bool) -> None:
        self._ladder, self._guest, self._step, self._until = ladder, guest, step, until
        self._out_of_order = out_of_order
        self._asker, self._presence, self._stream = ladder.asker, ladder.presence, ladder.stream
        self._loop = ladder.loop
        self._bell = Bell(ladder.loop)
        self._sent_at: float | None = None
        self._attempt = 0

    async def climb(self) -> None:
        """Ask, wait, ask again where that helps, and record how it went."""
        started = self._stream.now()
        message, verdict = "not off when its time was up", Verdict.TIMEOUT
        try:
            with self._presence.watch(self._guest.key, self._bell.ring), self._until.watch(self._bell.ring):
                await self._wait()
        except Unfit as error:
            verdict, message = Verdict.SKIPPED, str(error)
        except TimeoutError as error:
            message = str(error) or "no answer to the request"
        except Exception as error:  # noqa: BLE001  a method's failure is a reason for the next rung
            verdict, message = Verdict.FAILED, _described(error)
            await self._ladder.settle(self._guest)  # it may have failed because the guest is off by now
        finally:
            ended = self._presence.ended(self._guest.key)
            attempt = Attempt(
                method=self._step.method,
                result=OUTCOMES[ended].value if ended else verdict.value,
                started=started,
                duration=self._stream.since(started),
                message="" if ended else message,
            )
            self._stream.emit(AttemptEnded(at=self._stream.now(), guest=self._guest.key, attempt=attempt))

    async def _wait(self) -> None:
        """Until the guest is off, its time is up, or the first request failed (which is raised)."""
        asking = self._ask()
        repeats, asked_again_at = self._asker.repeats(self._step), math.inf
        try:
            while not self._over():
                if asking.done() and self._attempt == 1:
                    asking.result()
                    self._sent_at = self._loop.time() if self._sent_at is None else self._sent_at
                if asking.done() and repeats:
                    asked_again_at = min(asked_again_at, self._loop.time() + repeats)
                if asked_again_at <= self._loop.time():
                    asked_again_at, asking = math.inf, self._ask()
                await self._bell.wait(min(self._limit(), asked_again_at))
            why = self._presence.lost(self._guest.uri)
            if why and self._presence.ended(self._guest.key) is None:
                raise ConnectionLost(f"the connection was lost ({why}); whether the guest is off is not known")
        finally:
            await self._end(asking)

    def _over(self) -> bool:
        return (
            self._presence.ended(self._guest.key) is not None
            or self._presence.lost(self._guest.uri) is not None
            or self._until.passed
            or (self._sent_at is not None and self._loop.time() >= self._limit())
        )

    def _limit(self) -> float:
        """When the rung's time is up: it counts from when the request was sent; until then, look again soon."""
        if self._sent_at is None:
            return self._loop.time() + SENT_POLL
        return self._sent_at + (self._step.timeout or math.inf)

    def _ask(self) -> "asyncio.Task[None]":
        self._attempt += 1
        asked = GuestAsked(
            at=self._stream.now(),
            guest=self._guest.key,
            method=self._step.method,
            attempt=self._attempt,
            out_of_order=self._out_of_order,
        )
        self._stream.emit(asked)
        limit = self._loop.time() + (self._step.timeout or math.inf) + LANE_PATIENCE
        until = min(self._until.at, limit if self._attempt == 1 else self._limit())
        request = self._asker.request(self._guest, self._step, attempt=self._attempt, until=until, sent=self._note_sent)
        asking = self._loop.create_task(request)
        asking.add_done_callback(self._bell.ring)
        return asking

    def _note_sent(self) -> None:
        """Called by a worker; setting a value needs no lock, and waking the loop for each request would cost time."""
        if self._sent_at is None:
            self._sent_at = self._loop.time()

    async def _end(self, asking: "asyncio.Task[None]") -> None:
        """Abandon a request that has not returned, and take it back if its guest still runs."""
        if asking.done():
            _ = asking.cancelled() or asking.exception()  # looked at, so that asyncio does not complain
            return
        asking.cancel()
        await asyncio.wait({asking})
        if self._presence.ended(self._guest.key) is None:
            await self._asker.withdraw(self._guest, self._step)


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, LastcallError) else f"{type(error).__name__}: {error}"
