"""The last word about each power supply, as somebody said it: the last one counts."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from lastcall.api.power import PowerWord
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import READERS, SMALL, public_folder, write_whole
from lastcall.persistence.refusals import refusals_told

MOST_SUPPLIES = 32  # a daemon that makes up names must not fill the file


@value
class SaidWord:
    """A word, and since when it is true: on the monotonic clock, as the time of day jumps in an outage."""

    word: str
    since: float


class PowerBoard:
    """`<paths.run>/power.json`: what was said in this boot, by the names of the UPSes; "" where none was given."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "power.json"

    def say(self, word: PowerWord, supply: str = "") -> bool:
        """Note it; returns whether it is news. One that says the same again keeps its time. Raises NoPermission."""
        said = dict(self.read())
        before = said.get(supply)
        if before and before.word == word.value:
            return False
        # A battery that runs low has carried since the mains went.
        carries = word is PowerWord.LOW and before is not None and before.word == PowerWord.BATTERY.value
        said.pop(supply, None)
        said[supply] = SaidWord(word.value, before.since if carries and before else time.monotonic())
        kept = dict(list(said.items())[-MOST_SUPPLIES:])
        text = json.dumps({"boot": boot_id(), "supplies": {name: asdict(one) for name, one in kept.items()}})
        with refusals_told(self.path):
            public_folder(self.path.parent)
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
