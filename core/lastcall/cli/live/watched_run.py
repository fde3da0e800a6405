"""A run as somebody watches it: who moves, who is done, and how its time stands. Learns from records alone."""

from collections import Counter
from collections.abc import Mapping

from lastcall.api.guests import Key, Outcome, Reason, RunKind
from lastcall.api.naming.guest_names import GuestNames
from lastcall.formats.values import value
from lastcall.records.records import (
    AttemptEnded,
    GuestAsked,
    GuestBegun,
    GuestEnded,
    GuestHeld,
    GuestPlanned,
    HookBegun,
    HookEnded,
    PowerChanged,
    Record,
    RunInterrupted,
    RunJoined,
    RunStarted,
)

_NEXT = {RunKind.SHUTDOWN: "to be asked", RunKind.RESTORE: "to be started"}
_AGAIN = {RunKind.SHUTDOWN: "asked again", RunKind.RESTORE: "tried again"}
_READY = "guest_ready"
_LAST_HOOKS = frozenset({"post_shutdown", "post_restore"})


@value
class Move:
    """What a guest, or the run itself, does: since when and until when, in seconds of the run.

    `place`: the end of its name that tells it from others that are called alike.
    """

    name: str
    doing: str
    since: float
    until: float | None = None
    last_resort: bool = False
    hook: str = ""
    place: str = ""


class WatchedRun:
    """What is known of a run by now; `take` it the records in their order."""

    def __init__(self) -> None:
        self.kind, self.reason = RunKind.SHUTDOWN, Reason.MANUAL
        self.deadline: float | None = None
        self.last_ask: float | None = None
        self.last_resort: float | None = None
        self.interrupted = 0  # signals that told it to end
        self.is_seen = self.is_over = (
            False  # whether its guests are known, so that nobody is asked for a password any more
        )
        self._names = GuestNames()
        self._to_come: set[Key] = set()
        self._moves: dict[Key, Move] = {}
        self._ended: dict[Key, Outcome] = {}
        self._own_hook: Move | None = None
        # What moves and what was, as long as nothing happens: time alone has all of it drawn anew each second.
        self._in_order: list[Move] | None = None
        self._outcomes: Mapping[Outcome, int] | None = None

    def take(self, record: Record) -> None:
        """Learn from a record."""
        self._in_order = self._outcomes = None
        match record:
            case RunStarted():
                self.kind = record.kind
                self._take_times(record)
            case RunJoined():
                # Who interrupted a run by hand has told the host stop that it becomes nothing yet.
                if self.reason.voluntary and not record.reason.voluntary:
                    self.interrupted = 0
                self._take_times(record)
            case PowerChanged():
                # Whoever turns round has asked its last guest, as after a first Ctrl-C by hand.
                self.interrupted = int(record.turned)
                self._take_times(record)
            case RunInterrupted():
                self.interrupted = record.times
                self.last_ask, self.last_resort = record.last_ask, record.last_resort
            case HookBegun() | HookEnded():
                self._take_hook(record)
            case _:
                self._take_guest(record)

    def moves(self) -> list[Move]:
        """What moves, those first whose time is up first; the run itself before its guests."""
        if self._in_order is None:
            by_time = sorted(self._moves.values(), key=lambda one: (self.until(one), one.since, one.name))
            self._in_order = [self._own_hook, *by_time] if self._own_hook else by_time
        return self._in_order

    def until(self, move: Move) -> float:
        """When it is over; infinite, where it takes as long as it takes."""
        ends, resort = self.deadline if move.until is None else move.until, self.last_resort
        until = float("inf") if ends is None else ends
        # What asks is over with the last resort's beginning, which may have come nearer since.
        asks = resort is not None and not (move.last_resort or move.hook) and move.since < resort
        return resort if resort is not None and asks and resort < until else until

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """What became of those that are done."""
        if self._outcomes is None:
            self._outcomes = Counter(self._ended.values())
        return self._outcomes

    @property
    def count(self) -> int:
        """How many guests it is about."""
        return len(self._names)

    @property
    def moving(self) -> int:
        """How many guests move."""
        return len(self._moves)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._to_come)

    @property
    def is_closing(self) -> bool:
        """Whether guests are done with, and its last hooks are called."""
        return self._own_hook is not None and self._own_hook.hook in _LAST_HOOKS

    def _take_times(self, record: RunStarted | RunJoined | PowerChanged) -> None:
        self.reason, self.deadline = record.reason, record.deadline
        self.last_ask, self.last_resort = record.last_ask, record.last_resort

    def _take_guest(self, record: Record) -> None:
        match record:
            case GuestPlanned():
                key, self.is_seen = record.guest.key, True
                self._names.add(record.guest)
                self._ended.pop(key, None)
                if key not in self._moves:
                    self._to_come.add(key)
            case GuestBegun():
                self._move(record.guest, _NEXT[self.kind], record.at)
            case GuestHeld():
                self._move(record.guest, f"waits for {record.by}", record.at, record.until)
            case GuestAsked():
                self._ask(record)
            case AttemptEnded():
                self._move(record.guest, f"{record.attempt.method} {record.attempt.result.value}", record.at)
            case GuestEnded():
                self._ended[record.guest] = record.outcome
                self._moves.pop(record.guest, None)
                self._to_come.discard(record.guest)
            case _:
                pass

    def _ask(self, record: GuestAsked) -> None:
        doing = f"last resort: {record.method}" if record.last_resort else record.method
        before = self._moves.get(record.guest)
        again = record.attempt > 1 and before is not None and before.doing.startswith(doing)
        if record.attempt > 1:
            doing = f"{doing}, {_AGAIN[self.kind]} ({record.attempt})"
        since = before.since if before and again else record.at
        self._move(record.guest, doing, since, record.until, last_resort=record.last_resort)

    def _take_hook(self, record: HookBegun | HookEnded) -> None:
        key, self.is_seen = record.guest, True
        if key is None:
            self._own_hook = _hook_move("this run", record) if isinstance(record, HookBegun) else None
        elif key not in self._names:  # its settings are asked for before it belongs to the run
            return
        elif isinstance(record, HookBegun):
            self._moves[key] = _hook_move(self._names[key], record, self._names.place(key))
            self._to_come.discard(key)
        elif record.record.hook == _READY:
            before = self._moves.get(key)
            waits = f"until {record.record.plugin} says that it is ready"
            self._move(key, waits, before.since if before and before.doing == waits else record.at)
        elif key in self._ended:
            self._moves.pop(key, None)
        else:
            self._move(key, _NEXT[self.kind], record.at)

    def _move(
        self, key: Key, doing: str, since: float, until: float | None = None, *, last_resort: bool = False
    ) -> None:
        if key not in self._ended:
            name, place = (self._names[key], self._names.place(key)) if key in self._names else (key[1], "")
            self._moves[key] = Move(name, doing, since, until, last_resort, place=place)
            self._to_come.discard(key)


def _hook_move(name: str, record: HookBegun, place: str = "") -> Move:
    return Move(name, f"{record.hook} of {record.plugin}", record.at, record.until, hook=record.hook, place=place)
