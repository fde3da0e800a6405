"""`make sim SEEDS=100000 FROM=0`: many worlds on all cores; prints each seed in which something is broken."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import Pool

from simulation.invariants import broken
from simulation.judgement import Judgement, history_of, judge
from simulation.story import told

_CHUNK = 50  # seeds that a process takes at once
_SHOWN = 50  # failing seeds that are told in full


def main() -> int:
    """Play the seeds; returns 1 where something is broken."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell the story of each world")
    parser.add_argument("--only", default="", help="count this invariant alone")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds)
    return _tell(seeds) if given.verbose else _count(seeds, given.only)


def _tell(seeds: range) -> int:
    failed = False
    for seed in seeds:
        with history_of(seed) as history:
            print("\n".join(told(history)))
            for name, what in broken(history):
                failed = True
                print(f"BROKEN {name}: {what}")
    return int(failed)


def _count(seeds: range, only: str) -> int:
    began, failed, by_invariant, examples = time.monotonic(), 0, Counter[str](), dict[str, list[int]]()
    for judgement in _judged(seeds):
        found = [(name, what) for name, what in judgement.broken if only in name]
        if not found:
            continue
        failed += 1
        if failed <= _SHOWN:
            print(Judgement(judgement.seed, tuple(found)))
        for name in {name for name, _ in found}:
            by_invariant[name] += 1
            examples.setdefault(name, []).append(judgement.seed)
    took = time.monotonic() - began
    for name, count in by_invariant.most_common():
        print(f"{count:6} {name}: {' '.join(map(str, examples[name][:12]))}")
    print(f"{failed} of {len(seeds)} seeds failed; {len(seeds) / took:.0f} worlds a second, {took:.1f} s")
    return int(failed > 0)


def _judged(seeds: range) -> Iterator[Judgement]:
    if len(seeds) <= _CHUNK:
        yield from map(judge, seeds)
        return
    with Pool(os.cpu_count()) as pool:
        yield from pool.imap(judge, seeds, chunksize=_CHUNK)


if __name__ == "__main__":
    sys.exit(main())
