"""Inputs of one structure in any size, and what the time for them says: whether a reader takes more than its share."""

import gc
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import TypeAlias
from xml.sax.saxutils import escape

from fuzz.inputs import LONGEST
from fuzz.judgement import Reader
from fuzz.seeds import DOMAIN_XML

Grown: TypeAlias = Callable[[int], bytes]

DOUBLINGS = 3
MARGIN = 3  # times as much as linear; what is quadratic takes eight times as much
LEAST = 0.01  # seconds; what is shorter is not told from noise
CHEAP = 0.1  # seconds of the processor; whatever the reader does with it, it is soon over
# Each a piece that is repeated; what differs from piece to piece has its number.
PIECES: Mapping[str, str] = {
    "long token": "x", "digits": "9", "blanks": " ", "lines": "\n", "tabs": "\t", "zero bytes": "\0",
    "odd line ends": "\r\u2028",
    "opening brackets": "[", "closing brackets": "]", "opening braces": '{"a":', "yaml lists": "- ", "parentheses": "(",
    "double quotes": '"', "single quotes": "'", "backslashes": "\\", "escapes": "\x1b", "globs": "*?[a]", "stars": "*",
    "equal signs": "=", "colons": ":", "hashes": "#", "commas": ",", "ampersands": "&a ", "dollars": "$(", "bars": "|",
    "json keys": '"k{number}": 1, ', "yaml keys": "k{number}: x\n", "yaml items": "- k{number}\n",
    "flow": "[a, {b: c}], ",
    "settings": "K{number}='x y' # z\n", "figures": "before_{number}=7\n", "key lines": "ssh-ed25519 AAAA{number} x\n",
    "elements": "<a b='c'>", "whole elements": "<a b='{number}'/>", "entities": "&amp;", "comments": "# x\n",
    "comment begins": "<!-- ",
    "anchors": "a{number}: &a{number} [x]\n", "same prefix": "aaaaaaaaaaaaaaaaaaaa{number} ",
    "base64": "aGVs", "one key": "a: b\n",
    "durations": "1h", "surrogates": "\\ud800", "words": "a ",
    "processes": "user=redis 105\nprocess=105 redis-server x:{number}\n", "documents": "---\n",
    "block": "a: |\n x\n", "folded quotes": "a: 'x\n\n y'\n",
}  # fmt: skip


def filled(piece: str, size: int) -> str:
    """So many characters of a piece."""
    if "{number}" not in piece:
        return (piece * (size // len(piece) + 1))[:size]
    count = size // (len(piece) - len("{number}") + 1) + 1
    return "".join(piece.replace("{number}", str(number)) for number in range(count))[:size]


def grown(reader: Reader, piece: str, *, inside: bool) -> Grown:
    """The piece alone, or in the middle of an input of the reader's own."""
    base = reader.make(Random(2))[:2000] if inside else b""
    middle = len(base) // 2

    def of(size: int) -> bytes:
        return base[:middle] + filled(piece, size).encode() + base[middle:]

    return of


def grown_xml(piece: str, *, inside: bool) -> Grown:
    """The same for a reader whose input is always XML: as the text of one key of metadata, or as many elements."""
    before, after = DOMAIN_XML[0].split("[storage]")

    def of(size: int) -> bytes:
        text = escape(re.sub("[^ -~\n\t]", "", filled(piece, size))) if inside else ""
        more = "" if inside else filled("<lastcall:k{number}>x</lastcall:k{number}>", size).rpartition("<lastcall:k")[0]
        return f"{before}{text}</lastcall:depends_on>{more}<lastcall:depends_on>{after}".encode()

    return of


def seconds(reader: Reader, data: bytes, tries: int = 1) -> float:
    """What an input takes of the processor: the least of some tries, as others use it, too.

    Without the collector of garbage, which goes through everything that the tests before have left.
    """
    taken = list[float]()
    gc.collect()
    for _ in range(tries):
        gc.disable()
        began = time.process_time()
        try:
            with suppress(*reader.raises):
                reader.read(data)
        finally:
            taken.append(time.process_time() - began)
            gc.enable()
    return min(taken)


def times(reader: Reader, make: Grown) -> list[float]:
    """The seconds for an input, and for one eight times as long; nothing but the latter where that is cheap."""
    short, long = make(LONGEST >> DOUBLINGS), make(LONGEST)
    longest = seconds(reader, long)
    if longest < CHEAP:
        return [longest]
    taken = [seconds(reader, short), longest]
    # Once is enough for what is as it should be; what seems to be too slow may have met a busy moment.
    return [seconds(reader, one, tries=3) for one in (short, long)] if grows_too_fast(taken) else taken


def grows_too_fast(taken: Sequence[float]) -> bool:
    """Whether that is more than linear, by a margin."""
    return len(taken) > 1 and taken[-1] > MARGIN * (1 << DOUBLINGS) * max(taken[0], LEAST)
