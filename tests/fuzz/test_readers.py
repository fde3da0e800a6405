"""Whatever somebody gives a reader, what comes of it is what the table allows, soon, and in little memory."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.inputs import documents, texts
from fuzz.judgement import Fault, Reader, judge
from fuzz.rounds import CORPUS, folder_of, input_of, kept, shortened
from fuzz.table import BY_NAME, READERS

BLOCK = 3  # inputs of a reader whose share is one
EXAMPLES = 15


@pytest.mark.parametrize("name", BY_NAME)
def test_what_comes_of_an_input_is_what_the_table_allows(name: str) -> None:
    reader = BY_NAME[name]
    faults = {
        fault.kind: fault
        for number in range(BLOCK * reader.share)
        if (fault := judge(reader, input_of(reader, number)))
    }
    assert not faults, "\n".join(map(str, faults.values()))


@pytest.mark.parametrize("name", BY_NAME)
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(chance=st.randoms(use_true_random=False))
def test_no_simpler_input_fails_either(name: str, chance: Random) -> None:
    fault = judge(BY_NAME[name], BY_NAME[name].make(chance))
    assert not fault, str(fault)


@pytest.mark.parametrize(
    ("reader", "path"), [pytest.param(reader, path, id=f"{path.parent.name}/{path.name}") for reader, path in kept()]
)
def test_what_failed_once_fails_no_more(reader: Reader, path: Path) -> None:
    fault = judge(reader, path.read_bytes())
    assert not fault, str(fault)


def test_every_input_of_the_corpus_belongs_to_a_reader() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(map(folder_of, READERS))


def test_an_input_is_always_the_same_by_its_number() -> None:
    for reader in READERS:
        assert [input_of(reader, number) for number in range(20)] == [input_of(reader, number) for number in range(20)]
        assert len({input_of(reader, number) for number in range(100)}) > 50, reader.name


def _reader(read: Callable[[bytes], object]) -> Reader:
    def holds(found: object) -> None:
        assert found != "odd"

    return Reader("any", lambda _: b"", read, holds, raises=(ValueError,))


def _hangs(_data: bytes) -> None:
    while True:
        time.process_time()


def _computes(_data: bytes) -> None:
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass


def _raises(error: BaseException) -> Callable[[bytes], object]:
    def read(_data: bytes) -> object:
        raise error

    return read


def _returns(value: Callable[[], object]) -> Callable[[bytes], object]:
    return lambda _data: value()


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (_raises(ZeroDivisionError()), "ZeroDivisionError at tests/fuzz/test_readers.py:"),
        (_raises(SystemExit()), "SystemExit at tests/fuzz/test_readers.py:"),
        (_returns(lambda: "odd"), "AssertionError at tests/fuzz/test_readers.py:"),
        (_hangs, "takes more than 0.05 s at tests/fuzz/test_readers.py:"),
        (_computes, "takes more than 0.05 s"),
        (_returns(lambda: bytearray(90 << 20)), "takes more than 64 MiB"),
        (_raises(UnicodeError()), None),
        (_returns(lambda: 7), None),
    ],
)
def test_a_fault_is_what_is_not_allowed_and_what_takes_too_much(
    read: Callable[[bytes], object], kind: str | None
) -> None:
    fault = judge(_reader(read), b"", seconds=0.05 if kind and "s" in kind.split() else 2.0)
    assert fault.kind.startswith(kind) if fault and kind else fault is None and kind is None, fault


def test_an_input_that_fails_is_made_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(data: bytes) -> None:
        assert b"no" not in data

    monkeypatch.setitem(BY_NAME, "any", _reader(read))
    fault = judge(BY_NAME["any"], b"a long text with a no and what follows")
    assert fault
    assert shortened(fault) == Fault("any", fault.kind, b"no")


def test_inputs_are_odd_in_every_way_that_hurts() -> None:
    made = [texts(["a: b\n"])(Random(number)) for number in range(1500)]
    made += [documents(['{"a": {"b": [1]}}\n{"c": 2}'])(Random(number)) for number in range(1500)]
    signs = (b"\0", b"\r", "\x85".encode(), "\u2028".encode(), b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"9" * 5000,
             b"[" * 3000, b"NaN", "\u202e".encode())  # fmt: skip
    assert not [sign for sign in signs if not any(sign in one for one in made)]
    assert any(len(one) > 50_000 for one in made)
    assert any(re.search(rb'("\w+"): [^,:]*, \1: ', one) for one in made), "a key that is there twice"
