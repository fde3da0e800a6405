"""`guest_waits`: what a guest waits for outside of this host, in nobody's time box and never past the last asking."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Guest, HookFailed, Outcome, Reason, Report
from lastcall.api.guests import Ended
from lastcall.records.records import GuestHeld, Record
from lastcall.runs.shutdown import Shutdown
from lastcall.testing import Lab
from lastcall.testing.memory import FakeGuest, FakeHypervisor, Hangs, run_shutdown
from support import by_name


class Coordinator:
    """Names these things for `db`, so many times."""

    def __init__(self, *answers: Any, then: Any = None) -> None:
        self._answers, self._then = list(answers), then
        self.asked: list[str] = []

    @lastcall.hookimpl
    def guest_waits(self, guest: Guest) -> Any:
        self.asked.append(guest.name)
        if guest.name != "db":
            return None
        answer = self._answers.pop(0) if self._answers else self._then
        return answer() if callable(answer) else answer


def stop(tmp_path: Path, coordinator: object, guests: Sequence[FakeGuest], config: str = "", **more: Any) -> Report:
    reason = more.pop("reason", Reason.POWER)
    return run_shutdown(tmp_path, guests, plugins={"site": coordinator}, config=config, reason=reason, **more)


def test_a_guest_is_asked_when_nothing_is_named_any_more_and_takes_nobodys_place_until_then(tmp_path: Path) -> None:
    db, others = FakeGuest("db", takes=2), [FakeGuest(f"g{number}", takes=2) for number in range(2)]
    held: list[GuestHeld] = []

    def note(record: Record) -> None:
        if isinstance(record, GuestHeld):
            held.append(record)

    coordinator = Coordinator(*[["web on ha"]] * 4, *[["web on ha", "batch"]] * 3)
    report = stop(
        tmp_path, coordinator, [db, *others], "shutdown: {parallel: 1}",
        sink=note,
    )  # fmt: skip
    assert db.asked == [(7.0, "acpi")]
    assert sorted(at for fake in others for at, _ in fake.asked) == [0.0, 2.0]
    assert by_name(report, "db").waited_for == ("web on ha", "batch")
    assert by_name(report, "db").started == 7.0
    assert [record.by for record in held] == ["web on ha", "web on ha, batch"]
    assert (report.run.exit_code, report.problems) == (0, ())


@pytest.mark.parametrize("limit", ["hooks: {timeout: 2s}", "guests: [{match: db, hooks: {timeout: 1s}}]"])
def test_no_time_box_counts_for_what_is_waited_for(tmp_path: Path, limit: str) -> None:
    db = FakeGuest("db")
    stop(tmp_path, Coordinator(*[["a backup"]] * 60), [db], limit)
    assert db.asked == [(60.0, "acpi")]


def test_everybody_is_asked_at_the_latest_moment_for_that_whatever_is_named(tmp_path: Path) -> None:
    db = FakeGuest("db", takes=2)
    report = stop(tmp_path, Coordinator(then=["web on ha"]), [db], "shutdown: {deadline: 100s}")
    assert db.asked == [(report.run.last_ask, "acpi")]
    assert by_name(report, "db").outcome is Outcome.STOPPED
    told = [problem.message for problem in report.problems if problem.where == "db"]
    assert told == ["was asked without waiting any longer for web on ha"]


def raises(error: BaseException) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


@pytest.mark.parametrize(
    "wrong", [raises(OSError("no route")), raises(HookFailed("no quorum")), lambda: "web on ha", lambda: [1], Hangs]
)
def test_a_call_that_fails_names_nothing_and_is_told(tmp_path: Path, wrong: Callable[[], Any]) -> None:
    db = FakeGuest("db")
    answer = raises(Hangs()) if wrong is Hangs else wrong
    report = stop(tmp_path, Coordinator(["web on ha"], then=answer), [db], "hooks: {timeout: 5s}")
    assert db.asked[0][0] <= 6.0
    assert by_name(report, "db").outcome is Outcome.STOPPED
    assert report.run.exit_code == 1
    (failed,) = [record for record in by_name(report, "db").hooks if record.hook == "guest_waits"]
    assert failed.result in {"failed", "timeout"}


def test_who_goes_off_by_itself_or_is_not_to_be_asked_waits_no_longer(tmp_path: Path) -> None:
    db, other = FakeGuest("db"), FakeGuest("other", takes=3)

    def goes(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        hypervisor.loop.call_later(4.5, hypervisor.stop, db, Ended.SHUTDOWN)

    report = stop(tmp_path, Coordinator(then=["web"]), [db, other], meanwhile=goes)
    assert (db.asked, report.run.duration) == ([], pytest.approx(4.5, abs=1.0))
    db, other = FakeGuest("db"), FakeGuest("other", takes=3)

    def interrupted(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(2.0, run.interrupt)

    report = stop(tmp_path, Coordinator(then=["web"]), [db, other], reason=Reason.MANUAL, meanwhile=interrupted)
    assert (db.asked, report.run.duration) == ([], pytest.approx(3.0, abs=1.0))


def test_who_crashes_meets_its_last_resort_at_once_whatever_is_named_and_is_not_said_to_be_asked(
    tmp_path: Path,
) -> None:
    db = FakeGuest("db")

    def crashes(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        hypervisor.loop.call_later(4.5, hypervisor.crash, db)

    report = stop(tmp_path, Coordinator(then=["web"]), [db], meanwhile=crashes)
    assert db.asked == [(4.5, "destroy")]
    assert (by_name(report, "db").message, report.problems) == ("was never asked", ())


def test_those_that_wait_for_it_wait_for_what_it_waits_for(tmp_path: Path) -> None:
    db, store = FakeGuest("db", takes=2), FakeGuest("store")
    stop(tmp_path, Coordinator(*[["web"]] * 5), [db, store], "guests: [{match: db, depends_on: [store]}]")
    assert (db.asked, store.asked) == ([(5.0, "acpi")], [(7.0, "acpi")])


def test_an_executable_names_what_a_guest_waits_for_by_its_exit_code_and_lines(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.guest("db")
    count = tmp_path / "count"
    lab.drop_in(
        "guest_waits/10-site",
        f"#!/bin/sh\necho x >> {count}\n[ $(wc -l < {count}) -gt 2 ] || {{ echo web on ha; exit 1; }}\n",
    )
    report = lab.shutdown(reason=Reason.POWER)
    assert by_name(report, "db").waited_for == ("web on ha",)
    assert by_name(report, "db").started >= 2.0
    assert report.run.exit_code == 0


def test_plan_shows_what_is_named_and_what_is_watched_and_touches_nobody(tmp_path: Path) -> None:
    here, there = "fake://hb/system", "fake://ha/system"
    coordinator = Coordinator(then=["web on hc"])
    lab = Lab(tmp_path, plugins={"site": coordinator})
    lab.config = f"connections: ['{here}', {{uri: '{there}', watch: true}}]\nguests: [{{match: web, depends_on: [db]}}]"
    web, db, idle = lab.guest("web", uri=there), lab.guest("db", uri=here), lab.guest("idle", uri=there)
    plan = lab.plan(reason=Reason.POWER)
    rows = {guest["name"]: guest for guest in plan["guests"]}
    assert rows.keys() == {"db", "web"}
    assert rows["db"]["waits_for"] == ["web", "web on hc"]
    assert (rows["web"]["left_because"], rows["web"]["watched"]) == ("watched", 60.0)
    assert rows["db"]["asked_latest"] == 60.0
    assert not lab.plan(reason=Reason.REBOOT)["guests"][0]["asked_latest"], "nobody is waited for then"
    assert "web" not in coordinator.asked
    assert [one.asked for one in (web, db, idle)] == [[], [], []]


def test_plan_knows_how_long_a_watched_guest_usually_takes(tmp_path: Path) -> None:
    here, there = "fake://hb/system", "fake://ha/system"
    lab = Lab(tmp_path, config=f"connections: ['{here}', {{uri: '{there}', watch: true}}]")
    web, _ = lab.guest("web", uri=there, settings={"depends_on": "db"}), lab.guest("db", uri=here, takes=2)
    web.goes_off(after=8.5)
    lab.shutdown(reason=Reason.POWER)
    web.starts()
    lab.restore()
    plan = lab.plan(reason=Reason.POWER)
    rows = {guest["name"]: guest for guest in plan["guests"]}
    assert rows["web"]["past"] == {"usual": 8.5, "longest": 8.5, "runs": 1}
    assert (rows["db"]["asked_usually"], rows["db"]["takes_usually"]) == (8.5, 2.0)
    assert plan["run"]["usual"] == {"seconds": 10.5, "path": ["web", "db"]}


def test_check_says_which_neighbour_is_watched_in_vain_and_which_is_not_there(tmp_path: Path) -> None:
    here, there, third = (f"fake://{host}/system" for host in ("hb", "ha", "hc"))
    lab = Lab(tmp_path)
    watched = "".join(f", {{uri: '{uri}', watch: true}}" for uri in (there, third))
    lab.config = (
        f"connections: ['{here}'{watched}]\n"
        "guests: [{match: web, depends_on: [db]}, {match: nobody, manage: watch}]"
    )
    lab.guest("web", uri=there)
    lab.guest("db", uri=here)
    lab.guest("idle", uri=third)
    found = {(problem.what, problem.where.rpartition("/")[2] and problem.where): problem for problem in lab.check()}
    watch = [problem for problem in found.values() if problem.what == "watch"]
    assert [(problem.where, problem.severity) for problem in watch] == [(third, "warning")]
    rules = [problem.message for problem in found.values() if problem.what == "rule"]
    assert len(rules) == 1, "web is a guest over there, and no misspelt name"
    assert "'nobody'" in rules[0]
