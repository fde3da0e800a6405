"""A report tells the moments of its run's deadline, by which one sees afterwards how close it was."""

from pathlib import Path

from lastcall.api.guests import Reason
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from lastcall.timing.deadline import Deadline

CONFIG = "shutdown: {deadline: 10min, reserve: 30s, grace: 30s}"


def test_a_shutdown_tells_when_everybody_is_asked_and_when_the_last_resort_begins(tmp_path: Path) -> None:
    run = run_shutdown(tmp_path, [FakeGuest("web")], config=CONFIG, reason=Reason.POWEROFF).run
    assert (run.last_ask, run.last_resort, run.deadline) == (540.0, 570.0, 600.0)


def test_one_that_learns_of_less_time_tells_the_moments_that_count_from_then_on(tmp_path: Path) -> None:
    def announce(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        less = Deadline.after(hypervisor.loop.time(), 60, reserve=20, grace=10)
        hypervisor.loop.call_later(1, lambda: run.announce(None, less))

    guests = [FakeGuest("web", takes=5)]
    run = run_shutdown(tmp_path, guests, config=CONFIG, reason=Reason.POWEROFF, meanwhile=announce).run
    assert (run.last_ask, run.last_resort, run.deadline) == (30.0, 40.0, 60.0)


def test_without_a_deadline_and_in_a_restore_there_are_none(tmp_path: Path) -> None:
    guests = [FakeGuest("web")]
    endless = run_shutdown(tmp_path, guests, config="shutdown: {deadline: none}").run
    assert (endless.last_ask, endless.last_resort) == (None, None)
    restore = run_restore(tmp_path, guests).run
    assert (restore.last_ask, restore.last_resort) == (None, None)
    assert restore.deadline
