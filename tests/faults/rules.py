"""What is to go wrong, said in one line: which message it happens to, how often, and what."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from faults.frames import REMOTE, Frame, Kind, Procedure, Way


class Action(Enum):
    """What happens to a message."""

    DELAY = "delay"
    """It alone comes `seconds` late, and those behind it overtake it."""
    DROP = "drop"
    """It never arrives, and nobody is told."""
    DOUBLE = "double"
    """It arrives twice."""
    REORDER = "reorder"
    """It arrives after the next one in its direction, or after a while where none comes."""
    REFUSE = "refuse"
    """To the daemon: it is not delivered but answered with an error. To the client: its reply says error, though the
    daemon did it."""
    CUT = "cut"
    """The connection ends before it is delivered."""
    FREEZE = "freeze"
    """It and everything behind it in its direction, on every connection, waits for `seconds`."""
    DEAF = "deaf"
    """From it on no new connection is accepted for `seconds`: connecting succeeds, and nobody answers."""
    TELL = "tell"
    """It is delivered after somebody was told, who does something to the daemon or to the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault. Messages of libvirt's API that match are counted over all connections of a run, from 1.

    `message`: the first that it happens to; `times`: to how many from there on, 0 = to all. None matches everything.
    """

    action: Action
    way: Way | None = None
    procedure: Procedure | None = None
    kind: Kind | None = None
    message: int = 1
    times: int = 1
    seconds: float = 1.0

    def matches(self, way: Way, frame: Frame) -> bool:
        """Whether it is about such messages at all. Keepalives come by the clock, so they would spoil every count."""
        return (
            frame.program == REMOTE
            and self.way in {None, way}
            and self.procedure in {None, frame.procedure}
            and self.kind in {None, frame.kind}
        )

    @property
    def passes(self) -> bool:
        """Whether all is well again within a second or two: whoever has more time than that has no excuse."""
        lasting = {Action.DROP, Action.TELL}  # nobody ever hears of the one, and what is told may do anything
        return self.times == 1 and self.action not in lasting and self.seconds <= 1.0

    def __str__(self) -> str:
        what = self.procedure.name.lower() if self.procedure is not None else "message"
        kind = f" {self.kind.name.lower()}" if self.kind is not None else ""
        where = f" {self.way.value}" if self.way else ""
        often = {0: " and all after it", 1: ""}.get(self.times, f" and {self.times - 1} after it")
        lasts = self.action in {Action.DELAY, Action.FREEZE, Action.DEAF}
        long = f" for {self.seconds:g} s" if lasts and self.seconds < math.inf else " for ever" if lasts else ""
        return f"{self.action.value} {what}{kind}{where} {self.message}{often}{long}"


class Rules:
    """The rules of one run, with their counts."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._seen = [0] * len(rules)

    def take(self, way: Way, frame: Frame) -> Rule | None:
        """Count a message; returns the rule that happens to it, the first where there are several."""
        found: Rule | None = None
        for index, rule in enumerate(self._rules):
            if rule.matches(way, frame):
                self._seen[index] += 1
                after = self._seen[index] - rule.message
                if after >= 0 and (after < rule.times or not rule.times):
                    found = found or rule
        return found
