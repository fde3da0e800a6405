"""Shutdowns of which every message meets every fault once, in `make soak`; in `make test` a sample does."""

from collections.abc import Mapping

import pytest

from faults.cases import KINDS, counts, sample, wrong_with
from faults.frames import Way
from faults.runs import SHUTDOWNS, Mode
from faults.world import Worlds


@pytest.fixture(scope="module")
def messages(some_worlds: Worlds) -> dict[str, dict[Way, int]]:
    """How many messages a shutdown of each mode takes when nothing goes wrong."""
    return {mode.name: counts(some_worlds, mode) for mode in SHUTDOWNS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", SHUTDOWNS, ids=lambda mode: mode.name)
def test_whatever_happens_to_a_message_a_shutdown_keeps_its_word(
    some_worlds: Worlds, messages: Mapping[str, Mapping[Way, int]], mode: Mode, kind: str
) -> None:
    wrong = wrong_with(some_worlds, sample(mode, kind, messages[mode.name]))
    assert not wrong, wrong
