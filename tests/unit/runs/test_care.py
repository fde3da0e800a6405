"""What is not known is treated with more care: guests that cannot be looked at, connections that are not there yet."""

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Guest, GuestState, Outcome, Reason, Run
from lastcall.errors import HookFailed, Severity
from lastcall.hypervisor.ports import GuestFacts, LanesCrowded
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name, hang_over_write, waiting_guests

LOOK = frozenset({"look"})
URI, OTHER = "fake:///system", "fake:///other"
NOT_OURS = GuestFacts(metadata={"manage": "false"})
SHORT = "shutdown: {deadline: 60s, reserve: 20s, grace: 10s}"


def at(*actions: tuple[float, Callable[[FakeHypervisor], object]]) -> Callable[[FakeHypervisor, Shutdown], None]:
    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        for seconds, action in actions:
            hypervisor.loop.call_later(seconds, action, hypervisor)

    return meanwhile


@pytest.mark.parametrize("how", ["hangs_in", "refuses"])
def test_one_guest_that_cannot_be_looked_at_costs_no_other_its_metadata(tmp_path: Path, how: str) -> None:
    stuck, theirs = FakeGuest("stuck"), FakeGuest("theirs", traits=NOT_OURS)
    setattr(stuck, how, LOOK)
    quick = FakeGuest("quick", traits=GuestFacts(metadata={"timeout": "7s"}), deaf_to=frozenset({"acpi"}))
    config = "defaults: {stop: [acpi, save]}"
    report = run_shutdown(tmp_path, [stuck, theirs, quick], reason=Reason.POWER, config=config)
    assert theirs.asked == []
    assert by_name(report, "quick").attempts[0].duration == pytest.approx(7)
    assert [problem.where for problem in report.problems] == ["stuck"]
    assert by_name(report, "stuck").outcome is Outcome.STOPPED


def test_what_the_metadata_said_at_the_last_look_counts(tmp_path: Path) -> None:
    theirs = FakeGuest("theirs", traits=NOT_OURS)
    run_shutdown(tmp_path, [theirs], reason=Reason.POWER)
    path = tmp_path / "last-look.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    theirs.hangs_in = LOOK
    report = run_shutdown(tmp_path, [theirs], reason=Reason.POWER)
    assert (theirs.asked, by_name(report, "theirs").outcome) == ([], Outcome.SKIPPED)
    assert [(problem.where, problem.severity) for problem in report.problems] == [("theirs", Severity.WARNING)]
    assert "libvirt does not answer" in report.problems[0].message


def test_a_guest_without_metadata_at_the_last_look_is_an_ordinary_one(tmp_path: Path) -> None:
    guest = FakeGuest("plain")
    run_shutdown(tmp_path, [guest])
    guest.state, guest.hangs_in = GuestState.RUNNING, LOOK
    report = run_shutdown(tmp_path, [guest])
    assert by_name(report, "plain").outcome is Outcome.STOPPED


@pytest.mark.parametrize("content", ["", "nonsense", '{"version": 1, "guests": []}', '{"version": 9, "guests": {}}'])
def test_a_last_look_that_cannot_be_understood_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "last-look.json").write_text(content)
    report = run_shutdown(tmp_path, [FakeGuest("stuck", hangs_in=LOOK), FakeGuest("fine")])
    assert by_name(report, "stuck").outcome is Outcome.SKIPPED
    run_shutdown(tmp_path, [FakeGuest("fine")])
    assert len(json.loads((tmp_path / "last-look.json").read_text())["guests"]) == 1


def test_a_last_look_that_cannot_be_kept_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "last-look.new").mkdir()
    report = run_shutdown(tmp_path, [FakeGuest("fine")])
    assert report.run.exit_code == 0


def test_of_whom_nothing_is_known_is_asked_last_in_a_host_stop(tmp_path: Path) -> None:
    stuck = FakeGuest("stuck", hangs_in=LOOK)
    guests = [FakeGuest("a", takes=3), stuck, FakeGuest("z", takes=5, traits=GuestFacts(metadata={"order": "-3"}))]
    report = run_shutdown(tmp_path, guests, reason=Reason.POWEROFF)
    first = min(moment for guest in (guests[0], guests[2]) for moment, _ in guest.asked)
    assert [how for _, how in stuck.asked] == ["acpi"]
    assert stuck.asked[0][0] >= first + 3 + 5, "the number makes a wait for z"
    assert "asked last" in report.problems[0].message
    assert waiting_guests(tmp_path) == ["a", "stuck", "z"]


def test_what_the_configuration_says_of_the_order_of_a_guest_in_doubt_stands(tmp_path: Path) -> None:
    web, db, other = FakeGuest("web", hangs_in=LOOK), FakeGuest("db"), FakeGuest("other", takes=9)
    config = "guests: [{match: web, depends_on: [db]}]"
    report = run_shutdown(tmp_path, [db, other, web], reason=Reason.POWER, config=config)
    assert other.asked[0][0] < web.asked[0][0] < db.asked[0][0]
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}


def test_of_whom_nothing_is_known_is_left_alone_in_a_run_by_hand(tmp_path: Path) -> None:
    stuck, fine = FakeGuest("stuck", hangs_in=LOOK), FakeGuest("fine")
    report = run_shutdown(tmp_path, [stuck, fine], force=True)
    assert (stuck.asked, by_name(report, "stuck").outcome) == ([], Outcome.SKIPPED)
    assert "cannot be looked at: libvirt does not answer" in by_name(report, "stuck").message
    assert by_name(report, "fine").outcome is Outcome.STOPPED
    assert report.run.exit_code == 1


def test_a_restore_goes_by_the_last_look(tmp_path: Path) -> None:
    web = FakeGuest("web", traits=GuestFacts(metadata={"depends_on": "db"}))
    db = FakeGuest("db")
    run_shutdown(tmp_path, [db, web])
    web.hangs_in = LOOK
    report = run_restore(tmp_path, [db, web], config="restore: {parallel: 1}")
    assert by_name(report, "web").waited_for == ("db",)
    assert {guest.outcome for guest in report.guests} == {Outcome.STARTED}


class Inventory:
    """A plugin that fails for one guest, as it likes."""

    def __init__(self, fail: Callable[[], Any]) -> None:
        self._fail = fail

    @lastcall.hookimpl
    def guest_settings(self, guest: Guest, run: Run) -> Any:
        return self._fail() if guest.name == "g" else {}


def refuse() -> None:
    raise RuntimeError("no inventory today")


def refuse_without_words() -> None:
    raise KeyError


def ask_to_skip() -> None:
    raise HookFailed("not now", on_failure="skip_guest")


@pytest.mark.parametrize(
    ("fail", "says"),
    [
        (refuse, "no inventory today"),
        (refuse_without_words, "KeyError"),
        (lambda: {"timeout": "soon"}, "timeout"),
        (lambda: 5, "returned 5"),
    ],
)
def test_a_plugin_that_cannot_tell_a_guests_settings_is_a_problem(
    tmp_path: Path, fail: Callable[[], Any], says: str
) -> None:
    plugins = {"cmdb": Inventory(fail)}
    report = run_shutdown(tmp_path, [FakeGuest("g"), FakeGuest("other")], plugins=plugins)
    (problem,) = report.problems
    assert (problem.what, problem.where) == ("plugin", "g")
    assert "guest_settings of cmdb" in problem.message
    assert says in problem.message
    assert by_name(report, "g").outcome is Outcome.STOPPED


SKIPS = "hooks: {plugins: {cmdb: {on_failure: skip_guest}}}"


@pytest.mark.parametrize(
    ("fail", "config"), [(refuse, SKIPS), (lambda: {"timeout": "soon"}, SKIPS), (lambda: 5, SKIPS), (ask_to_skip, "")]
)
def test_a_plugin_may_want_a_guest_left_alone_of_which_it_cannot_tell(
    tmp_path: Path, fail: Callable[[], Any], config: str
) -> None:
    guest, other = FakeGuest("g"), FakeGuest("other", takes=4)
    report = run_shutdown(tmp_path, [guest, other], plugins={"cmdb": Inventory(fail)}, config=config)
    assert (guest.asked, by_name(report, "g").outcome) == ([], Outcome.SKIPPED)
    assert "guest_settings of cmdb" in by_name(report, "g").message
    assert by_name(report, "other").outcome is Outcome.STOPPED
    other.state = GuestState.RUNNING
    run_shutdown(tmp_path, [guest, other], plugins={"cmdb": Inventory(fail)}, config=config, reason=Reason.POWER)
    assert guest.asked == [(4, "acpi")], "a host stop asks it last"


@pytest.mark.parametrize("beside", [[], [FakeGuest("beside", uri=OTHER, takes=2)]], ids=["alone", "with others"])
def test_a_connection_that_is_not_there_yet_is_tried_until_the_last_resort(
    tmp_path: Path, beside: list[FakeGuest]
) -> None:
    web, db = FakeGuest("web", traits=GuestFacts(metadata={"depends_on": "db"})), FakeGuest("db")
    comes = at((9, lambda hypervisor: hypervisor.open_up(URI)))
    report = run_shutdown(tmp_path, [*beside, web, db], config=SHORT, reason=Reason.POWER, dead=[URI], meanwhile=comes)
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    assert 9 <= web.asked[0][0] < db.asked[0][0] < 15
    assert sorted(waiting_guests(tmp_path)) == sorted(guest.name for guest in (*beside, web, db))
    assert report.run.exit_code == 0
    assert {problem.severity for problem in report.problems} == {Severity.WARNING}
    assert not [problem for problem in report.problems if "started while" in problem.message]
    for guest in beside:
        guest.state = GuestState.RUNNING


def test_a_connection_that_comes_while_another_hangs_over_its_list_belongs_to_the_same_plan(tmp_path: Path) -> None:
    needed, web = FakeGuest("needed", uri=OTHER), FakeGuest("web", takes=5)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        active = hypervisor.active
        hypervisor.loop.call_later(2, hypervisor.open_up, URI)

        async def slow(uri: str) -> list[Guest]:
            if uri == OTHER and hypervisor.loop.time() < 1:
                await asyncio.sleep(4)
            return await active(uri)

        hypervisor.active = slow

    config = f"{SHORT}\nguests: [{{match: web, depends_on: needed}}]"
    run_shutdown(tmp_path, [needed, web], config=config, reason=Reason.POWER, dead=[URI], meanwhile=meanwhile)
    assert web.asked[0][0] + 5 <= needed.asked[0][0], "asked when the one that needs it is off"


def test_a_connection_that_hangs_does_not_delay_the_list_of_one_that_comes_late(tmp_path: Path) -> None:
    hung, late = FakeGuest("hung", uri=OTHER, takes=30), FakeGuest("late")

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        active = hypervisor.active
        hypervisor.loop.call_later(3, hypervisor.open_up, URI)

        async def slow(uri: str) -> list[Guest]:
            if uri == OTHER and hypervisor.loop.time() > 1:
                await asyncio.sleep(100)
            return await active(uri)

        hypervisor.active = slow

    run_shutdown(tmp_path, [hung, late], config=SHORT, reason=Reason.POWER, dead=[URI], meanwhile=meanwhile)
    assert 3 <= late.asked[0][0] < 4


def test_nobody_goes_before_a_latecomer_that_was_to_go_first_while_the_disk_hangs_over_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, behind, late = FakeGuest("first", uri=OTHER, takes=5), FakeGuest("behind", uri=OTHER), FakeGuest("late")
    writes = hang_over_write(2, monkeypatch)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(3, hypervisor.open_up, URI)

    config = SHORT + "\nguests: [{match: first, depends_on: [behind]}, {match: late, depends_on: [behind]}]"
    report = run_shutdown(
        tmp_path, [first, behind, late], config=config, reason=Reason.POWER, dead=[URI], meanwhile=meanwhile
    )
    assert len(writes) >= 2
    went = by_name(report, "late").started + by_name(report, "late").duration
    asked = by_name(report, "behind").asked
    assert asked is not None
    assert asked >= went > 5, "it was asked as soon as the first was off, and long before the disk answered"


@pytest.mark.parametrize("heard", [True, False])
def test_who_is_started_while_the_disk_hangs_over_the_last_list_is_not_called_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, heard: bool
) -> None:
    stays, again = FakeGuest("stays", uri=OTHER, deaf_to=frozenset({"acpi"})), FakeGuest("again", takes=1)
    writes = hang_over_write(2, monkeypatch)

    def starts(hypervisor: FakeHypervisor) -> None:
        assert len(writes) == 2, "the disk hangs over the last list"
        if heard:
            hypervisor.begin(again)
        else:
            again.state = GuestState.RUNNING  # its event is lost

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(42, starts, hypervisor)

    config = f"{SHORT}\nguests: [{{match: stays, last_resort: leave}}]"
    report = run_shutdown(tmp_path, [stays, again], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    assert again.asked, "it was stopped before"
    assert by_name(report, "again").outcome is Outcome.LEFT, report
    assert report.run.exit_code != 0


def test_a_connection_that_never_comes_is_an_error_and_costs_the_time_until_the_last_resort(tmp_path: Path) -> None:
    fine = FakeGuest("fine", uri=OTHER)
    report = run_shutdown(tmp_path, [fine, FakeGuest("unseen")], config=SHORT, reason=Reason.POWER, dead=[URI])
    assert report.run.duration == pytest.approx(40)
    errors = [problem for problem in report.problems if problem.severity is Severity.ERROR]
    assert [(problem.what, problem.where) for problem in errors] == [("connection", URI)]
    assert "cannot connect" in errors[0].message
    assert fine.asked == [(0, "acpi")]


def test_a_connection_that_may_be_missing_is_not_waited_for_but_used_when_it_comes(tmp_path: Path) -> None:
    config = f"connections: [{{uri: '{URI}', optional: true}}, '{OTHER}']\n{SHORT}"
    late, fine = FakeGuest("late"), FakeGuest("fine", uri=OTHER, takes=12)
    comes = at((5, lambda hypervisor: hypervisor.open_up(URI)))
    report = run_shutdown(tmp_path, [late, fine], config=config, reason=Reason.POWER, dead=[URI], meanwhile=comes)
    assert by_name(report, "late").outcome is Outcome.STOPPED
    assert report.run.duration == pytest.approx(12)
    late.state = fine.state = GuestState.RUNNING
    report = run_shutdown(tmp_path, [late, fine], config=config, reason=Reason.POWER, dead=[URI])
    assert report.run.duration == pytest.approx(12)
    assert report.run.exit_code == 0


def test_a_run_by_hand_says_at_once_that_a_connection_is_not_there(tmp_path: Path) -> None:
    report = run_shutdown(tmp_path, [FakeGuest("unseen")], dead=[URI])
    assert report.run.duration == 0
    assert [problem.severity for problem in report.problems] == [Severity.ERROR]


def test_a_run_by_hand_that_becomes_a_host_stop_tries_again_what_was_not_there(tmp_path: Path) -> None:
    slow, late = FakeGuest("slow", uri=OTHER, takes=20), FakeGuest("late")

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(2, hypervisor.open_up, URI)
        hypervisor.loop.call_later(4, run.join, Reason.POWER, Deadline.after(0, 60, reserve=20, grace=10))

    report = run_shutdown(tmp_path, [slow, late], dead=[URI], meanwhile=meanwhile)
    assert by_name(report, "late").outcome is Outcome.STOPPED
    assert 4 < late.asked[0][0] < 6


def test_guests_that_cannot_be_listed_at_first_are_listed_when_libvirt_answers(tmp_path: Path) -> None:
    guest = FakeGuest("g")

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        listed, begun = hypervisor.active, hypervisor.loop.time()

        async def active(uri: str) -> list[Guest]:
            if hypervisor.loop.time() < begun + 12:
                raise lastcall.HypervisorError("")
            return await listed(uri)

        hypervisor.active = active  # type: ignore[method-assign]

    report = run_shutdown(tmp_path, [guest], config=SHORT, reason=Reason.POWER, meanwhile=meanwhile)
    assert by_name(report, "g").outcome is Outcome.STOPPED
    assert "HypervisorError" in report.problems[0].message, "an error without words says what it is"
    assert report.run.exit_code == 0


@pytest.mark.parametrize(("also", "ends"), [(["hung"], 30.5), ([], 400)], ids=["others wait", "nobody waits"])
def test_whose_call_hangs_while_others_wait_for_libvirt_has_its_own_time_and_no_more(
    tmp_path: Path, also: list[str], ends: float
) -> None:
    hung, deaf = FakeGuest("hung", hangs_in=frozenset({"acpi"})), FakeGuest("deaf", deaf_to=frozenset({"acpi"}))
    uuids = [guest.uuid for guest in (hung, deaf) if guest.name in (*also, "deaf")]

    def wait(hypervisor: FakeHypervisor) -> None:
        hypervisor.tell(LanesCrowded(URI, uuids))
        if hypervisor.loop.time() < 200:
            hypervisor.loop.call_later(0.5, wait, hypervisor)

    config = "shutdown: {deadline: 430s, reserve: 30s}\ndefaults: {stop: [{acpi: {resend: 0}}], timeout: 30s}"
    report = run_shutdown(tmp_path, [hung, deaf], config=config, reason=Reason.POWER, meanwhile=at((0, wait)))
    assert hung.asked[-1][1] == "destroy"
    assert hung.asked[-1][0] == pytest.approx(ends, abs=1)
    assert deaf.asked[-1] == (400, "destroy"), "its request returned: it is in nobody's way"
    assert by_name(report, "hung").attempts[0].result == "timeout"
    assert ("others wait" in by_name(report, "hung").attempts[0].message) == bool(also)
