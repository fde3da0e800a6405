"""The faults that every message of a small run meets once: all of them, or a sample that is always the same."""

import math
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from faults.frames import Way
from faults.rules import Action, Rule
from faults.runs import Case, Mode, Run, run
from faults.verdicts import faults_of
from faults.world import Worlds

EVERY = os.environ.get("LASTCALL_FAULTS") == "every"
"""Whether every message meets every fault; else there is a sample."""
_FOR_EVER = math.inf
KINDS: Mapping[str, Rule] = {
    "cut": Rule(action=Action.CUT),
    "drop": Rule(action=Action.DROP),
    "delay": Rule(action=Action.DELAY),
    "double": Rule(action=Action.DOUBLE),
    "reorder": Rule(action=Action.REORDER),
    "refuse": Rule(action=Action.REFUSE),
    "stall": Rule(action=Action.FREEZE),
    "freeze": Rule(action=Action.FREEZE, seconds=_FOR_EVER),
    "deaf": Rule(action=Action.DEAF, seconds=_FOR_EVER),
}
"""A fault of each kind, for any message."""


def faulted(mode: Mode, kind: str, way: Way, messages: Sequence[int]) -> list[Case]:
    """A run for each of these messages, which meets this kind of fault."""
    like = KINDS[kind]
    rules = [Rule(action=like.action, way=way, message=message, seconds=like.seconds) for message in messages]
    return [Case(mode=mode, rules=(rule,)) for rule in rules]


def counts(worlds: Worlds, mode: Mode) -> dict[Way, int]:
    """How many messages a run without a fault takes each way."""
    with worlds.borrow() as world:
        plain = run(world, Case(mode=mode))
    assert not faults_of(plain), faults_of(plain)
    return {way: plain.traffic.count(way) for way in Way}


def sample(mode: Mode, kind: str, way: Way, count: int, most: int) -> list[int]:
    """Which of `count` messages meet a fault: `most` of them, or every one in the long run of the tests."""
    everything = range(1, count + 1)
    if EVERY or most >= count:
        return list(everything)
    return sorted(random.Random(f"{mode.name} {kind} {way.value}").sample(everything, most))


def side_by_side(worlds: Worlds, cases: Sequence[Case]) -> Iterator[Run]:
    """Do the runs, as many at a time as there are worlds, and give them in their order."""

    def one(case: Case) -> Run:
        with worlds.borrow() as world:
            return run(world, case)

    with ThreadPoolExecutor(worlds.count) as threads:
        yield from threads.map(one, cases)
