"""What happens to a guest while plugins are still told how it went: they keep nobody from being seen off."""

from collections.abc import Callable
from pathlib import Path

import pytest

import lastcall
from lastcall import Guest, GuestState, HookFailed, Outcome, Reason
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, Hangs, run_shutdown
from lastcall.testing.memory.guest import URI
from lastcall.timing.deadline import Deadline
from support import by_name

DEAF = frozenset({"acpi", "agent", "shutdown"})
SLOW = "hooks: {timeout: %ds, plugins: {slow: {on_failure: skip_guest}}}\ndefaults: {stop: [{acpi: {timeout: 5s}}]}\n"
Meanwhile = Callable[[FakeHypervisor, Shutdown], None]


class Slow:
    """Takes all of its time box for what it does once `db` is through; and its flush of `db` fails, if it `skips`."""

    def __init__(self, *, skips: bool = False) -> None:
        self.skips = skips

    @lastcall.hookimpl
    def on_guest_stop(self, guest: Guest) -> None:
        if self.skips and guest.name == "db":
            self.skips = False
            raise HookFailed("the flush failed")

    @lastcall.hookimpl
    def on_guest_stopped(self, guest: Guest) -> None:
        if guest.name == "db":
            raise Hangs


def joins_at(at: float, deadline: Deadline) -> Meanwhile:
    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(at, run.join, Reason.POWER, deadline)

    return meanwhile


@pytest.mark.parametrize("skips", [True, False], ids=["skipped", "left"])
def test_whom_a_run_by_hand_has_just_left_is_seen_off_where_a_host_stop_joins(tmp_path: Path, *, skips: bool) -> None:
    db = FakeGuest("db", deaf_to=frozenset() if skips else DEAF)
    meanwhile = joins_at(12, Deadline.after(12, 100, reserve=20, grace=10))
    report = run_shutdown(tmp_path, [db], config=SLOW % 15, plugins={"slow": Slow(skips=skips)}, meanwhile=meanwhile)
    assert db.state is GuestState.OFF
    assert by_name(report, "db").outcome is (Outcome.STOPPED if skips else Outcome.FORCED)


def test_where_everybody_has_to_be_asked_it_is_not_waited_for_what_plugins_do_once_it_is_through(
    tmp_path: Path,
) -> None:
    db = FakeGuest("db")
    deadline = Deadline.after(12, 30, reserve=10, grace=5)
    report = run_shutdown(
        tmp_path, [db], config=SLOW % 60, plugins={"slow": Slow(skips=True)}, meanwhile=joins_at(12, deadline)
    )
    assert db.asked == [(pytest.approx(deadline.last_ask), "acpi")]
    assert by_name(report, "db").outcome is Outcome.STOPPED
    assert report.run.exit_code == 1, "a hook was cut off"


def test_one_of_which_nothing_was_known_is_asked_once_its_connection_is_back(tmp_path: Path) -> None:
    db, other = FakeGuest("db", deaf_to=DEAF), FakeGuest("other", takes=30)

    def meanwhile(hypervisor: FakeHypervisor, _: object) -> None:
        hypervisor.loop.call_later(0.5, hypervisor.lose, URI)
        hypervisor.loop.call_later(6, hypervisor.open_up, URI)

    config = "shutdown: {deadline: 100s}\n" + SLOW % 15
    report = run_shutdown(
        tmp_path, [db, other], config=config, reason=Reason.POWEROFF, plugins={"slow": Slow()}, meanwhile=meanwhile
    )
    assert (by_name(report, "db").outcome, db.state) == (Outcome.FORCED, GuestState.OFF)


def test_one_that_is_started_again_meanwhile_is_asked_as_soon_as_they_are_through(tmp_path: Path) -> None:
    """And not only when all others are off, which may be when the host's time is over."""
    db, deaf = FakeGuest("db"), FakeGuest("deaf", deaf_to=DEAF)

    def meanwhile(hypervisor: FakeHypervisor, _: object) -> None:
        hypervisor.loop.call_later(5, hypervisor.begin, db)

    config = "shutdown: {deadline: 100s}\nguests: [{match: deaf, stop: [{acpi: {timeout: 90s}}]}]\n" + SLOW % 15
    report = run_shutdown(
        tmp_path, [db, deaf], config=config, reason=Reason.POWEROFF, plugins={"slow": Slow()}, meanwhile=meanwhile
    )
    assert [at for at, how in db.asked if how == "acpi"] == [0, pytest.approx(16)]
    assert by_name(report, "db").outcome is Outcome.STOPPED
