"""What a drill does to guests: it asks as a run by hand does, forces nobody, and keeps in mind to bring them back."""

from pathlib import Path
from typing import Any

import pytest

from lastcall import GuestState, Outcome, Reason, Report
from lastcall.errors import NoPermission
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.state import open_state
from lastcall.persistence.waiting.entry import Entry
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name, hang_over_write, waiting_guests

ACPI = frozenset({"acpi", "shutdown"})


def drill(folder: Path, *guests: FakeGuest, **more: Any) -> Report:
    return run_shutdown(folder, guests, reason=Reason.DRILL, names=[guest.name for guest in guests], **more)


def listed(folder: Path) -> dict[str, Entry]:
    return {entry.name: entry for entry in open_state(folder).entries.values()}


@pytest.mark.parametrize(
    "ladder", ["[acpi, destroy]", "[{acpi: {timeout: 5s}}, {destroy: {timeout: 5s}}]", "[acpi, {signal: 15}, destroy]"]
)
def test_a_guest_that_hears_nothing_is_left_running_by_a_drill_whatever_its_ladder_ends_in(
    tmp_path: Path, ladder: str
) -> None:
    deaf, other = FakeGuest("deaf", deaf_to=ACPI), FakeGuest("other")
    config = f"defaults: {{stop: {ladder}, timeout: 10s, last_resort: destroy}}"
    report = drill(tmp_path, deaf, other, config=config)
    assert by_name(report, "deaf").outcome is Outcome.LEFT
    assert (deaf.state, deaf.ended) == (GuestState.RUNNING, None)
    assert by_name(report, "other").outcome is Outcome.STOPPED
    assert report.run.exit_code == 1


@pytest.mark.parametrize(
    ("guest", "config", "why"),
    [
        (FakeGuest("g"), "defaults: {stop: [destroy]}", "forces nobody"),
        (FakeGuest("g"), "defaults: {stop: [{destroy: {graceful: true}}]}", "forces nobody"),
        (FakeGuest("g", state=GuestState.CRASHED), "", "forces nobody"),
        (FakeGuest("g", persistent=False), "", "transient"),
        (FakeGuest("g"), "defaults: {manage: false}", "not managed"),
    ],
    ids=["forced", "forced gracefully", "crashed", "transient", "not ours"],
)
def test_whom_only_force_would_stop_or_nobody_could_start_again_is_not_touched(
    tmp_path: Path, guest: FakeGuest, config: str, why: str
) -> None:
    report = drill(tmp_path, guest, config=config)
    assert by_name(report, "g").outcome is Outcome.SKIPPED
    assert why in by_name(report, "g").message
    assert guest.asked == []
    assert waiting_guests(tmp_path) == []


def test_whoever_a_drill_stops_is_listed_for_the_next_boot_before_it_is_asked_whatever_its_settings_say(
    tmp_path: Path,
) -> None:
    seen: list[dict[str, Entry]] = []

    def look(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(0.5, lambda: seen.append(listed(tmp_path)))

    guests = FakeGuest("plain"), FakeGuest("never", takes=3)
    drill(tmp_path, *guests, config="guests: [{match: never, restore: false}]", meanwhile=look)
    for entries in (*seen, listed(tmp_path)):  # as if it had been killed then, and at its end
        assert set(entries) == {"plain", "never"}
        assert all(entry.is_due_from(boot_id()) for entry in entries.values())


@pytest.mark.parametrize("when", [0.5, 5, 40], ids=["while it is asked", "later", "after its time by hand"])
def test_a_host_stop_that_joins_a_drill_sees_everybody_off_and_all_come_back(tmp_path: Path, when: float) -> None:
    deaf, transient = FakeGuest("deaf", deaf_to=ACPI), FakeGuest("transient", persistent=False)
    slow, other = FakeGuest("slow", takes=60), FakeGuest("other")

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(when, run.join, Reason.POWER, Deadline.after(when, 120, reserve=20, grace=10))

    report = run_shutdown(
        tmp_path, [deaf, transient, slow, other], reason=Reason.DRILL, names=["deaf", "transient", "slow"],
        config="defaults: {stop: [acpi, destroy], timeout: 10s}\nguests: [{match: slow, timeout: 90s}]",
        meanwhile=joins,
    )  # fmt: skip
    assert not report.run.reason.voluntary
    assert {guest.name for guest in (deaf, transient, slow, other) if guest.state is not GuestState.OFF} == set()
    assert by_name(report, "deaf").outcome is Outcome.FORCED
    assert {name for name, entry in listed(tmp_path).items() if entry.is_due_from(boot_id())} == {
        "deaf", "slow", "other"
    }  # fmt: skip


@pytest.mark.parametrize("full", [True, False], ids=["it is refused", "it hangs"])
def test_a_drill_whose_list_cannot_be_kept_touches_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, full: bool
) -> None:
    guest = FakeGuest("g")
    if full:
        (tmp_path / "state.new").mkdir()  # what a list is written to first
    else:
        hang_over_write(1, monkeypatch)
    with pytest.raises(NoPermission, match=r"state\.(json|new)"):
        drill(tmp_path, guest)
    assert guest.asked == []
    # By hand it goes on, and says so: it may be stopped for good.
    assert by_name(run_shutdown(tmp_path, [guest], names=["g"]), "g").outcome is Outcome.STOPPED or not full
