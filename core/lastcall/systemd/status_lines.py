"""Keeps systemd and the console informed while a run goes on, and asks for more time as long as there is progress."""

from collections import Counter

from lastcall.api.guests import Key, Outcome, RunKind
from lastcall.api.naming.guest_names import GuestNames
from lastcall.persistence.power.awaited_charge import charge_words
from lastcall.records.records import (
    ChargeAwaited,
    GuestAsked,
    GuestBegun,
    GuestEnded,
    GuestHeld,
    GuestPlanned,
    HookBegun,
    HookEnded,
    PowerChanged,
    Record,
    RunEnded,
    RunJoined,
    RunStarted,
)
from lastcall.systemd.console import Console
from lastcall.systemd.notify import Notifier

# Small steps instead of no limit: one extension let a stop of 15 s finish under TimeoutStopSec=8, while a host
# with TimeoutStopSec=0 was wedged for 45 h.
EXTENSION = 30.0  # seconds that systemd is asked for again and again
MARGIN = 10.0  # seconds after the deadline in which the process has ended for certain
CONSOLE_INTERVAL = 5.0  # seconds
_SHOWN = 3  # guests that a line names
_NEXT = {RunKind.SHUTDOWN: "to be asked", RunKind.RESTORE: "to be started"}
_VERBS = {RunKind.SHUTDOWN: "stopping", RunKind.RESTORE: "starting"}


class StatusLines:
    """A sink (`take`) that is also told every second what time it is (`tick`), both on the loop's thread.

    As it lives on that thread, a run that hangs does not get more time.
    """

    def __init__(self, notifier: Notifier | None, console: Console | None) -> None:
        self._notifier, self._console = notifier, console
        self._kind = RunKind.SHUTDOWN
        self._ends: float | None = None
        self._names = GuestNames()
        self._doing: dict[Key, str] = {}
        self._ended: dict[Key, Outcome] = {}
        self._hook = self._charge = ""
        self._said = -CONSOLE_INTERVAL

    def take(self, record: Record) -> None:
        """Learn from a record."""
        match record:
            case RunStarted():
                self._kind, self._ends = record.kind, record.deadline
                self.tick(record.at)
            case RunJoined() | PowerChanged():
                self._ends = record.deadline
            case ChargeAwaited():
                self._ends = record.deadline
                self._charge = "" if record.over else charge_words(record.charge, record.wanted)
            case RunEnded():
                self._conclude()
            case _:
                self._take_guest(record)

    def tick(self, now: float) -> None:
        """Tell how things stand `now` seconds after the start."""
        self._tell(now, self.line(now))

    def wait(self, now: float, ends: float) -> None:
        """The same while another run does the work, which has to be over by `ends`."""
        self._ends = ends
        self._tell(now, f"another run stops the guests · {max(0.0, ends - now):.0f} s left")

    def line(self, now: float) -> str:
        """How things stand: `stopping 3/12 · db-1 flushing · 41 s left`."""
        if self._charge:
            return self._charge  # nobody is known yet
        done = f"{_VERBS[self._kind]} {len(self._ended)}/{len(self._names)}"
        doing = [f"{self._names[key]} {what}" for key, what in list(self._doing.items())[:_SHOWN]]
        more = len(self._doing) - len(doing)
        parts = [done, *([self._hook] if self._hook else []), *doing, *([f"{more} more"] if more > 0 else [])]
        if self._ends is not None:
            parts.append(f"{max(0.0, self._ends - now):.0f} s left")
        return " · ".join(parts)

    def _tell(self, now: float, line: str) -> None:
        if self._notifier:
            # Never past the deadline: when the run itself hangs, systemd has to be able to end it.
            left = EXTENSION if self._ends is None else min(EXTENSION, self._ends + MARGIN - now)
            self._notifier.send(status=line, extend=left)
        if self._console and now >= self._said + CONSOLE_INTERVAL:
            self._said = now
            self._console.say(line)

    def _take_guest(self, record: Record) -> None:
        match record:
            case GuestPlanned():
                self._names.add(record.guest)
                self._ended.pop(record.guest.key, None)
            case GuestBegun():
                self._doing[record.guest] = _NEXT[self._kind]
            case GuestAsked():
                stops = self._kind is RunKind.SHUTDOWN
                self._doing[record.guest] = f"asked ({record.method})" if stops else "starting"
            case GuestHeld():
                self._doing[record.guest] = f"waits for {record.by}"
            case GuestEnded():
                self._ended[record.guest] = record.outcome
                self._doing.pop(record.guest, None)
            case HookBegun() | HookEnded():
                self._take_hook(record)
            case _:
                pass

    def _take_hook(self, record: HookBegun | HookEnded) -> None:
        begins = isinstance(record, HookBegun)
        if record.guest is None:
            self._hook = f"{record.hook} of {record.plugin}" if isinstance(record, HookBegun) else ""
        elif record.guest not in self._ended:
            plugin = record.plugin if isinstance(record, HookBegun) else record.record.plugin
            told = "flushing" if plugin == "databases" else plugin
            self._doing[record.guest] = told if begins else _NEXT[self._kind]

    def _conclude(self) -> None:
        if self._console:
            counts = Counter(self._ended.values())
            self._console.say(
                "done: " + (", ".join(f"{count} {one.value}" for one, count in counts.items()) or "no guests")
            )
            self._console.close()
