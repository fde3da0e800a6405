"""What shedding does to guests: it asks as a run by hand does, forces nobody, and keeps in mind to bring them back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lastcall import GuestState, Outcome, Reason, Report
from lastcall.errors import NoPermission
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.state import StateFile, open_state
from lastcall.persistence.waiting.entry import Entry
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name, hang_over_write, waiting_guests

ACPI = frozenset({"acpi", "shutdown"})
Meanwhile = Callable[[FakeHypervisor, Shutdown], None]


def shed(folder: Path, *guests: FakeGuest, names: list[str] | None = None, **more: Any) -> Report:
    chosen = [guest.name for guest in guests] if names is None else names
    return run_shutdown(folder, guests, reason=Reason.SHED, names=chosen, **more)


def listed(folder: Path) -> dict[str, Entry]:
    return {entry.name: entry for entry in open_state(folder).entries.values()}


@pytest.mark.parametrize(
    ("guest", "config", "outcome", "why"),
    [
        (FakeGuest("g", deaf_to=ACPI), "defaults: {stop: [acpi, destroy], timeout: 9s}", Outcome.LEFT, "running"),
        (FakeGuest("g", deaf_to=ACPI), "defaults: {stop: [acpi], last_resort: destroy}", Outcome.LEFT, "running"),
        (FakeGuest("g"), "defaults: {stop: [destroy]}", Outcome.SKIPPED, "shedding forces nobody off"),
        (FakeGuest("g", state=GuestState.CRASHED), "", Outcome.SKIPPED, "shedding forces nobody off"),
        (FakeGuest("g", persistent=False), "", Outcome.SKIPPED, "transient"),
        (FakeGuest("g"), "defaults: {manage: false}", Outcome.SKIPPED, "not managed"),
    ],
    ids=["deaf to its ladder", "no last resort", "forced", "crashed", "transient", "not ours"],
)
def test_nobody_is_forced_off_and_nobody_is_touched_whom_only_force_would_stop_or_nobody_could_start(
    tmp_path: Path, guest: FakeGuest, config: str, outcome: Outcome, why: str
) -> None:
    fake = replace(guest)
    report = shed(tmp_path, fake, FakeGuest("other"), config=config)
    assert by_name(report, "g").outcome is outcome
    assert why in by_name(report, "g").message
    assert (fake.ended, fake.off_at) == (None, None)


def test_whoever_is_shed_is_listed_as_such_for_the_next_boot_before_it_is_asked_whatever_its_settings_say(
    tmp_path: Path,
) -> None:
    seen: list[dict[str, Entry]] = []

    def look(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(0.5, lambda: seen.append(listed(tmp_path)))

    guests = FakeGuest("plain"), FakeGuest("never", takes=3)
    shed(tmp_path, *guests, config="guests: [{match: never, restore: false}]", meanwhile=look)
    for entries in (*seen, listed(tmp_path)):  # as if it had been killed then, and at its end
        assert set(entries) == {"plain", "never"}
        assert all(entry.is_due_from(boot_id()) and entry.cause == "shed" for entry in entries.values())


def test_a_host_stop_after_it_leaves_those_that_were_shed_due_for_the_next_boot(tmp_path: Path) -> None:
    web, other = FakeGuest("web"), FakeGuest("other")
    shed(tmp_path, web, other, names=["web"])
    run_shutdown(tmp_path, [web, other], reason=Reason.POWEROFF)
    entries = listed(tmp_path)
    assert {name for name, entry in entries.items() if entry.is_due_from(boot_id())} == {"web", "other"}
    assert (entries["web"].cause, entries["other"].cause) == ("shed", "host")


def test_the_next_boot_but_one_brings_nobody_back_by_itself_who_was_shed_two_boots_ago(tmp_path: Path) -> None:
    shed(tmp_path, FakeGuest("web"))
    state: StateFile = open_state(tmp_path)
    state.stamp("next")
    state.stamp("the one after")
    assert not listed(tmp_path)["web"].is_due_from(state.previous_boot)


@pytest.mark.parametrize("when", [0.5, 5, 40], ids=["while it is asked", "later", "after its time by hand"])
def test_a_host_stop_that_joins_has_everybody_asked_within_three_seconds_and_all_come_back(
    tmp_path: Path, when: float
) -> None:
    deaf, slow = FakeGuest("deaf", deaf_to=ACPI), FakeGuest("slow", takes=60)
    others = [FakeGuest(f"other-{number}", takes=20) for number in range(5)]

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(when, run.join, Reason.POWER, Deadline.after(when, 120, reserve=20, grace=10))

    report = shed(
        tmp_path, deaf, slow, *others, names=["deaf", "slow"], meanwhile=joins,
        config="defaults: {stop: [acpi, destroy], timeout: 10s}\nguests: [{match: slow, timeout: 90s}]",
    )  # fmt: skip
    assert not report.run.reason.voluntary
    for guest in others:
        asked = by_name(report, guest.name).asked
        assert asked is not None
        assert asked - when <= 3
    assert all(guest.state is GuestState.OFF for guest in (deaf, slow, *others))
    assert by_name(report, "deaf").outcome is Outcome.FORCED
    entries = listed(tmp_path)
    assert all(entry.is_due_from(boot_id()) for entry in entries.values())
    assert set(entries) == {"deaf", "slow", *(guest.name for guest in others)}


@pytest.mark.parametrize("while_it_lasts", [True, False])
def test_who_is_started_again_by_somebody_while_others_are_shed_is_left_alone(
    tmp_path: Path, *, while_it_lasts: bool
) -> None:
    quick, slow, third = FakeGuest("quick", takes=1), FakeGuest("slow", takes=20), FakeGuest("third")

    def starts(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(5 if while_it_lasts else 100, hypervisor.begin, quick)

    report = shed(tmp_path, quick, slow, third, names=["quick", "slow"], meanwhile=starts)
    assert len(quick.asked) == len(third.asked) + 1 == 1
    assert by_name(report, "slow").outcome is Outcome.STOPPED
    assert (quick.state is GuestState.RUNNING) == while_it_lasts


@pytest.mark.parametrize("full", [True, False], ids=["it is refused", "it hangs"])
def test_where_the_list_cannot_be_kept_nobody_is_shed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, full: bool
) -> None:
    guest = FakeGuest("g")
    if full:
        (tmp_path / "state.new").mkdir()  # what a list is written to first
    else:
        hang_over_write(1, monkeypatch)
    with pytest.raises(NoPermission, match=r"state\.(json|new)"):
        shed(tmp_path, guest)
    assert guest.asked == []


def test_a_first_signal_has_nobody_else_asked_and_those_waited_for_that_were(tmp_path: Path) -> None:
    web, db = FakeGuest("web", takes=10), FakeGuest("db")

    def told(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(3, run.interrupt)

    report = shed(tmp_path, web, db, config="guests: [{match: web, depends_on: db}]", meanwhile=told)
    assert by_name(report, "web").outcome is Outcome.STOPPED
    assert (db.asked, db.state) == ([], GuestState.RUNNING)
    assert waiting_guests(tmp_path) == ["web"]


def test_the_report_says_by_which_stage_a_guest_was_shed_or_was_to_be(tmp_path: Path) -> None:
    from lastcall.report.text import as_text

    web, deaf = FakeGuest("web"), FakeGuest("deaf", deaf_to=ACPI)
    stages = {web.guest.key: "after 5min on battery", deaf.guest.key: "below 60% of charge"}
    report = shed(tmp_path, web, deaf, config="defaults: {stop: [acpi], timeout: 9s}", stages=stages)
    assert by_name(report, "web").stage == "after 5min on battery"
    text = as_text(report)
    assert "shed after 5min on battery" in text
    assert "still running; to be shed below 60% of charge" in text


def test_a_host_stop_that_turns_round_over_a_disk_that_hangs_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had begun as a host stop, which is never refused: nobody was told what became of it."""
    hang_over_write(1, monkeypatch)
    guest = FakeGuest("g")

    def back(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(1, run.power_returns, Deadline.after(0, 600, reserve=30, grace=30), None)

    report = run_shutdown(tmp_path, [guest], reason=Reason.POWER, meanwhile=back)
    assert [problem.what for problem in report.problems if problem.what == "state"] == ["state"]
    assert guest.state is GuestState.RUNNING
