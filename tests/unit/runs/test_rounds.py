"""Asking around for guests whose end went unheard."""

import asyncio
from pathlib import Path

from lastcall import Guest, GuestState, Outcome
from lastcall.runs.rounds import POLL
from lastcall.runs.shutdown import Shutdown
from lastcall.testing import FakeGuest, FakeHypervisor, run_shutdown
from support import by_name

HUNG = "fake:///b"


def test_who_was_started_by_somebody_unheard_is_not_called_stopped_by_a_run_that_was_interrupted(
    tmp_path: Path,
) -> None:
    guest, beside = FakeGuest("g", takes=0.5), FakeGuest("beside", takes=1.5)

    def start(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        def unheard() -> None:
            guest.state, guest.ended = GuestState.RUNNING, None

        hypervisor.loop.call_later(1, unheard)
        hypervisor.loop.call_later(1.2, run.interrupt)

    report = run_shutdown(tmp_path, [guest, beside], meanwhile=start)
    assert (by_name(report, "g").outcome, by_name(report, "g").ended) == (Outcome.LEFT, None)
    assert by_name(report, "beside").outcome is Outcome.STOPPED
    assert report.run.exit_code == 1


def hang(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
    """A moment later, the lists of one connection take all the time that they have."""
    active = hypervisor.active

    async def slow(uri: str) -> list[Guest]:
        if uri == HUNG and hypervisor.loop.time() > 1:
            await asyncio.sleep(10)
            raise TimeoutError
        return await active(uri)

    hypervisor.active = slow


def test_a_connection_that_hangs_keeps_nobody_from_asking_another_for_guests_whose_end_went_unheard(
    tmp_path: Path,
) -> None:
    hung, unheard = FakeGuest("hung", uri=HUNG, takes=60), FakeGuest("unheard", uri="fake:///a", takes=12, quiet=True)
    report = run_shutdown(tmp_path, [hung, unheard], meanwhile=hang)
    assert by_name(report, "unheard").outcome is Outcome.STOPPED
    assert by_name(report, "unheard").duration <= 12 + POLL, "found in the next round, however long another takes"
