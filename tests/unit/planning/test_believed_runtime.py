"""How long the host lives on battery, by what UPSes claim: bounds, trust, several UPSes, and what cannot be."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall import PowerPolicy, Supply
from lastcall.planning.power.runtime import BELIEVABLE, LEAST, MOST, UNKNOWN, believed_runtime, counted_on

CLAIMS = st.floats(min_value=0, max_value=BELIEVABLE, exclude_min=True)
WRONG = st.one_of(
    st.none(),
    st.floats(max_value=0),
    st.floats(min_value=BELIEVABLE, exclude_min=True),
    st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0, -0.0, 999_999_999.0, 15 * 365 * 86_400.0, 65_535.0]),
)
POLICIES = st.builds(
    PowerPolicy,
    supplies=st.integers(1, 6),
    trust=st.floats(min_value=0, max_value=1, exclude_min=True),
)


def upses(claims: Sequence[float | None]) -> list[Supply]:
    return [Supply(name=f"ups{number}", runtime=claim) for number, claim in enumerate(claims)]


def seconds(claims: Sequence[float | None], policy: PowerPolicy = PowerPolicy()) -> float:  # noqa: B008  a value
    return believed_runtime(upses(claims), policy).seconds


@pytest.mark.parametrize(
    ("claimed", "trust", "counted"),
    [(600, 0.5, 300), (600, 1, 585), (40, 0.9, 25), (40, 0.5, 20), (20, 1, 15), (1, 0.5, 15), (7200, 0.5, 1800),
     (3600, 1, 1800)],
)  # fmt: skip
def test_a_part_of_what_is_claimed_is_counted_on_and_some_seconds_less_than_all(
    claimed: float, trust: float, counted: float
) -> None:
    assert believed_runtime(upses([claimed]), PowerPolicy(trust=trust)).seconds == pytest.approx(counted)


@given(st.lists(st.one_of(CLAIMS, WRONG), max_size=6), POLICIES)
def test_whatever_is_claimed_the_time_is_within_bounds_and_in_words(
    claims: list[float | None], policy: PowerPolicy
) -> None:
    found = believed_runtime(upses(claims), policy)
    assert LEAST <= found.seconds <= MOST
    assert found.words
    assert found.words.isprintable()
    assert len(found.words) <= 500


@given(st.lists(CLAIMS, min_size=1, max_size=6), POLICIES, st.data())
def test_a_ups_that_lasts_longer_never_leaves_less_time(
    claims: list[float], policy: PowerPolicy, data: st.DataObject
) -> None:
    better = [data.draw(st.floats(min_value=claim, max_value=BELIEVABLE)) for claim in claims]
    assert seconds(better, policy) >= seconds(claims, policy)


@given(st.lists(st.one_of(CLAIMS, WRONG), max_size=6), POLICIES, st.randoms(use_true_random=False))
def test_the_order_of_the_upses_does_not_matter(
    claims: list[float | None], policy: PowerPolicy, shuffled: random.Random
) -> None:
    supplies = upses(claims)
    others = supplies[:]
    shuffled.shuffle(others)
    assert believed_runtime(others, policy) == believed_runtime(supplies, policy)


@given(st.lists(CLAIMS, min_size=1, max_size=6), st.integers(1, 6))
def test_the_host_lives_until_fewer_upses_live_than_it_needs(claims: list[float], needed: int) -> None:
    policy = PowerPolicy(supplies=needed)
    if needed <= len(claims):
        # As MINSUPPLIES of NUT has it: one after the other ends, and the first end that leaves too few is the host's.
        ends = sorted(claims)
        end = next(end for ended, end in enumerate(ends, 1) if len(ends) - ended < needed)
        found = believed_runtime(upses(claims), policy)
        assert found.answered
        assert found.seconds == counted_on(end, policy.trust)
    else:
        assert not believed_runtime(upses(claims), policy).answered


@given(st.lists(CLAIMS, max_size=4), st.lists(WRONG, max_size=4), POLICIES)
def test_what_cannot_be_counts_as_no_answer_and_is_named(
    claims: list[float], wrong: list[float | None], policy: PowerPolicy
) -> None:
    found = believed_runtime(upses([*claims, *wrong]), policy)
    silent = believed_runtime(upses([*claims, *[None] * len(wrong)]), policy)
    assert (found.seconds, found.answered) == (silent.seconds, silent.answered)
    if len(claims) + len(wrong) <= 3:
        assert all(f"ups{number}" in found.words for number in range(len(claims), len(claims) + len(wrong)))


@pytest.mark.parametrize("claims", [[], [None], [-1.0], [0.0], [999_999_999.0], [math.nan, None]])
def test_where_nobody_answers_a_minute_and_a_half_is_counted_on(claims: list[float | None]) -> None:
    found = believed_runtime(upses(claims), PowerPolicy())
    assert (found.seconds, found.answered) == (UNKNOWN, False)
    assert "90s" in found.words


def test_of_too_few_answers_the_worst_counts_where_it_is_worse_than_silence() -> None:
    both = PowerPolicy(supplies=2)
    assert seconds([40, None], both) == 20
    assert seconds([4000, None], both) == UNKNOWN


def test_a_name_or_a_problem_from_the_network_moves_no_cursor() -> None:
    found = believed_runtime([Supply(name="u\x1b[2J", problem="no\nroute" * 500)], PowerPolicy())
    assert found.words.isprintable()
    assert "\\x1b" in found.words
