"""What holds in every world. Each is a function from a history to what is broken in it, and says why it has to hold."""

from collections.abc import Callable, Iterator

from simulation.history import History
from simulation.invariants import asking, course, lists, order, power, reports, returns, shedding

Invariant = Callable[[History], Iterator[str]]
INVARIANTS: tuple[Invariant, ...] = (
    reports.report_is_truth,
    reports.method_is_what_did_it,
    reports.everybody_is_in_the_report,
    lists.nobody_is_lost,
    lists.a_host_stop_keeps_everybody,
    lists.who_waited_goes_on_waiting,
    lists.who_was_asked_waits,
    lists.who_was_not_asked_does_not_wait,
    lists.due_is_who_ran,
    asking.nobody_is_forced_unasked,
    asking.nobody_is_forced_by_hand,
    asking.asked_is_when_it_was_asked,
    power.nobody_is_asked_once_the_mains_are_back,
    power.what_it_has_stopped_comes_back_with_the_mains,
    power.who_was_spared_is_asked_where_the_host_stops_after_all,
    shedding.nobody_is_forced_by_shedding,
    shedding.who_is_started_again_is_left_alone,
    order.order_is_kept,
    course.over_in_time,
    course.exit_code_follows_from_outcomes,
    course.log_tells_the_same,
    course.nothing_breaks,
    returns.nobody_is_started_who_was_off,
    returns.a_restore_tells_the_truth,
    returns.who_is_not_back_goes_on_waiting,
    returns.a_second_restore_has_nothing_to_do,
    returns.parked_is_who_libvirt_refused,
)


def broken(history: History) -> Iterator[tuple[str, str]]:
    """Everything that does not hold in this history: (invariant, what is wrong)."""
    for invariant in INVARIANTS:
        for what in invariant(history):
            yield invariant.__name__, what
