"""What became of one guest, by what libvirt says: its verdict in the report."""

from lastcall.api.guests import Ended, Guest, GuestState, Outcome
from lastcall.guests.present_plan import PresentPlan
from lastcall.guests.stopping import Stopping
from lastcall.records.credit import Credit
from lastcall.records.records import GuestEnded, GuestWentOff


class Accounting:
    """Decides for one guest what its outcome is; may be asked again, as long as the run lasts."""

    def __init__(self, stopping: Stopping, present: PresentPlan) -> None:
        self._sight, self._stream = stopping.ladder.tools.sight, stopping.stream
        self._status, self._asker = self._sight.status, stopping.ladder.tools.asker
        self._present = present

    @property
    def _guest(self) -> Guest:
        return self._present.guest

    async def account(self, skipped: str = "", *, until: float) -> None:
        """Decide what became of the guest by what libvirt says, asked at most until a moment of the loop's clock."""
        if self._status.ended(self._guest.key) is None:
            # libvirt-guests counts a guest as stopped when it cannot ask for it; here only libvirt's own word counts.
            await self._sight.reach(self._guest, until)
        ended = self._status.ended(self._guest.key)
        state = GuestState.OFF if ended else await self._sight.look_again(self._guest, until)
        ended = ended or self._status.ended(self._guest.key)
        if ended:
            self._stream.emit(GuestWentOff(at=self._stream.now(), guest=self._guest.key, ended=ended))
            heard = [method for method, _ in self._stream.story.heard(self._guest.key)]
            credit = Credit.of(ended, self._guest, heard, self._asker.outcome)
            message = credit.message or self._unasked(credit.outcome) or self._kept()
            moved_to = self._sight.hypervisor.moved_to(self._guest) if credit.outcome is Outcome.MOVED else ""
            self.decide(credit.outcome, credit.method, ended, message, state, moved_to)
        else:
            self.leave(state, skipped)

    def leave(self, state: GuestState, skipped: str = "") -> None:
        """Decide what became of the guest as libvirt says that it is in this state, or says nothing."""
        outcome, message = _not_off(state, skipped)
        # Of one that libvirt says nothing about, that its plug was pulled says nothing either.
        pulled = self._plug_pulled() if outcome is Outcome.LEFT else ""
        self.decide(outcome, message=pulled or message, state=state)

    def _unasked(self, outcome: Outcome) -> str:
        asked = self._stream.story.result(self._guest.key).asked
        return "was never asked" if outcome is Outcome.FORCED and asked is None else ""

    def _kept(self) -> str:
        return "its backup goes on" if self._status.kept(self._guest.key) else ""

    def _plug_pulled(self) -> str:
        """Said of a guest whose plug was pulled and that is not off yet, by libvirt's word."""
        heard, outcome_of = self._stream.story.heard(self._guest.key), self._asker.outcome
        pulled = [at for method, at in heard if outcome_of(method) is Outcome.FORCED]
        return f"its plug was pulled {self._stream.since(pulled[-1]):.1f} s before the end" if pulled else ""

    def decide(
        self,
        outcome: Outcome,
        method: str | None = None,
        ended: Ended | None = None,
        message: str = "",
        state: GuestState = GuestState.UNKNOWN,
        moved_to: str = "",
    ) -> None:
        """Say so."""
        self._stream.emit(
            GuestEnded(
                at=self._stream.now(),
                guest=self._guest.key,
                outcome=outcome,
                method=method,
                ended=ended,
                message=message,
                state=state,
                moved_to=moved_to,
            )
        )


def _not_off(state: GuestState, skipped: str) -> tuple[Outcome, str]:
    if state is GuestState.UNKNOWN:
        return Outcome.UNKNOWN, "libvirt could not be asked whether it is off"
    if skipped:
        return Outcome.SKIPPED, skipped
    return Outcome.LEFT, f"still {state.value}"
