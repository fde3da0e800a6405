"""Restores of which every message meets every fault once, in `make soak`; in `make test` a sample does."""

import pytest

from faults.cases import KINDS, counts, faulted, sample, side_by_side
from faults.frames import Way
from faults.runs import RESTORE
from faults.verdicts import faults_of
from faults.world import Worlds

A_FEW = 1
"""So many messages of each way meet a fault of each kind in the sample."""


@pytest.fixture(scope="module")
def messages(some_worlds: Worlds) -> dict[Way, int]:
    """How many messages a restore takes when nothing goes wrong."""
    return counts(some_worlds, RESTORE)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_happens_to_a_message_a_restore_loses_nobody_and_starts_nobody_else(
    some_worlds: Worlds, messages: dict[Way, int], kind: str
) -> None:
    cases = [
        case
        for way, count in messages.items()
        for case in faulted(RESTORE, kind, way, sample(RESTORE, kind, way, count, A_FEW))
    ]
    wrong = [sentence for run in side_by_side(some_worlds, cases) for sentence in faults_of(run)]
    assert not wrong, "\n".join(wrong)
