"""Many inputs for every reader: a round is as many for each as its share says, made of its number."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzz.judgement import Fault, Reader, judge
from fuzz.table import BY_NAME, READERS

CORPUS = Path(__file__).parent / "corpus"
UNIT = 20  # inputs of a reader whose share is one, in one round
_CUTS = 400  # attempts to make an input that fails shorter


@dataclass(frozen=True, slots=True)
class Block:
    """The inputs of one reader in one round."""

    reader: str
    first: int
    count: int

    def __str__(self) -> str:
        return f"{self.reader}, inputs {self.first} to {self.first + self.count - 1}"


@dataclass(frozen=True, slots=True)
class Tried:
    """How many inputs a reader got, and one for each way in which it failed."""

    reader: str
    count: int
    faults: tuple[Fault, ...]


def blocks_of(number: int, only: str = "") -> Iterator[Block]:
    """The blocks of a round; those that take longest come first."""
    for reader in READERS:
        if only in reader.name:
            count = reader.share * UNIT
            yield Block(reader.name, number * count, count)


def input_of(reader: Reader, number: int) -> bytes:
    """The input of this number, always the same."""
    return reader.make(Random(f"{reader.name} {number}"))


def tried(block: Block) -> Tried:
    """Give a reader its inputs."""
    reader, faults = BY_NAME[block.reader], dict[str, Fault]()
    for number in range(block.first, block.first + block.count):
        fault = judge(reader, input_of(reader, number))
        if fault and fault.kind not in faults:
            faults[fault.kind] = fault
    return Tried(reader.name, block.count, tuple(faults.values()))


def shortened(fault: Fault) -> Fault:
    """The same fault by less of its input, as far as so many attempts lead."""
    reader, data = BY_NAME[fault.reader], fault.data
    if fault.kind.startswith("takes"):
        return fault  # each attempt would take as long
    size, left = len(data) // 2, _CUTS
    while size and left:
        at = 0
        while at < len(data) and left:
            left -= 1
            shorter = data[:at] + data[at + size :]
            found = judge(reader, shorter)
            if found and found.kind == fault.kind:
                data = shorter
            else:
                at += size
        size //= 2
    return Fault(fault.reader, fault.kind, data)


def folder_of(reader: Reader) -> str:
    """The folder of the corpus that has its inputs."""
    return "".join(one if one.isalnum() else "-" for one in reader.name.lower())


def kept() -> Iterator[tuple[Reader, Path]]:
    """Every input that ever failed, and whose it is."""
    for reader in READERS:
        for path in sorted((CORPUS / folder_of(reader)).glob("*")):
            yield reader, path
