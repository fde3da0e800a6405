"""Whose doing it is that a guest is off, by what libvirt says and by what was asked of it before."""

import pytest

from lastcall import Guest, GuestState, Outcome
from lastcall.api.guests import Ended
from lastcall.records.credit import Credit, ending_of

GUEST = Guest(uri="lxc:///system", uuid="1", name="g", driver="LXC", state=GuestState.RUNNING)
OUTCOMES = {"signal": Outcome.STOPPED, "save": Outcome.SAVED, "destroy": Outcome.FORCED}


@pytest.mark.parametrize(
    ("heard", "outcome", "method"),
    [
        (["signal", "destroy"], Outcome.FORCED, "destroy"),
        (["destroy"], Outcome.FORCED, "destroy"),
        (["destroy", "signal"], Outcome.FAILED, None),  # somebody has started it after its plug, and it failed
        (["signal"], Outcome.FAILED, None),
        ([], Outcome.FAILED, None),
    ],
)
def test_a_failure_that_libvirt_tells_of_is_the_plugs_where_that_was_pulled_last(
    heard: list[str], outcome: Outcome, method: str | None
) -> None:
    credit = Credit.of(Ended.FAILED, GUEST, heard, OUTCOMES.__getitem__)
    assert (credit.outcome, credit.method) == (outcome, method)


@pytest.mark.parametrize("ended", [one for one in Ended if one is not Ended.FAILED])
def test_of_all_other_ends_libvirts_word_counts_whatever_was_asked_last(ended: Ended) -> None:
    assert ending_of(ended, Outcome.FORCED) is ending_of(ended, Outcome.STOPPED) is ending_of(ended, None)
