"""What earlier runs teach the plan: guests' own times, and those of hook calls, which are counted by themselves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall.api.guests import GuestState, Outcome, Reason
from lastcall.api.results import GuestResult, HookRecord, Verdict
from lastcall.planning.history import KEEP, MOST_CALLS, History, Usual
from lastcall.testing.lab import Lab

KEY = ("qemu:///system", "a")
CALL = HookRecord(hook="on_guest_stop", plugin="flush", result=Verdict.OK, started=0.0, duration=2.0)
RESULT = GuestResult(
    name="db-1", uuid=KEY[1], uri=KEY[0], outcome=Outcome.STOPPED, method="acpi", started=1.0, duration=10.0,
    state_before=GuestState.RUNNING, persistent=True, hooks=(CALL,),
)  # fmt: skip


class Slow:
    """Takes its time in the hooks that a plan counts; seconds, or an exception that ends it then."""

    def __init__(self, before: float = 0.0, each: float = 0.0, fails: Exception | None = None) -> None:
        self.before, self.each, self.fails = before, each, fails

    @lastcall.hookimpl
    def pre_shutdown(self, run: lastcall.Run) -> None:
        run.sleep(self.before)
        if self.fails:
            raise self.fails

    @lastcall.hookimpl
    def on_guest_stop(self, guest: lastcall.Guest, run: lastcall.Run) -> None:
        run.sleep(self.each)
        if self.fails:
            raise self.fails


ORDER = "guests: [{match: app, depends_on: db}]"
HOST_ONLY = "{hooks: {reasons: {slow: host}}, guests: [{match: app, depends_on: db}]}"


def lab_of(folder: Path, slow: Slow, config: str = ORDER) -> Lab:
    lab = Lab(folder, plugins={"slow": slow}, config=config)
    lab.tolerates(lastcall.HookFailed)
    for name, takes in (("app", 4.0), ("db", 8.0)):
        lab.guest(name, takes=takes)
    return lab


def seen_in(lab: Lab) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the plan of a host stop says of the run, and of each guest by its name."""
    plan = lab.plan(reason=Reason.POWEROFF)
    return dict(plan["run"]), {guest["name"]: guest for guest in plan["guests"]}


def test_calls_that_no_run_has_seen_count_their_time_box_and_say_which_setting_it_is(tmp_path: Path) -> None:
    config = "{hooks: {plugins: {slow: {timeout: 40s}}}, guests: [{match: app, depends_on: db, hooks: {timeout: 7s}}]}"
    run, guests = seen_in(lab_of(tmp_path, Slow(1.0, 2.0), config))
    assert run["calls"] == [
        {"hook": "pre_shutdown", "plugin": "slow", "limit": 40.0, "set_by": "hooks.plugins.slow.timeout", "past": None}
    ]
    assert (run["usual"]["seconds"], guests["app"]["asked_latest"], guests["app"]["past"]) == (40.0, 40.0, None)
    lab = lab_of(tmp_path, Slow(), "guests: [{match: app, depends_on: db, hooks: {timeout: 7s}}]")
    run, guests = seen_in(lab)
    assert [(run["calls"][0]["limit"], run["calls"][0]["set_by"])] == [(60.0, "hooks.timeout")]
    told = {name: (guest["calls"][0]["limit"], guest["calls"][0]["set_by"]) for name, guest in guests.items()}
    assert told == {"app": (7.0, "the guest's hooks.timeout"), "db": (60.0, "hooks.timeout")}


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_runs_have_seen_counts_for_the_usual_case_and_the_settings_for_the_worst(
    tmp_path: Path, *, by_hand: bool
) -> None:
    lab = lab_of(tmp_path, Slow(3.0, 2.0))
    for _ in range(3):
        lab.shutdown(reason=Reason.MANUAL if by_hand else Reason.POWEROFF)
        lab.restore()
    run, guests = seen_in(lab)
    assert run["usual"] == {"seconds": pytest.approx(3 + 2 + 4 + 2 + 8, abs=0.1), "path": ["app", "db"]}
    assert guests["app"]["asked_usually"] == pytest.approx(3, abs=0.1)
    assert guests["db"]["asked_usually"] == pytest.approx(3 + 2 + 4, abs=0.1)
    assert guests["db"]["takes_usually"] == pytest.approx(2 + 8, abs=0.1)
    assert (guests["app"]["asked_latest"], guests["db"]["asked_latest"]) == (60.0, 60 + 60 + 90)
    past = guests["db"]["calls"][0]["past"]
    assert (past["usual"], past["runs"]) == (pytest.approx(2, abs=0.1), 3)
    assert guests["db"]["past"]["usual"] == pytest.approx(8, abs=0.1)


def test_a_hook_that_is_new_gone_or_quick_for_once_makes_no_other_guest_of_it(tmp_path: Path) -> None:
    lab_of(tmp_path, Slow(0.0, 20.0)).shutdown()
    without = Lab(tmp_path)
    without.guest("db", takes=8.0)
    (guest,) = without.plan(reason=Reason.POWEROFF)["guests"]
    assert guest["takes_usually"] == pytest.approx(8, abs=0.1)
    more = Lab(tmp_path, plugins={"slow": Slow(), "new": Slow()})
    more.guest("db", takes=8.0)
    (guest,) = more.plan(reason=Reason.POWEROFF)["guests"]
    assert guest["takes_usually"] == pytest.approx(8 + 20 + 60, abs=0.1)


@pytest.mark.parametrize("fails", [lastcall.HookFailed("no"), None])
def test_a_call_that_fails_or_overruns_says_nothing_of_how_long_it_takes(
    tmp_path: Path, fails: Exception | None
) -> None:
    lab = lab_of(tmp_path, Slow(1.0, 1.0, fails) if fails else Slow(1000.0, 1000.0))
    lab.shutdown(reason=Reason.POWEROFF)
    lab.restore()
    run, guests = seen_in(lab)
    assert [call["past"] for call in (*run["calls"], *guests["app"]["calls"])] == [None, None]
    assert guests["app"]["takes_usually"] == pytest.approx(60 + 4, abs=0.1)


def test_a_call_that_has_nothing_to_do_is_quick_and_one_that_is_not_meant_for_the_run_says_nothing(
    tmp_path: Path,
) -> None:
    lab = lab_of(tmp_path, Slow(fails=lastcall.Skip("nothing to do")))
    lab.shutdown()
    lab.restore()
    run, guests = seen_in(lab)
    assert run["calls"][0]["past"]["usual"] == pytest.approx(0, abs=0.1)
    assert guests["db"]["calls"][0]["past"]["runs"] == 1
    other = lab_of(tmp_path / "other", Slow(5.0, 5.0), HOST_ONLY)
    report = other.shutdown()
    assert [(hook.plugin, hook.called) for hook in report.hooks] == [("slow", False)]
    run, _ = seen_in(other)
    assert (run["calls"][0]["limit"], run["calls"][0]["past"]) == (60.0, None)


def test_a_rehearsal_teaches_nothing(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, Slow(1.0, 1.0))
    lab.fire("pre_shutdown")
    lab.plan()
    assert not (tmp_path / "history.json").exists()


def test_pre_shutdown_takes_no_more_than_its_budget_and_a_quarter_of_the_deadline(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, Slow(50.0, 0.0), "hooks: {pre_budget: 20s}")
    assert seen_in(lab)[1]["app"]["asked_latest"] == 20.0
    short = lab_of(tmp_path, Slow(50.0, 0.0), "shutdown: {deadline: 40s}")
    assert seen_in(short)[1]["app"]["asked_latest"] == 10.0
    endless = lab_of(tmp_path, Slow(50.0, 0.0), "shutdown: {deadline: none}")
    assert {guest["asked_latest"] for guest in endless.plan()["guests"]} == {60.0}


def test_the_file_is_bounded_whatever_comes_and_goes(tmp_path: Path) -> None:
    history = History(tmp_path)
    for number in range(3 * MOST_CALLS):
        calls = [replace(CALL, hook="pre_shutdown", plugin=f"p{number}"), replace(CALL, hook="pre_shutdown")]
        history.learn([replace(RESULT, hooks=(replace(CALL, plugin=f"p{number}"), CALL))], calls)
        usual = history.usual_call("on_guest_stop", "flush", KEY)
        assert usual == Usual(2.0, 2.0, min(KEEP, number + 1)), "what goes on being called is kept"
    told = json.loads(history.render())
    (guest,) = told["guests"].values()
    for past in (guest, told["run"]):
        assert len(past["calls"]) == MOST_CALLS
        assert max(map(len, past["calls"].values())) == KEEP
    assert len(guest["times"]) == KEEP


def test_what_is_written_is_what_is_read_by_method_and_by_call(tmp_path: Path) -> None:
    history = History(tmp_path)
    for method, duration in (("acpi", 12.0), ("save", 42.0), ("acpi", 32.0)):
        history.learn([replace(RESULT, method=method, duration=duration)])
    history.write(history.render())
    again = History(tmp_path)
    again.load()
    for one in (history, again):
        assert one.usual(KEY) == Usual(30.0, 40.0, 3)
        assert one.usual(KEY, "save") == Usual(40.0, 40.0, 1)
        assert one.usual(KEY, "agent") is None


@pytest.mark.parametrize("outcome", [Outcome.FORCED, Outcome.LEFT, Outcome.SKIPPED, Outcome.UNKNOWN, Outcome.FAILED])
def test_a_guest_that_did_not_go_off_by_itself_says_nothing_of_its_own_time_but_its_hooks_do(
    tmp_path: Path, outcome: Outcome
) -> None:
    history = History(tmp_path)
    history.learn([replace(RESULT, outcome=outcome)])
    assert history.usual(KEY) is None
    assert history.usual_call("on_guest_stop", "flush", KEY)
