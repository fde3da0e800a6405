"""Restores of which every message meets every fault once, in `make soak`; in `make test` a sample does."""

from collections.abc import Mapping

import pytest

from faults.cases import KINDS, counts, sample, wrong_with
from faults.frames import Way
from faults.runs import RESTORE
from faults.world import Worlds


@pytest.fixture(scope="module")
def messages(some_worlds: Worlds) -> dict[Way, int]:
    """How many messages a restore takes when nothing goes wrong."""
    return counts(some_worlds, RESTORE)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_happens_to_a_message_a_restore_loses_nobody_and_starts_nobody_else(
    some_worlds: Worlds, messages: Mapping[Way, int], kind: str
) -> None:
    wrong = wrong_with(some_worlds, sample(RESTORE, kind, messages))
    assert not wrong, wrong
