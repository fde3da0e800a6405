"""Twice as much to read takes at most about twice as long, whatever the structure of what is read."""

import gc
import time
from collections.abc import Iterator
from functools import partial
from random import Random

import pytest

from fuzz.growth import PIECES, Grown, grown, grown_xml, grows_too_fast, times
from fuzz.judgement import Reader
from fuzz.table import BY_NAME

ALWAYS_XML = "what stands in a domain's XML"
# The others with a share of one read the same text once more, and do with it what takes long for any text.
MEASURED = [name for name, reader in BY_NAME.items() if reader.share > 1]


@pytest.fixture(autouse=True)
def heap_set_aside() -> Iterator[None]:
    """What the tests before have left is collected once, and not before each of some hundred inputs."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def inputs(reader: Reader, piece: str) -> list[Grown]:
    make = grown_xml if reader.name == ALWAYS_XML else partial(grown, reader)
    return [make(piece, inside=inside) for inside in (False, True)]


@pytest.mark.parametrize("name", MEASURED)
def test_what_reading_takes_grows_no_faster_than_what_is_read(name: str) -> None:
    reader = BY_NAME[name]
    too_fast = {
        kind: taken
        for kind, piece in PIECES.items()
        for make in inputs(reader, piece)
        # Twice, as a busy machine may have had its caches elsewhere.
        if grows_too_fast(taken := times(reader, make)) and grows_too_fast(taken := times(reader, make))
    }
    assert not too_fast, too_fast


def _takes(power: int) -> Reader:
    def read(data: bytes) -> None:
        ends = time.process_time() + 0.25 * (len(data) / 200_000) ** power
        while time.process_time() < ends:
            pass

    return Reader("any", lambda _: b"", read, lambda _: None)


@pytest.mark.parametrize(("power", "too_fast"), [(1, False), (2, True), (3, True)])
def test_what_grows_like_a_square_is_seen(power: int, too_fast: bool) -> None:
    reader = _takes(power)
    assert grows_too_fast(times(reader, grown(reader, "x", inside=False))) is too_fast


def test_an_input_has_the_size_that_is_asked_for() -> None:
    for name in MEASURED:
        reader = BY_NAME[name]
        base = len(reader.make(Random(2))[:2000])
        for piece in PIECES.values():
            assert abs(len(grown(reader, piece, inside=True)(10_000)) - base - 10_000) < 20_000
