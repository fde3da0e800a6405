"""The faults that every message of a small run meets once: all of them, or a sample that is always the same."""

import math
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from faults.frames import Way
from faults.rules import Action, Rule
from faults.runs import Case, Mode, Run, run
from faults.verdicts import faults_of
from faults.world import Worlds

EVERY = os.environ.get("LASTCALL_FAULTS") == "every"
"""Whether every message meets every fault; else there is a sample."""
A_FEW = 1
"""So many messages of a run meet a fault of each kind in the sample."""
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
FOUND: Mapping[tuple[str, str], Sequence[tuple[Way, int]]] = {
    ("host stop", "cut"): ((Way.TO_DAEMON, 10), (Way.TO_DAEMON, 29)),
    ("host stop", "drop"): ((Way.TO_DAEMON, 28),),
    ("host stop", "refuse"): ((Way.TO_CLIENT, 31),),
}
"""Where lastcall was once found wanting, by mode and kind: part of every sample."""


def faulted(mode: Mode, kind: str, way: Way, message: int) -> Case:
    """A run of which this message meets this kind of fault."""
    return Case(mode=mode, rules=[replace(KINDS[kind], way=way, message=message)])


def counts(worlds: Worlds, mode: Mode) -> dict[Way, int]:
    """How many messages a run without a fault takes each way."""
    with worlds.borrow() as world:
        plain = run(world, Case(mode=mode))
    assert not faults_of(plain), faults_of(plain)
    return {way: plain.traffic.count(way) for way in Way}


def sample(mode: Mode, kind: str, messages: Mapping[Way, int], most: int = A_FEW) -> list[Case]:
    """A run for each of so many messages that meets this kind of fault, and for those in `FOUND`.

    In the long run of the tests for every message.
    """
    everything = [faulted(mode, kind, way, number + 1) for way, count in messages.items() for number in range(count)]
    if EVERY or most >= len(everything):
        return everything
    found = [faulted(mode, kind, way, message) for way, message in FOUND.get((mode.name, kind), ())]
    return [*found, *random.Random(f"{mode.name} {kind}").sample(everything, most)]


def side_by_side(worlds: Worlds, cases: Sequence[Case]) -> Iterator[Run]:
    """Do the runs, as many at a time as there are worlds, and give them in their order."""

    def one(case: Case) -> Run:
        with worlds.borrow() as world:
            return run(world, case)

    with ThreadPoolExecutor(worlds.count) as threads:
        yield from threads.map(one, cases)


def wrong_with(worlds: Worlds, cases: Sequence[Case]) -> str:
    """What is wrong with these runs, a line each; nothing where all is well."""
    return "\n".join(sentence for one in side_by_side(worlds, cases) for sentence in faults_of(one))
