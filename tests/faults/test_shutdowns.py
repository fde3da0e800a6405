"""Shutdowns of which every message meets every fault once, in `make soak`; in `make test` a sample does."""

import pytest

from faults.cases import KINDS, counts, faulted, sample, side_by_side
from faults.frames import Way
from faults.runs import SHUTDOWNS, Mode
from faults.verdicts import faults_of
from faults.world import Worlds

A_FEW = 1
"""So many messages of each way meet a fault of each kind in the sample."""


@pytest.fixture(scope="module")
def messages(some_worlds: Worlds) -> dict[str, dict[Way, int]]:
    """How many messages a shutdown of each mode takes when nothing goes wrong."""
    return {mode.name: counts(some_worlds, mode) for mode in SHUTDOWNS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", SHUTDOWNS, ids=lambda mode: mode.name)
def test_whatever_happens_to_a_message_a_shutdown_keeps_its_word(
    some_worlds: Worlds, messages: dict[str, dict[Way, int]], mode: Mode, kind: str
) -> None:
    cases = [
        case
        for way, count in messages[mode.name].items()
        for case in faulted(mode, kind, way, sample(mode, kind, way, count, A_FEW))
    ]
    wrong = [sentence for run in side_by_side(some_worlds, cases) for sentence in faults_of(run)]
    assert not wrong, "\n".join(wrong)
