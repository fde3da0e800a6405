"""`make fuzz INPUTS=1000000`: many inputs for every reader on all cores, going on where the last one ended."""

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from fuzz.judgement import Fault
from fuzz.rounds import UNIT, blocks_of, folder_of, shortened, tried
from fuzz.table import BY_NAME, READERS

_HANGS = 600.0  # seconds for the blocks of a round, of which each takes some
_SHOWN = 50  # faults that are told in full


def main() -> int:
    """Try so many inputs; returns 1 where one of them failed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many, all readers together")
    parser.add_argument("--only", default="", help="only readers with this in their names")
    parser.add_argument("--notes", type=Path, default=Path(".cache/fuzz"), help="where it is noted what was tried")
    given = parser.parse_args()
    notes = Notes(given.notes / f"tried{'-' if given.only else ''}{given.only.replace(' ', '-')}.json")
    one_round = UNIT * sum(reader.share for reader in READERS if given.only in reader.name)
    until = notes.round + -(-given.inputs // one_round)
    began = time.monotonic()
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        while notes.round < until:
            ended = pool.imap_unordered(tried, blocks_of(notes.round, given.only))
            for _ in blocks_of(notes.round, given.only):
                one = ended.next(_HANGS)
                notes.tried[one.reader] += one.count
                for fault in one.faults:
                    notes.take(fault)
            notes.end_round()
            print(
                f"{sum(notes.tried.values())} inputs, {len(notes.faults)} faults, {time.monotonic() - began:.0f} s",
                flush=True,
            )
    print(notes)
    return int(bool(notes.faults))


class Notes:
    """What was tried so far and what failed, kept in a file after each round, with the inputs beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        found: Any = json.loads(path.read_text()) if path.exists() else {}
        self.round: int = found.get("round", 0)
        self.tried = Counter[str](found.get("tried", {}))
        self.faults: dict[str, str] = found.get("faults", {})  # by what is wrong, the file with the input

    def take(self, fault: Fault) -> None:
        """Note a fault that is new, and keep a short input that shows it."""
        what = f"{fault.reader}: {fault.kind}"
        if what in self.faults:
            return
        short = shortened(fault)
        path = self._path.parent / folder_of(BY_NAME[fault.reader]) / hashlib.sha256(short.data).hexdigest()[:12]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(short.data)
        self.faults[what] = str(path)
        if len(self.faults) <= _SHOWN:
            print(f"{short}\n    {path}", flush=True)

    def end_round(self) -> None:
        """Keep all of it, and go on to the next one."""
        self.round += 1
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({"round": self.round, "tried": self.tried, "faults": self.faults}, indent=1))

    def __str__(self) -> str:
        lines = [f"{count:9} {name}" for name, count in self.tried.most_common()]
        slow = sum(" takes more than " in what for what in self.faults)
        return "\n".join(
            [
                *lines,
                f"{sum(self.tried.values()):9} inputs: {len(self.faults) - slow} ways to fail, {slow} to take too much",
            ]
        )


if __name__ == "__main__":
    sys.exit(main())
