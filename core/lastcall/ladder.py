"""Stopping one guest: rung by rung, each with its time, until libvirt says that the guest is off."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lastcall.api.guests import Ended, Guest, GuestState, Outcome
from lastcall.api.results import Attempt, Verdict
from lastcall.asking import Asker, Unfit
from lastcall.errors import ConnectionLost, LastcallError
from lastcall.milestone import Milestone
from lastcall.plan import Step
from lastcall.ports import Hypervisor
from lastcall.presence import Presence
from lastcall.records import AttemptEnded, GuestAsked
from lastcall.stream import Stream

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
            if until.passed or self.presence.ended(guest.key):
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
        self._limit = math.inf
        self._sent = self._loop.create_future()

    async def climb(self) -> None:
        """Ask, wait, ask again where that helps, and record how it went."""
        started = self._stream.now()
        off = self._loop.create_task(self._presence.off(self._guest.key))
        message, verdict = "", Verdict.TIMEOUT
        try:
            await self._wait(off)
            message = "" if off.done() else "not off when its time was up"
        except Unfit as error:
            verdict, message = Verdict.SKIPPED, str(error)
        except ConnectionLost as error:
            verdict, message = Verdict.FAILED, str(error)
        except TimeoutError as error:
            message = str(error) or "no answer to the request"
        except Exception as error:  # noqa: BLE001  a method's failure is a reason for the next rung
            verdict, message = (
                Verdict.FAILED,
                str(error) if isinstance(error, LastcallError) else f"{type(error).__name__}: {error}",
            )
            await self._ladder.settle(self._guest)  # it may have failed because the guest is off by now
        finally:
            off.cancel()
            await asyncio.wait({off})
            ended = self._presence.ended(self._guest.key)
            result = OUTCOMES[ended].value if ended else verdict.value
            attempt = Attempt(
                method=self._step.method, result=result, started=started,
                duration=self._stream.now() - started, message="" if ended else message,
            )  # fmt: skip
            self._stream.emit(AttemptEnded(at=self._stream.now(), guest=self._guest.key, attempt=attempt))

    async def _wait(self, off: "asyncio.Task[Ended]") -> None:
        attempt, asking = 1, self._ask(1)
        repeats = self._asker.repeats(self._step)
        try:
            with self._until.watch() as until:
                await self._first(off, asking, until, self._sent)
                self._limit = self._loop.time() + (self._step.timeout or math.inf)
                while not off.done() and not until.done() and self._loop.time() < self._limit:
                    if asking.done() and attempt == 1:
                        asking.result()  # the request failed: nothing to wait for
                    again = self._loop.time() + repeats if repeats else math.inf
                    await self._first(off, until, *(() if asking.done() else (asking,)), at=min(again, self._limit))
                    if repeats and asking.done() and again <= self._loop.time() < self._limit:
                        attempt += 1
                        asking = self._ask(attempt)
                if off.done():
                    off.result()
        finally:
            await self._end(asking, withdraw=not off.done())

    def _ask(self, attempt: int) -> "asyncio.Task[None]":
        self._stream.emit(
            GuestAsked(
                at=self._stream.now(),
                guest=self._guest.key,
                method=self._step.method,
                attempt=attempt,
                out_of_order=self._out_of_order,
            )
        )
        until = min(self._until.at, self._limit)
        if self._step.timeout and attempt == 1:
            until = min(until, self._loop.time() + self._step.timeout + LANE_PATIENCE)
        request = self._asker.request(self._guest, self._step, attempt=attempt, until=until, sent=self._note_sent)
        return self._loop.create_task(request)

    def _note_sent(self) -> None:
        if not self._sent.done():
            self._sent.set_result(None)

    async def _end(self, asking: "asyncio.Task[None]", *, withdraw: bool) -> None:
        pending = not asking.done()
        asking.cancel()
        await asyncio.wait({asking})
        if not asking.cancelled():
            asking.exception()  # looked at, so that asyncio does not complain
        if pending and withdraw:
            await self._asker.withdraw(self._guest, self._step)

    async def _first(
        self, *futures: "asyncio.Future[None] | asyncio.Task[Ended] | asyncio.Task[None]", at: float = math.inf
    ) -> None:
        timeout = None if at == math.inf else max(0.0, at - self._loop.time())
        await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


LANE_PATIENCE = 60.0  # seconds that a request may wait for its lane; its own time counts from when it is sent
