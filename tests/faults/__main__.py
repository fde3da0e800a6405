"""`python -m faults MODE [KIND [WAY [MESSAGE…]]]`: faulted runs by hand, and what is wrong with them.

With a message it is what a failed test says; without one, every message meets the fault.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence

from faults.cases import KINDS, faulted, side_by_side
from faults.frames import Way
from faults.runs import RESTORE, SHUTDOWNS, Case, Mode, run
from faults.verdicts import faults_of
from faults.world import Worlds, worlds

WORLDS = 3


def main(words: Sequence[str]) -> int:
    """Do the runs; returns how many went wrong."""
    modes = {mode.name: mode for mode in (*SHUTDOWNS, RESTORE)}
    mode = modes[words[0]]
    kinds = words[1:2] or list(KINDS)
    ways = [Way(word) for word in words[2:3]] or list(Way)
    wrong: Counter[str] = Counter()
    with worlds(WORLDS) as some:
        entries, counts = before(some, mode)
        for kind in kinds:
            for way in ways:
                messages = [int(word) for word in words[3:]] or range(1, counts[way] + 1)
                wrong[kind] += tell(some, faulted(mode, kind, way, messages, entries=entries))
    return wrong.total()


def before(some: Worlds, mode: Mode) -> tuple[str | None, dict[Way, int]]:
    """The list that the runs begin with, and how many messages a run without a fault takes each way."""
    entries: str | None = None
    with some.borrow() as world:
        if mode.restores:
            run(world, Case(mode=SHUTDOWNS[0]))
            entries = (world.state / "state.json").read_text()
        plain = run(world, Case(mode=mode, entries=entries))
    return entries, {way: plain.traffic.count(way) for way in Way}


def tell(some: Worlds, cases: Sequence[Case]) -> int:
    """Do these runs and print what is wrong."""
    began, wrong = time.monotonic(), 0
    for done in side_by_side(some, cases):
        found = faults_of(done)
        wrong += bool(found)
        for sentence in found:
            print(sentence, flush=True)
    print(f"-- {len(cases)} runs like {cases[0]}: {wrong} wrong, {time.monotonic() - began:.0f} s", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
