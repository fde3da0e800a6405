"""What the live view costs a whole run of the program, as `make bench` measures it."""

from bench.live_view import GUESTS, LAST, watched_costs


def test_the_live_view_takes_hardly_any_of_a_runs_processor_time_and_nothing_of_its_time() -> None:
    """All at the same time, so that a machine that does much else slows all of them down.

    By itself a run's thread takes 1 %. Another process takes the processor's caches away each second, which makes
    more of the little that is done in one, and less of the run's beginning, which is most of a run.
    """
    quiet, *watched = watched_costs(["-q"], [], [])
    assert quiet.drawing == 0
    assert min(one.share for one in watched) < 0.04, f"the processor time of a run with {GUESTS} guests"
    assert all(one.drawing > 0 for one in watched)
    assert all(one.drawing / one.took < 0.004 for one in watched), "of a processor"
    assert all(LAST < one.took < quiet.took * 1.04 for one in watched)
