"""A host stop that joins a run by hand: everybody is seen off by its rules, whatever the run was asked for."""

from pathlib import Path

import lastcall
from lastcall import Guest, Outcome, Reason
from lastcall.runs.shutdown import Shutdown
from lastcall.testing import FakeGuest, FakeHypervisor, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name, waiting_guests

DEAF = frozenset({"acpi"})


def test_a_host_stop_that_joins_sees_off_whom_the_run_by_hand_had_left(tmp_path: Path) -> None:
    deaf, skipped, theirs = FakeGuest("deaf", deaf_to=DEAF), FakeGuest("db"), FakeGuest("theirs")
    slow, unseen = FakeGuest("slow", takes=30), FakeGuest("unseen", hangs_in=frozenset({"look"}))

    class Skips:
        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest) -> None:
            if guest.name == "db":
                raise lastcall.HookFailed("the flush failed")

    config = """
defaults: {stop: [{acpi: {timeout: 40s}}]}
hooks: {plugins: {skips: {on_failure: skip_guest}}}
guests: [{match: theirs, manage: false}, {match: deaf, stop: [{acpi: {timeout: 5s}}]}]
"""

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(20, run.join, Reason.POWER, Deadline.after(20, 80, reserve=20, grace=10))

    everybody = [deaf, skipped, theirs, slow, unseen]
    report = run_shutdown(tmp_path, everybody, config=config, plugins={"skips": Skips()}, meanwhile=joins)
    assert by_name(report, "deaf").outcome is Outcome.FORCED
    assert by_name(report, "db").outcome is by_name(report, "unseen").outcome is Outcome.STOPPED
    assert (theirs.asked, by_name(report, "theirs").outcome) == ([], Outcome.SKIPPED)
    assert sorted(waiting_guests(tmp_path)) == ["db", "deaf", "slow", "unseen"]
    said = [problem.where for problem in report.problems if problem.message.endswith("stopped, too")]
    assert sorted(said) == ["db", "deaf", "unseen"]


def test_a_host_stop_that_joins_tries_a_connection_on_that_was_given_up(tmp_path: Path) -> None:
    slow, lost = FakeGuest("slow", uri="fake:///other", takes=30), FakeGuest("lost", takes=12)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(2, hypervisor.lose, lost.uri)
        hypervisor.loop.call_later(10, run.join, Reason.POWER, Deadline.after(10, 80, reserve=20, grace=10))
        hypervisor.loop.call_later(15, hypervisor.open_up, lost.uri)

    report = run_shutdown(tmp_path, [slow, lost], meanwhile=meanwhile)
    assert by_name(report, "lost").outcome is Outcome.STOPPED
    assert waiting_guests(tmp_path) == ["slow", "lost"]
