"""2 000 worlds, and those in which something was broken once. `make sim` plays more."""

from pathlib import Path

import pytest

from simulation.creation import make_world
from simulation.judgement import judge
from simulation.story import world_lines

BLOCKS, SEEDS = 8, 250
KEPT = [int(line) for line in (Path(__file__).parent / "kept.txt").read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("block", range(BLOCKS))
def test_nobody_is_lost_or_forced_unasked_and_every_report_is_true_in_any_world(block: int) -> None:
    judged = [judge(seed) for seed in range(block * SEEDS, (block + 1) * SEEDS)]
    assert not [str(one) for one in judged if one.broken]


@pytest.mark.parametrize("seed", KEPT)
def test_what_was_broken_once_stays_mended(seed: int) -> None:
    assert not judge(seed).broken


def test_a_seed_always_makes_the_same_world() -> None:
    assert list(world_lines(make_world(7))) == list(world_lines(make_world(7)))
    assert make_world(7) == make_world(7)
    assert make_world(7) != make_world(8)
