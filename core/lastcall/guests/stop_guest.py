"""One guest's way off: its turn, its hooks, its ladder, the last resort, and what libvirt says in the end."""

import math
from collections.abc import Sequence

from lastcall.api.guests import Guest, GuestState, Outcome
from lastcall.guests.accounting import Accounting
from lastcall.guests.outside.plugin_waits import PluginWaits
from lastcall.guests.outside.watched_guest import WatchedGuest
from lastcall.guests.present_plan import PresentPlan
from lastcall.guests.rungs.on_poweroff import PoweroffAction
from lastcall.guests.stop_sequence import StopSequence
from lastcall.guests.stopping import Stopping
from lastcall.hooks.dispatch import Fired
from lastcall.planning.plan import PlannedGuest
from lastcall.records.records import GuestBegun

_HOOK = "on_guest_stop"


class GuestStop:
    """Brings one guest off that was seen running, and then looked at, at these moments of the loop's clock.

    `waited_for`: names of those it had to wait for. `changed`: an earlier stop of it may have left something changed.
    """

    def __init__(
        self,
        stopping: Stopping,
        planned: PlannedGuest,
        seen_at: float,
        looked_at: float,
        waited_for: Sequence[str] = (),
        *,
        changed: bool = False,
    ) -> None:
        self._stopping = stopping
        self._scheduler, self._phases, self._hooks = stopping.scheduler, stopping.phases, stopping.hooks
        self._busy = stopping.busy
        self._stream, sight = stopping.stream, stopping.ladder.tools.sight
        self._status = sight.status
        self._present = PresentPlan(stopping, planned, seen_at, looked_at)
        restarts = planned.facts.restarts
        self._poweroff = PoweroffAction(
            sight.hypervisor, self._stream, planned.guest, restarts=restarts, changed=changed
        )  # fmt: skip
        self._sequence = StopSequence(stopping, self._present, self._poweroff)
        self._accounting = Accounting(stopping, self._present)
        self._waited_for = tuple(waited_for)
        self._unasked = False
        self._waited_out = False
        self._starts: int | None = None  # heard of when it was decided what became of it

    @property
    def _planned(self) -> PlannedGuest:
        return self._present.planned

    @property
    def _guest(self) -> Guest:
        return self._present.guest

    async def stop(self) -> None:
        """Do all of it. Whoever waits for this guest may move when it is over, however it ended."""
        try:
            if self.watches:
                await self._wait_outside()
            elif self._planned.left_because:
                self._leave_alone()
                # Those that wait for it wait for those before it, too.
                await self._phases.last_ask.bounds(self._scheduler.turn(self._guest.key))
            else:
                await self._go(in_turn=await self._wait_for_turn())
        finally:
            self._note_starts()
            self._scheduler.done(self._guest.key)

    async def _wait_outside(self) -> None:
        """It goes off by itself, or does not: decided also where the run is over before."""
        watched = WatchedGuest(self._stopping, self._guest)
        self._stream.emit(GuestBegun(at=self._stream.now(), guest=self._guest.key))
        try:
            await watched.over()
        finally:
            self._waited_out = watched.waited_out
            ended = self._status.ended(self._guest.key)
            state = GuestState.OFF if ended else self._guest.state
            self._accounting.decide(Outcome.SKIPPED, ended=ended, message=watched.verdict, state=state)

    def _leave_alone(self) -> None:
        arriving = self.arrives and self._planned.ours
        self._accounting.decide(
            Outcome.LEFT if arriving else Outcome.SKIPPED,
            message=self._planned.left_because,
            state=self._guest.state,
        )

    async def _wait_for_turn(self) -> bool:
        """True when the turn came, False when it was time to ask everybody."""
        scheduler = self._scheduler
        # libvirt-guests never asks those that are still queued when its time is up:
        # two guests that hung starved all others.
        in_turn = scheduler.may_move(self._guest.key) or await self._phases.last_ask.bounds(
            scheduler.turn(self._guest.key)
        )
        await self._stopping.entrance.come_in(self._guest.uri)
        outside = PluginWaits(self._stopping, self._guest)
        in_turn = in_turn and await outside.over()
        waited_for = (*self._waited_for, *outside.named)
        self._stream.emit(GuestBegun(at=self._stream.now(), guest=self._guest.key, waited_for=waited_for))
        return in_turn

    async def _go(self, *, in_turn: bool) -> None:
        self._busy.end(self._guest.key)  # what asks about a guest must not stand in the way of what is done to it
        await self._present.look_anew()
        await self._present.wait_for_other_jobs(self._hooks.boxes(_HOOK, self._guest, self._planned.hook_timeout))
        if self._present.is_left:
            self._leave_alone()
            return
        why = await self._fire_on_guest_stop()
        if why:
            await self._finish(skipped=why)
            return
        await self._present.look_anew()
        await self._present.wait_for_other_jobs()
        if self._phases.asks_no_more:
            await self._finish(skipped=self._leave_unasked())
            return
        if not self._present.is_left:
            await self._sequence.run(in_turn=in_turn)
        await self._finish(skipped=self._leave_unasked() if self._sequence.was_too_late else "")

    def _leave_unasked(self) -> str:
        self._unasked = True
        # One that was left before in this run, and was to be asked once more, has heard of it, and may go off yet.
        asked = self._stream.story.result(self._guest.key).asked is not None
        return "" if asked else self._phases.why_unasked

    async def _fire_on_guest_stop(self) -> str:
        """Returns why the guest is not to be asked, if so."""
        fired, last_ask = Fired(), self._phases.last_ask
        off = self._status.ended(self._guest.key) is not None
        if self._hooks.listens(_HOOK, self._guest) and not self._phases.asks_no_more and not off:
            box, late = self._planned.hook_timeout, last_ask.passed
            until = -math.inf if late else min(last_ask.at, self._phases.last_resort.at)
            firing = self._hooks.fire(_HOOK, self._guest, until=until, box=box, into=fired)
            await (firing if late else last_ask.bounds(firing))
        why = fired.because if fired.verdict == "skip_guest" else ""
        if self._phases.asks_no_more:
            return self._leave_unasked()
        if why and not self._phases.voluntary:
            # The host goes down in any case: better asked late, without its hook, than destroyed unasked.
            self._scheduler.done(self._guest.key)
            await self._phases.until_everybody_is_asked()
            return ""
        return why

    async def _finish(self, skipped: str = "") -> None:
        """Decide what became of the guest by what libvirt says, and tell the plugins."""
        await self.account(skipped, until=self._phases.last_hook.at)
        if self._present.is_left and self._stream.story.result(self._guest.key).outcome is not Outcome.UNKNOWN:
            self._leave_alone()
        # Not when plugins have been told: whoever starts it meanwhile starts one that was off.
        self._note_starts()
        result = self._stream.story.result(self._guest.key)
        await self._hooks.fire("on_guest_stopped", self._guest, until=self._phases.last_hook.at, result=result)

    def _note_starts(self) -> None:
        self._starts = self.starts

    async def account(self, skipped: str = "", *, until: float) -> None:
        """Decide what became of the guest by what libvirt says, asked at most until a moment of the loop's clock."""
        await self._accounting.account(skipped, until=until)

    def leave(self, state: GuestState, skipped: str = "") -> None:
        """Decide what became of the guest as libvirt says that it is in this state, or says nothing."""
        self._accounting.leave(state, skipped)

    @property
    def is_cut_short(self) -> bool:
        """Whether it came to its end before its time, as nobody was to be asked any more."""
        return self._unasked or self._sequence.is_cut_short

    @property
    def starts(self) -> int:
        """How often it had been started when it was decided what became of it; by now, where that is open."""
        return self._status.starts(self._guest.key) if self._starts is None else self._starts

    @property
    def leaves(self) -> bool:
        """Whether the guest is left alone."""
        return bool(self._planned.left_because)

    @property
    def watches(self) -> bool:
        """Whether the guest is a neighbour's, and only waited for."""
        return self._planned.watched is not None

    @property
    def waits_no_more(self) -> bool:
        """Whether the guest is a neighbour's that stays up: nobody waits for it a second time."""
        return self._waited_out

    @property
    def arrives(self) -> bool:
        """Whether the guest is about to migrate, here or away from here: it may run on the other host."""
        return self._present.arrives

    @property
    def changed(self) -> bool:
        """Whether something of the guest is not as it was, although it may run on; see `PoweroffAction`."""
        return self._poweroff.changed

    async def put_back(self) -> None:
        """Make the guest what it was, where it runs on."""
        await self._poweroff.put_back()

    @property
    def guest(self) -> Guest:
        """The guest."""
        return self._guest
