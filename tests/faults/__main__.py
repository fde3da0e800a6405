"""`python -m faults MODE [KIND [WAY [MESSAGE…]]]`: faulted runs by hand, and what is wrong with them.

With a message it is what a failed test says; without one, every message meets the fault.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence

from faults.cases import KINDS, counts, faulted, side_by_side
from faults.frames import Way
from faults.runs import RESTORE, SHUTDOWNS, Case
from faults.verdicts import faults_of
from faults.world import Worlds, worlds

WORLDS = 3


def main(words: Sequence[str]) -> int:
    """Do the runs; returns 1 where any went wrong, else 0."""
    modes = {mode.name: mode for mode in (*SHUTDOWNS, RESTORE)}
    mode = modes[words[0]]
    kinds = words[1:2] or list(KINDS)
    ways = [Way(word) for word in words[2:3]] or list(Way)
    wrong: Counter[str] = Counter()
    with worlds(WORLDS) as some:
        found = counts(some, mode)
        for kind in kinds:
            for way in ways:
                messages = [int(word) for word in words[3:]] or range(1, found[way] + 1)
                wrong[kind] += tell(some, [faulted(mode, kind, way, message) for message in messages])
    return int(bool(wrong.total()))


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
    sys.exit(main(sys.argv[1:]))
