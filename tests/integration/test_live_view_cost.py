"""What the live view costs a whole run of the program, as `make bench` measures it."""

from bench.live_view import GUESTS, SLOW, watched_costs


def test_the_live_view_takes_hardly_any_of_a_runs_processor_time_and_nothing_of_its_time() -> None:
    """All at the same time, so that a machine that does much else slows all of them down.

    Drawn again and again it takes 1 % (tests/unit/cli/live/test_cost.py). Once a second it takes some three times that,
    as the processor's caches have forgotten it by then; and guests in the process itself take hardly anything.
    """
    quiet, *watched = watched_costs(["-q"], [], [])
    assert quiet.drawing == 0
    assert min(one.share for one in watched) < 0.06, f"the processor time of a run with {GUESTS} guests"
    assert all(one.drawing > 0 for one in watched)
    assert all(one.drawing / one.took < 0.004 for one in watched), "of a processor"
    assert all(SLOW[1] < one.took < quiet.took * 1.04 for one in watched)
