"""One attempt with one method: asked, waited for, asked again where that helps, and how it went."""

import asyncio
import math
from functools import partial

from lastcall.api.guests import Guest, GuestState, Outcome
from lastcall.api.results import Attempt, Verdict
from lastcall.errors import ConnectionLost, LastcallError, OperationInvalid, StartedAnew, in_words, whence
from lastcall.formats.bounded_text import said
from lastcall.guests.requests.method_work import Unfit
from lastcall.guests.requests.stop_request import Notices
from lastcall.guests.rungs.ending import GOING_OFF, Ending
from lastcall.guests.rungs.hang_watch import HangWatch
from lastcall.guests.rungs.rung_time import RungTime
from lastcall.guests.rungs.rung_tools import RungTools
from lastcall.planning.plan import Step
from lastcall.records.credit import BY_OTHERS
from lastcall.records.records import AttemptEnded, GuestAsked
from lastcall.threads.error_trace import let_go_of_frames
from lastcall.threads.wakeup import Wakeup
from lastcall.timing.moment import Moment

REBOOT_TIME = 5.0  # seconds that a guest which reboots instead of powering off needs until it may hear us
LOST_RETRY = 0.5  # seconds until a request whose connection died is made again
CONFIRMATION = 0.5  # seconds until libvirt is asked, where the guest has to be off and no event says so
RETRY = 1.0  # seconds between a refusal and the next try


class Rung:
    """One attempt with one method. Once it is over, `asked`, `started` and `hangs` tell what came of it."""

    def __init__(
        self, tools: RungTools, guest: Guest, step: Step, until: Moment, *, out_of_order: bool, held: bool
    ) -> None:
        self._tools, self._guest, self._step, self._until = tools, guest, step, until
        self._out_of_order = out_of_order
        self._asker, self._sight, self._stream = tools.asker, tools.sight, tools.stream
        self._status, self._loop = tools.sight.status, tools.sight.loop
        self._wakeup = Wakeup(self._loop)
        self._time = RungTime(tools, guest, step, until)
        self._whence = "", ""  # the place in the plugin, and the traceback, of what failed or was given up
        self._attempt, self._accepted = 0, False
        self._ask_again_at, self._look_at = math.inf, math.inf
        self._era = self._status.era(guest.uri)
        self._reboots = self._status.reboots(guest.key)
        self._starts = self._status.starts(guest.key)
        # Beside somebody's job it waits for that, which says nothing of QEMU: the plug was pulled as of one that hangs.
        self._hang_watch = HangWatch(tools, guest, returns_at_once=self._asker.returns_at_once(step) and not held)
        self.started = False  # whether the guest was off, and started by somebody, meanwhile

    @property
    def asked(self) -> bool:
        """Whether the guest can have heard it, and has not forgotten it."""
        return self._time.asked

    @property
    def hangs(self) -> bool:
        """Whether its QEMU is taken to hang."""
        return self._hang_watch.hangs

    async def climb(self) -> Verdict:
        """Ask, wait, ask again where that helps, and record how it went."""
        started = self._stream.now()
        message, verdict = "not off when its time was up", Verdict.TIMEOUT
        try:
            # Watched before anything is sent: some guests are off before the request has returned.
            with self._status.watch(self._guest.key, self._wakeup.ring), self._until.watch(self._wakeup.ring):
                if await self._wait():
                    message, verdict = "", Verdict.OK
                elif (refusal := self._time.refusal) and self._time.was_only_refused:
                    message, verdict, self._whence = in_words(refusal), Verdict.FAILED, whence(refusal)
        except Unfit as error:
            verdict, message = Verdict.SKIPPED, said(error)
            let_go_of_frames(error)
        except TimeoutError as error:
            message = said(error) or "no answer to the request"
            let_go_of_frames(error)
        except Exception as error:  # noqa: BLE001  a method's failure is a reason for the next rung
            verdict, message, self._whence = Verdict.FAILED, in_words(error), whence(error)
            let_go_of_frames(error)
            await self._reconsider(error)
        finally:
            self._record(started, verdict, message)
        return verdict

    async def _reconsider(self, error: Exception) -> None:
        """It may have failed because the guest is off by now, or goes off: then libvirt says so a moment later."""
        # QEMU may be gone before libvirt says so. A request in that moment is refused (error 55), and without a second
        # look its guest was reported as left running.
        until = self._loop.time() + GOING_OFF if isinstance(error, OperationInvalid) else 0.0
        while await self._sight.look_again(self._guest) is GuestState.RUNNING and self._loop.time() < until:
            await asyncio.sleep(GOING_OFF / 20)

    def _record(self, started: float, verdict: Verdict, message: str) -> None:
        ended, mine = self._status.ended(self._guest.key), self._asker.outcome(self._step.method)
        ending = Ending(ended, mine) if ended else None
        asks = self._step.asks and not self._step.last_resort
        # That an earlier request was refused says nothing of the latest: one that was asked again after a refusal, and
        # obeyed before libvirt had answered, was reported as never asked.
        latest, refusal = self._time.latest, self._time.refusal
        if ending and (not latest.refused or (asks and ending.came_with(latest, refusal, self._loop.time()))):
            self._time.hear()
        asked_at = self._time.asked_at
        if ending and ending.is_by_method(asked=asked_at is not None):
            result, message, self._whence = ending.outcome, "", ("", "")
        else:
            result = verdict
            if ended and verdict is Verdict.TIMEOUT:
                message = BY_OTHERS.get(ended, message)
        attempt = Attempt(
            method=self._step.method,
            result=result,
            started=started,
            duration=self._stream.since(started),
            message=message,
            where=self._whence[0],
            traceback=self._whence[1],
        )
        heard = None if asked_at is None else self._stream.at(asked_at)
        self._stream.emit(
            AttemptEnded(at=self._stream.now(), guest=self._guest.key, attempt=attempt, heard=heard, asks=asks)
        )

    async def _wait(self) -> bool:
        """Until the guest is off, its time is up, or the first request failed (which is raised).

        Returns whether a step that only prepares has done so.
        """
        repeats = self._asker.repeats(self._step)
        self._ask()
        try:
            while not self._time.is_over and not await self._hang_watch.tells(self._time.latest):
                if await self._looked():
                    continue
                if self._accepted and self._step.prepares:
                    return True
                if self._came_back():
                    await self._ask_anew()
                    continue
                self._notice_start()
                if self._time.latest.answered and not self._tools.only_waits():
                    self._expect_to_ask_again(repeats)
                    if self._ask_again_at <= self._loop.time():
                        self._ask()
                elif self._tools.only_waits() and self._time.latest.left_at is None:
                    await self._time.latest.abandon()  # it waits for a lane, and had better not get one any more
                await self._wakeup.wait(self._next_move())
            why = self._status.lost(self._guest.uri)
            if why and self._status.ended(self._guest.key) is None:
                raise ConnectionLost(f"the connection was lost ({why}); whether the guest is off is not known")
            if self._status.crashed(self._guest.key):
                raise LastcallError("its system has crashed")
            return False
        finally:
            await self._end()

    async def _looked(self) -> bool:
        """Ask libvirt what became of the guest, where it may be off, refused as its request was, or has to be."""
        refused = self._time.latest.answered and self._time.latest.unread and self._heed()
        if not refused and self._look_at > self._loop.time():
            return False
        self._look_at = math.inf
        await self._sight.look_again(self._guest)
        return True

    def _heed(self) -> bool:
        """Look at the latest request's answer. True where it was refused and is made again; raises any other failure.

        A dead connection is no answer: nobody knows what was delivered, so the guest is asked again.
        """
        self._time.latest.unread, error = False, self._time.latest.error
        if isinstance(error, ConnectionLost):
            # Of several connections to one daemon one may die alone: the next request opens another at once.
            self._ask_again_at = self._loop.time() + LOST_RETRY
        elif isinstance(error, StartedAnew):
            self._status.confirm_start(self._guest.key)
            self._notice_start()
            raise error
        elif error is None:
            self._accept()
        elif isinstance(error, TimeoutError) and self._time.was_given_up_early():
            self._time.hear()
            if self._time.latest.left_at is None:
                self._ask_again_at = self._loop.time()
        elif not self._accepted:
            if isinstance(error, TimeoutError):
                self._time.hear()
            else:
                self._time.refuse(error)
            # A refusal of libvirt is not the guest's answer: of one that was paused for a moment, or dumped, the plug
            # was pulled after 2 s of 120.
            if not self._asker.insists(self._step, error):
                raise error
            pause = GOING_OFF if isinstance(error, OperationInvalid) else RETRY
            self._ask_again_at = self._loop.time() + pause
            return True
        return False

    def _accept(self) -> None:
        self._accepted = True
        self._time.accept()
        if self._asker.outcome(self._step.method) in {Outcome.FORCED, Outcome.SAVED, Outcome.MOVED}:
            # libvirt answers these when the guest is off. Its event was lost, nobody asked until the run had no
            # time left for that, and who had been destroyed was reported as unknown.
            self._look_at = self._loop.time() + CONFIRMATION

    def _came_back(self) -> bool:
        """Whether the connection died and lives again since the guest was asked."""
        era = self._status.era(self._guest.uri)
        came_back, self._era = era != self._era, era
        return came_back

    async def _ask_anew(self) -> None:
        """Ask libvirt what became of the guest while the connection was dead, and the guest again if it still runs."""
        await self._end()
        await self._sight.look_again(self._guest)
        if self._status.ended(self._guest.key) is None and not self._tools.only_waits():
            self._ask()

    def _notice_start(self) -> None:
        """One that was off, and that somebody has started before we knew, has heard nothing of us.

        Both events may come at once, or the first be lost: its plug was pulled for what it had been asked before.
        """
        starts = self._status.starts(self._guest.key)
        if starts != self._starts:
            self._starts = starts
            self._time.forget()
            self.started = True
            self._ask_again_at = min(self._ask_again_at, self._loop.time() + REBOOT_TIME)

    def _expect_to_ask_again(self, repeats: float) -> None:
        """Decide when: regularly where that helps, and whenever the guest began anew instead of powering off."""
        now = self._loop.time()
        # Windows and some others power off only when the button is pressed a second time.
        if repeats:
            self._ask_again_at = min(self._ask_again_at, now + repeats)
        reboots = self._status.reboots(self._guest.key)
        # on_poweroff=restart turns a shutdown into a reboot, and firmware ignores every request.
        if reboots != self._reboots:
            self._reboots = reboots
            self._ask_again_at = min(self._ask_again_at, now + REBOOT_TIME)

    def _next_move(self) -> float:
        """When there is something to do, if nothing happens until then."""
        # Nobody is asked again before the answer is there: where that had come to be due meanwhile, this turned without
        # a pause until it was.
        asks_again = self._ask_again_at if self._time.latest.answered and not self._tools.only_waits() else math.inf
        return min(self._time.limit(), asks_again, self._look_at, self._hang_watch.due(self._time.latest))

    def _ask(self) -> None:
        self._attempt += 1
        asked = GuestAsked(
            at=self._stream.now(),
            guest=self._guest.key,
            method=self._step.method,
            attempt=self._attempt,
            out_of_order=self._out_of_order,
            until=self._stream.by(self._time.expected_end()),
            last_resort=self._step.last_resort,
        )
        self._ask_again_at, latest = math.inf, self._time.begin()
        sent = partial(self._time.note_sent, latest)
        notices = Notices(begun=lambda: self._stream.emit(asked), sent=sent, stood=self._note_place)
        until, attempt = latest.given_until, self._attempt
        request = partial(self._asker.request, self._guest, self._step, attempt=attempt, until=until, notices=notices)
        latest.begin(request, self._loop, self._wakeup.ring)

    def _note_place(self, *whence: str) -> None:
        """Where the method was left; of an earlier request it says nothing of what became of the guest since."""
        self._whence = whence[0], whence[1]

    async def _end(self) -> None:
        """Abandon a request that has not returned, and take it back if its guest still runs."""
        latest = self._time.latest
        if latest.answered and not isinstance(latest.error, TimeoutError):
            # An answer that came in the moment in which the guest was found off counts all the same: a plug that was
            # refused then was credited with what the request before it had done.
            if latest.unread and latest.error is None:
                self._time.hear()
            elif latest.unread and latest.error and not isinstance(latest.error, ConnectionLost):
                self._time.refuse(latest.error)
            return
        self._time.hear()  # not answered in its time
        await latest.abandon()
        if self._status.ended(self._guest.key) is None:
            # A save that goes on keeps the domain's job: the ACPI request of the
            # next rung would fail after 30 s (error 68).
            back = self._loop.create_task(self._asker.withdraw(self._guest, self._step))
            self._tools.withdrawals.add(back)
            back.add_done_callback(self._tools.withdrawals.discard)
            # Not before a plug, which needs no job, and which a withdrawal that hangs would cost its last seconds.
            if self._step.moves or not self._until.passed:
                await asyncio.wait({back})
