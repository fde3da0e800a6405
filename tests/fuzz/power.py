"""Readers of what is said of the power, and of what is kept of it."""

import math
import time

from fuzz.kept_files import kept
from lastcall import PowerPolicy, PowerWord
from lastcall.cli.outage.due_next import DueNext, due_next
from lastcall.cli.power.line import LONGEST, SpokenWord, spoken_word
from lastcall.cli.status.power import power_now, power_words
from lastcall.formats.layout.screen import PLAIN
from lastcall.formats.visible_text import visible
from lastcall.persistence.power.board import PowerBoard
from lastcall.persistence.power.outage import OutageFile
from lastcall.planning.power.state import word_of


def read_words(data: bytes) -> PowerBoard:
    return PowerBoard(kept("power.json", data))


def are_words(board: PowerBoard) -> None:
    found = board.read()
    for one in found.values():
        assert PowerWord(one.word)
        assert math.isfinite(one.since)
    word, since = word_of(found, PowerPolicy())
    assert isinstance(word, PowerWord)
    assert math.isfinite(since)
    before = time.monotonic()
    board.say(PowerWord.LOW, "another")
    said = board.read()["another"]
    assert said.word == "low"
    assert said.since >= before or "another" in found


def read_outage(data: bytes) -> OutageFile:
    return OutageFile(kept("outage.json", data))


def can_be_told_of(file: OutageFile) -> None:
    found = file.recall()
    shown = power_now(file.path.parent)
    assert (shown is None) == (found is None)
    if shown:
        assert visible(power_words(shown, PLAIN)).isprintable()


def read_due_next(data: bytes) -> DueNext:
    return due_next(data.decode(errors="replace"))


def is_to_come(found: DueNext) -> None:
    assert all(type(name) is str for name in found.guests)
    assert found.seconds is None or 0 < found.seconds < math.inf


def read_line(data: bytes) -> tuple[bytes, SpokenWord]:
    return data, spoken_word(data)


def is_the_same_line(found: tuple[bytes, SpokenWord]) -> None:
    data, spoken = found
    assert spoken.line() == data
    assert len(data) <= LONGEST
    assert str(spoken).isprintable()
