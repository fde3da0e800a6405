"""However little is kept for the last resort: whoever does not stop is forced off, and not left to the host's end."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall import Outcome, Reason, hookimpl
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_shutdown
from lastcall.timing.budget import LEAST_LAST_RESORT
from lastcall.timing.deadline import Deadline

MOMENT = st.floats(0, 1e4)


@given(limit=st.floats(0.01, 1e5), reserve=MOMENT, grace=MOMENT, heard=st.booleans())
def test_the_moments_of_a_deadline_stand_in_their_order_and_the_last_resort_has_time(
    limit: float, reserve: float, grace: float, *, heard: bool
) -> None:
    cut = Deadline.after(0.0, limit, reserve=reserve, grace=grace, heard=heard)
    assert 0 < cut.last_ask < cut.last_resort <= cut.last_plug < cut.last_hook < cut.end == limit
    assert cut.last_hook - cut.last_resort >= LEAST_LAST_RESORT.of(limit) * 0.999
    if reserve >= 2 * LEAST_LAST_RESORT.seconds:  # what is kept for it counts as ever
        assert cut.end - cut.last_resort <= reserve * 1.001


class Listens:
    """A plugin for which time is kept after the guests."""

    @hookimpl
    def post_shutdown(self) -> None:
        """Listen."""


def joined(after: float, seconds: float) -> Callable[[FakeHypervisor, Shutdown], None]:
    def join(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        cut = Deadline.after(after, seconds, reserve=0.0, grace=0.0, heard=False)
        hypervisor.loop.call_later(after, run.join, Reason.POWER, cut)

    return join


@pytest.mark.parametrize("listener", [{}, {"own": Listens()}])
@pytest.mark.parametrize(
    ("config", "reason", "meanwhile"),
    [
        ("{deadline: 10min, reserve: 0s}", Reason.POWEROFF, None),
        ("{deadline: 10min, reserve: 0s, grace: 0s}", Reason.POWEROFF, None),
        ("{deadline: 10min, reserve: 100ms}", Reason.POWEROFF, None),
        ("{deadline: 4s, reserve: 0s}", Reason.POWEROFF, None),
        ("{deadline: 500ms, reserve: 0s}", Reason.POWEROFF, None),
        ("{by_reason: {power: {deadline: 60s, reserve: 0s}}}", Reason.POWER, None),
        ("{deadline: 10min, reserve: 0s}", Reason.POWEROFF, joined(5, 30)),
        ("{deadline: 10min, reserve: 30s}", Reason.POWEROFF, joined(5, 3)),
    ],
)
def test_who_does_not_stop_is_forced_off_in_time(
    tmp_path: Path, config: str, reason: Reason, listener: dict[str, object],
    meanwhile: Callable[[FakeHypervisor, Shutdown], None] | None,
) -> None:  # fmt: skip
    guests = [FakeGuest(f"deaf-{number}", takes=10_000) for number in range(3)]
    report = run_shutdown(
        tmp_path, guests, config=f"shutdown: {config}", reason=reason, plugins=listener, meanwhile=meanwhile
    )
    assert {guest.outcome for guest in report.guests} == {Outcome.FORCED}
    assert report.run.deadline
    assert report.run.duration <= report.run.deadline
