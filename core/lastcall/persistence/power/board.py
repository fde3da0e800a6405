"""The last word about each power supply, as somebody said it: the last one counts."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from lastcall.api.power import PowerWord
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import PRIVATE, READERS, SMALL, public_folder, write_whole
from lastcall.persistence.refusals import refusals_told

MOST_SUPPLIES = 32  # a daemon that makes up names must not fill the file
_PATIENCE = 2.0  # seconds for somebody else who says something at the same moment
_POLL = 0.01  # seconds


@value
class SaidWord:
    """A word, and since when it is true: on the monotonic clock, as the time of day jumps in an outage."""

    word: str
    since: float


class PowerBoard:
    """`<paths.run>/power.json`: what was said in this boot, by the names of the UPSes; "" where none was given."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = folder / "power.json"
        self._clock = clock
        self._kept: int | None = None  # the lock, once nobody is to say anything any more

    def say(self, word: PowerWord, supply: str = "") -> bool:
        """Note it; returns whether it is news. One that says the same again keeps its time. Raises NoPermission."""
        with refusals_told(self.path):
            public_folder(self.path.parent)
            # Two UPSes that fail in the same second are told by two processes, of which each would lose the other's.
            with self._locked():
                return self._note(word, supply)

    def _note(self, word: PowerWord, supply: str) -> bool:
        said = dict(self.read())
        before = said.get(supply)
        if before and before.word == word.value:
            return False
        # One that runs low, or recovers from that, has carried since the mains went.
        carries = before is not None and PowerWord.LINE not in {word, before.word}
        said.pop(supply, None)
        said[supply] = SaidWord(word.value, before.since if carries and before else self._clock())
        kept = dict(list(said.items())[-MOST_SUPPLIES:])
        text = json.dumps({"boot": boot_id(), "supplies": {name: asdict(one) for name, one in kept.items()}})
        write_whole(self.path, text, sync=False, mode=READERS)
        return True

    def read(self) -> Mapping[str, SaidWord]:
        """What was said in this boot. What cannot be read says nothing."""
        try:
            found: Any = from_json(read_text(self.path, SMALL))
            if found["boot"] != boot_id():
                return {}
            supplies = cast("Mapping[str, Any]", found["supplies"])
            said = {str(name): decoded(SaidWord, one) for name, one in supplies.items()}
            for one in said.values():
                PowerWord(one.word)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return said

    def close(self, over: Callable[[Mapping[str, SaidWord]], bool]) -> bool:
        """For who goes by what is said: whether it is over by that. If so, whoever says something from now on waits
        until this process has ended. Raises NoPermission.

        Else a word could come between the last look and the end: systemd would start nobody for it, as it sees one
        that still runs.
        """
        with refusals_told(self.path):
            public_folder(self.path.parent)
            with self._locked() as descriptor:
                if not over(self.read()):
                    return False
                self._kept = os.dup(descriptor)
        return True

    @contextmanager
    def _locked(self) -> Generator[int]:
        """Alone with the file; in bounded time, as a word is worth more than another that may be lost."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self.path.with_suffix(".lock"), flags, PRIVATE)
        try:
            until = time.monotonic() + _PATIENCE
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() >= until:
                    break
                time.sleep(_POLL)
            yield descriptor
        finally:
            os.close(descriptor)
