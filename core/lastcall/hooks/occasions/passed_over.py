"""Implementations that are not meant for the run: not called, told of once, and remembered in case the run changes."""

from lastcall.api.guests import Guest, Key
from lastcall.api.results import HookRecord, Verdict
from lastcall.hooks.call import RunContext
from lastcall.hooks.registry import Implementation
from lastcall.records.records import HookEnded
from lastcall.records.stream import Stream

NO_TIME = "not called: no time was left for it"


class PassedOver:
    """Decides whether an implementation is called, for the whole run or for a guest."""

    def __init__(self, context: RunContext, stream: Stream) -> None:
        self._context = context
        self._stream = stream
        self._known: set[tuple[str, str, Key | None]] = set()  # hook, plugin, guest

    def lets(self, one: Implementation, guest: Guest | None, *, missed: bool) -> bool:
        """Whether it is called now; `missed`: only if it was not before, as the run was another one then."""
        key = guest.key if guest else None
        place = (one.hook, one.plugin, key)
        known = place in self._known
        # Asked each time: a host stop that joins makes a run by hand another one.
        why = self.why(one)
        if not why:
            self._known.discard(place)
            return known or not missed
        if not known:  # once: `guest_ready` is asked every second
            self._known.add(place)
            self._tell(one, key, Verdict.SKIPPED, why)
        return False

    def leave_out(self, one: Implementation, guest: Guest | None) -> None:
        """Tell that there is no time to call it: nobody would know that a database was not flushed."""
        self._tell(one, guest.key if guest else None, Verdict.TIMEOUT, NO_TIME)

    def why(self, one: Implementation) -> str:
        """Why it is not called now; nothing where it is."""
        return one.occasions.refusal(one.hook, self._context.terms.reason, rehearsal=self._context.rehearsal)

    def _tell(self, one: Implementation, key: Key | None, result: Verdict, why: str) -> None:
        now = self._stream.now()
        record = HookRecord(
            hook=one.hook, plugin=one.plugin, result=result, started=now, duration=0.0, message=why,
            called=False,
        )  # fmt: skip
        self._stream.emit(HookEnded(at=now, guest=key, record=record))
