"""Guests that are moved to another host in a shutdown: what becomes of them, and where the list says that they are."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lastcall import Ended, GuestState, Outcome, Reason
from lastcall.hypervisor.ports import Condition, GuestFacts
from lastcall.persistence.state import StateFile
from lastcall.records.credit import Credit
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name, list_of_a_killed_run, waiting_guests

HB, HC = "qemu+tls://hb/system", "qemu+tls://hc/system"
LADDER = f"defaults: {{stop: [{{migrate: {{to: [{HB}, {HC}], timeout: 20s}}}}, acpi]}}"
ALONE = f"defaults: {{stop: [{{migrate: {{to: {HB}, timeout: 20s}}}}]}}"


def hows(guest: FakeGuest) -> list[str]:
    return [how for _, how in guest.asked]


def where(folder: Path) -> dict[str, Sequence[str]]:
    listed = json.loads((folder / "state.json").read_text())["guests"]
    return {one["name"]: one["where"] for one in listed}


def at(seconds: float, do: Callable[[FakeHypervisor], object]) -> Callable[[FakeHypervisor, Shutdown], None]:
    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(seconds, do, hypervisor)

    return meanwhile


def test_a_guest_that_moves_is_as_planned_and_the_list_says_where_it_is(tmp_path: Path) -> None:
    noted = list[dict[str, Sequence[str]]]()
    guest = FakeGuest("web", takes=2, traits=GuestFacts(autostart=True))
    report = run_shutdown(
        tmp_path, [guest], config=LADDER, reason=Reason.REBOOT, meanwhile=at(1, lambda _: noted.append(where(tmp_path)))
    )
    result = by_name(report, "web")
    assert (result.outcome, result.method, result.moved_to) == (Outcome.MOVED, "migrate", HB)
    assert (result.ended, report.run.exit_code, hows(guest)) == (Ended.MIGRATED, 0, ["migrate"])
    assert noted == [{"web": [HB, HC]}], "written before it set out, when nobody knew which of them takes it"
    assert where(tmp_path) == {"web": [HB]}
    state = StateFile(tmp_path)
    state.load()
    assert state.entries[guest.guest.key].autostart


def test_a_guest_of_whose_end_no_event_tells_has_moved_all_the_same(tmp_path: Path) -> None:
    guest = FakeGuest("web", quiet=True)
    result = by_name(run_shutdown(tmp_path, [guest], config=LADDER, reason=Reason.REBOOT), "web")
    assert (result.outcome, result.moved_to) == (Outcome.MOVED, HB)


def test_a_guest_that_does_not_come_back_is_on_no_list_once_it_has_moved(tmp_path: Path) -> None:
    config = f"defaults: {{stop: [{{migrate: {{to: {HB}, come_back: false}}}}, acpi]}}"
    moved, stays = FakeGuest("moved"), FakeGuest("stays", refuses=frozenset({"migrate"}))
    run_shutdown(tmp_path, [moved, stays], config=config, reason=Reason.REBOOT)
    assert where(tmp_path) == {"stays": []}


@pytest.mark.parametrize("ladder", [LADDER, ALONE])
def test_a_refused_move_is_followed_by_a_request_at_once_and_asks_nothing_itself(tmp_path: Path, ladder: str) -> None:
    guest = FakeGuest("web", refuses=frozenset({"migrate"}))
    report = run_shutdown(tmp_path, [guest], config=ladder, reason=Reason.REBOOT)
    result = by_name(report, "web")
    assert (result.outcome, report.run.exit_code) == (Outcome.STOPPED, 0)
    assert (result.attempts[0].result, guest.asked[-1][0]) == ("failed", 0), "nothing was waited for"
    assert where(tmp_path) == {"web": []}


@pytest.mark.parametrize("ladder", [LADDER, ALONE])
def test_a_move_whose_time_is_up_is_called_back_and_its_guest_is_asked(tmp_path: Path, ladder: str) -> None:
    guest = FakeGuest("web", hangs_in=frozenset({"migrate"}))
    report = run_shutdown(tmp_path, [guest], config=ladder, reason=Reason.REBOOT)
    result = by_name(report, "web")
    assert hows(guest)[:2] == ["migrate", "abort"]
    assert hows(guest)[2] in {"acpi", "default"}
    assert (result.outcome, result.asked) == (Outcome.STOPPED, 20.0), "to be moved is no request"
    assert where(tmp_path) == {"web": []}


def test_a_move_is_called_back_when_everybody_has_to_be_asked(tmp_path: Path) -> None:
    guest = FakeGuest("web", takes=15, hangs_in=frozenset({"migrate"}))
    config = f"""
shutdown: {{deadline: 120s, reserve: 20s, grace: 20s}}
defaults: {{stop: [{{migrate: {{to: {HB}, timeout: 10min}}}}, {{migrate: {{to: {HC}, timeout: 10min}}}}, acpi]}}
"""
    result = by_name(run_shutdown(tmp_path, [guest], config=config, reason=Reason.REBOOT), "web")
    assert (result.outcome, result.method, result.asked) == (Outcome.STOPPED, "acpi", 80.0)


def test_a_guest_whose_memory_follows_it_is_neither_called_back_nor_asked(tmp_path: Path) -> None:
    guest = FakeGuest("web", hangs_in=frozenset({"migrate"}))

    def sets_out(hypervisor: FakeHypervisor) -> None:
        guest.state, guest.traits = GuestState.PAUSED, GuestFacts(condition=Condition.ARRIVING)
        hypervisor.loop.call_later(60, hypervisor.stop, guest, Ended.MIGRATED)

    report = run_shutdown(tmp_path, [guest], config=LADDER, reason=Reason.REBOOT, meanwhile=at(15, sets_out))
    assert by_name(report, "web").outcome is Outcome.MOVED
    assert "acpi" not in hows(guest)


def test_for_want_of_power_nobody_moves_and_the_list_names_no_other_host(tmp_path: Path) -> None:
    guest = FakeGuest("web")
    report = run_shutdown(tmp_path, [guest], config=LADDER, reason=Reason.POWER)
    first = by_name(report, "web").attempts[0]
    assert (first.method, first.result) == ("migrate", "skipped")
    assert "not for power" in first.message
    assert (hows(guest), where(tmp_path)) == (["acpi"], {"web": []})


@pytest.mark.parametrize("paused", ["save", "resume"])
def test_a_paused_guest_moves_as_it_is_and_is_resumed_only_where_that_fails(tmp_path: Path, paused: str) -> None:
    guests = [
        FakeGuest("moves", state=GuestState.PAUSED),
        FakeGuest("fails", state=GuestState.PAUSED, refuses=frozenset({"migrate", "save"})),
    ]
    config = f"{LADDER[:-1]}, paused: {paused}}}"
    run_shutdown(tmp_path, guests, config=config, reason=Reason.REBOOT)
    assert hows(guests[0]) == ["migrate"]
    assert [how for how in hows(guests[1]) if how != "save"] == ["migrate", "resume", "acpi"]


def test_a_guest_that_restarts_on_poweroff_leaves_with_its_own_setting(tmp_path: Path) -> None:
    config = f"defaults: {{stop: [{{acpi: {{timeout: 5s}}}}, {{migrate: {{to: {HB}}}}}]}}"
    traits = GuestFacts(restarts=True)
    early = FakeGuest("early", traits=traits)
    late = FakeGuest("late", traits=traits, deaf_to=frozenset({"acpi"}))
    run_shutdown(tmp_path / "early", [early], config=LADDER, reason=Reason.REBOOT)
    run_shutdown(tmp_path / "late", [late], config=config, reason=Reason.REBOOT)
    assert hows(early) == ["on_poweroff restart", "migrate"], "a run that was killed may have changed it"
    assert hows(late)[-2:] == ["on_poweroff restart", "migrate"]


@pytest.mark.parametrize("reason", [Reason.MANUAL, Reason.REBOOT])
@pytest.mark.parametrize(
    ("there", "touched"),
    [({}, False), ({HB: GuestState.RUNNING}, False), ({HB: GuestState.PAUSED}, False), ({HB: GuestState.OFF}, True)],
)
def test_what_a_move_that_was_cut_off_has_left_is_touched_only_where_the_other_host_says_that_it_is_off(
    tmp_path: Path, reason: Reason, there: dict[str, GuestState], touched: bool
) -> None:
    guest = FakeGuest("web", state=GuestState.PAUSED, elsewhere=there)
    list_of_a_killed_run(tmp_path, [guest.guest], restarting=[])
    state: Any = StateFile(tmp_path)
    state.load()
    state.entries = {key: replace(entry, where=(HB,)) for key, entry in state.entries.items()}
    state.save()
    report = run_shutdown(tmp_path, [guest], config="defaults: {paused: resume}", reason=reason)
    assert (hows(guest) != []) is touched
    if not touched:
        assert where(tmp_path) == {"web": [HB]}, "whoever brings it back asks there first"
        assert any("hb" in problem.message for problem in report.problems)
        assert report.run.exit_code == 1
    else:
        assert waiting_guests(tmp_path) == ["web"]
        assert where(tmp_path) == {"web": []}


def test_who_may_move_only_since_a_host_stop_has_joined_is_noted_before_it_sets_out(tmp_path: Path) -> None:
    config = f"""
shutdown: {{parallel: 1}}
defaults: {{stop: [{{migrate: {{to: {HB}, reasons: [reboot]}}}}, acpi]}}
guests: [{{match: first, stop: [acpi], order: 2}}, {{match: second, order: 1}}]
"""
    noted = list[dict[str, Sequence[str]]]()
    first, second = FakeGuest("first", takes=3), FakeGuest("second", takes=9)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        joins = Deadline.after(hypervisor.loop.time(), 120.0)
        hypervisor.loop.call_later(2, run.join, Reason.REBOOT, joins)
        hypervisor.loop.call_later(6, lambda: noted.append(where(tmp_path)))

    run_shutdown(tmp_path, [first, second], config=config, reason=Reason.MANUAL, meanwhile=meanwhile)
    assert hows(second) == ["migrate"]
    assert noted == [{"first": [], "second": [HB]}]


def test_a_persistent_guest_that_libvirt_does_not_know_any_more_has_gone_by_its_move() -> None:
    outcomes = {"migrate": Outcome.MOVED, "acpi": Outcome.STOPPED}
    guest = FakeGuest("web").guest
    credit = Credit.of(Ended.VANISHED, guest, ["migrate", "acpi"], outcomes.__getitem__)
    assert (credit.outcome, credit.method) == (Outcome.MOVED, "migrate")
    transient = FakeGuest("web", persistent=False).guest
    assert Credit.of(Ended.VANISHED, transient, ["migrate", "acpi"], outcomes.__getitem__).method == "acpi"
    assert Credit.of(Ended.MIGRATED, guest, ["acpi"], outcomes.__getitem__).outcome is Outcome.SKIPPED, (
        "by somebody else"
    )


@pytest.mark.parametrize("last", [f"[{{migrate: {{to: {HB}}}}}]", f"[{{migrate: {{to: {HB}}}}}, destroy]"])
def test_to_be_moved_is_no_last_resort(tmp_path: Path, last: str) -> None:
    guest = FakeGuest("web", deaf_to=frozenset({"acpi"}))
    config = f"defaults: {{stop: [{{acpi: {{timeout: 5s}}}}], last_resort: {last}}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.REBOOT)
    assert {*hows(guest)} == {"acpi", "destroy"}
    assert any("no last resort" in problem.message for problem in report.problems)
