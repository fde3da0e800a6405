"""The restore run on a fake hypervisor with a clock that jumps."""

import asyncio
from pathlib import Path

import pytest

import lastcall
from lastcall import Guest, GuestResult, GuestState, Outcome, Reason, Report, Run
from lastcall.hypervisor.ports import Standing
from lastcall.persistence.state import open_state
from lastcall.persistence.waiting.entry import Entry
from lastcall.runs.restore import Restore
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from support import by_name, list_of_a_killed_run, waiting_guests


def test_restore_starts_what_was_running_and_nothing_that_was_off_and_twice_changes_nothing(tmp_path: Path) -> None:
    guests = [FakeGuest("a"), FakeGuest("b"), FakeGuest("was-off", state=GuestState.OFF)]
    run_shutdown(tmp_path, guests)
    report = run_restore(tmp_path, guests)
    assert [(guest.name, guest.outcome) for guest in report.guests] == [("a", Outcome.STARTED), ("b", Outcome.STARTED)]
    assert [guest.state for guest in guests] == [GuestState.RUNNING, GuestState.RUNNING, GuestState.OFF]
    again = run_restore(tmp_path, guests)
    assert (again.guests, again.run.exit_code) == ((), 0)
    assert sum(how == "start" for guest in guests for _, how in guest.asked) == 2


def test_a_saved_guest_is_resumed(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest], config="defaults: {stop: [save]}")
    assert by_name(run_restore(tmp_path, [guest]), "g").outcome is Outcome.RESUMED


def test_a_guest_that_runs_already_is_present_and_leaves_the_list(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest])
    guest.state = GuestState.RUNNING
    report = run_restore(tmp_path, [guest])
    assert (by_name(report, "g").outcome, report.run.exit_code) == (Outcome.PRESENT, 0)
    assert waiting_guests(tmp_path) == []


def test_a_start_that_fails_is_tried_again_after_the_retry_time(tmp_path: Path) -> None:
    guest = FakeGuest("g", starts_after=3)
    run_shutdown(tmp_path, [guest])
    report = run_restore(tmp_path, [guest], config="restore: {attempts: 3, retry: 10s}")
    assert [at for at, how in guest.asked if how == "start"] == [0.0, 10.0, 20.0]
    assert by_name(report, "g").outcome is Outcome.STARTED


def test_a_guest_that_cannot_be_started_is_parked_and_started_only_by_name(tmp_path: Path) -> None:
    guest = FakeGuest("g", starts_after=3)
    run_shutdown(tmp_path, [guest])
    report = run_restore(tmp_path, [guest], config="restore: {attempts: 2}")
    assert (by_name(report, "g").outcome, report.run.exit_code) == (Outcome.FAILED, 1)
    assert waiting_guests(tmp_path) == ["g"]
    assert run_restore(tmp_path, [guest]).guests == ()
    assert by_name(run_restore(tmp_path, [guest], names=["g"]), "g").outcome is Outcome.STARTED
    assert waiting_guests(tmp_path) == []


def test_a_connection_that_does_not_answer_loses_nothing(tmp_path: Path) -> None:
    near, far = FakeGuest("near", uri="fake:///a"), FakeGuest("far", uri="fake:///b")
    run_shutdown(tmp_path, [near, far])
    report = run_restore(tmp_path, [near, far], dead=["fake:///b"])
    assert by_name(report, "near").outcome is Outcome.STARTED
    assert by_name(report, "far").outcome is Outcome.FAILED
    assert waiting_guests(tmp_path) == ["far"]
    assert by_name(run_restore(tmp_path, [near, far]), "far").outcome is Outcome.STARTED


def test_parallel_and_delay_space_the_starts(tmp_path: Path) -> None:
    guests = [FakeGuest(f"g{number}") for number in range(3)]
    run_shutdown(tmp_path, guests)
    run_restore(tmp_path, guests, config="restore: {delay: 5s}")
    assert sorted(at for guest in guests for at, how in guest.asked if how == "start") == [0.0, 5.0, 10.0]


class _Readiness:
    def __init__(self, answers: dict[str, list[bool | None]]) -> None:
        self.answers = answers
        self.seen: list[str] = []

    @lastcall.hookimpl
    def on_guest_start(self, guest: Guest) -> None:
        self.seen.append(f"start {guest.name}")

    @lastcall.hookimpl
    def guest_ready(self, guest: Guest, run: Run) -> bool | None:
        answers = self.answers[guest.name]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    @lastcall.hookimpl
    def on_guest_started(self, guest: Guest, result: GuestResult) -> None:
        self.seen.append(f"started {guest.name} {result.outcome.value}")

    @lastcall.hookimpl
    def post_restore(self, report: lastcall.Report) -> None:
        self.seen.append(f"post_restore {len(report.guests)}")


def test_a_started_guest_counts_when_nobody_says_that_it_is_not_ready(tmp_path: Path) -> None:
    guest, plugin = FakeGuest("g"), _Readiness({"g": [False, False, None]})
    run_shutdown(tmp_path, [guest])
    report = run_restore(tmp_path, [guest], plugins={"probe": plugin})
    assert by_name(report, "g").duration == pytest.approx(2)
    assert plugin.seen == ["start g", "started g started", "post_restore 1"]


def test_a_guest_that_never_gets_ready_is_unready_after_its_time_and_off_the_list(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest])
    plugins = {"probe": _Readiness({"g": [False]})}
    report = run_restore(tmp_path, [guest], plugins=plugins, config="restore: {ready_timeout: 30s}")
    assert (by_name(report, "g").outcome, report.run.exit_code) == (Outcome.UNREADY, 1)
    assert report.run.duration == pytest.approx(30)
    assert waiting_guests(tmp_path) == []


class _Locked:
    @lastcall.hookimpl
    def on_guest_start(self) -> None:
        raise lastcall.HookFailed("the disk is locked")


def test_skip_guest_leaves_a_guest_off_and_on_the_list(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest])
    config = "hooks: {on_failure: skip_guest}"
    report = run_restore(tmp_path, [guest], plugins={"unlock": _Locked()}, config=config)
    assert (by_name(report, "g").outcome, guest.state) == (Outcome.SKIPPED, GuestState.OFF)
    assert waiting_guests(tmp_path) == ["g"]


def test_policy_none_starts_nobody_but_those_named(tmp_path: Path) -> None:
    guests = [FakeGuest("a"), FakeGuest("b")]
    run_shutdown(tmp_path, guests)
    assert run_restore(tmp_path, guests, config="restore: {policy: none}").guests == ()
    report = run_restore(tmp_path, guests, config="restore: {policy: none}", names=["b"])
    assert [guest.name for guest in report.guests] == ["b"]


def test_a_guest_whose_policy_says_so_is_not_restored(tmp_path: Path) -> None:
    guests = [FakeGuest("scratch"), FakeGuest("keep")]
    run_shutdown(tmp_path, guests, config="guests: [{match: scratch, restore: false}]")
    assert waiting_guests(tmp_path) == ["keep"]


def test_a_name_that_is_not_on_the_list_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(lastcall.LastcallError, match="nobody") as caught:
        run_restore(tmp_path, [], names=["nobody"])
    assert "status" in caught.value.remedy


def test_the_end_of_the_time_leaves_the_rest_on_the_list(tmp_path: Path) -> None:
    guests = [FakeGuest("a"), FakeGuest("b", starts_after=99)]
    run_shutdown(tmp_path, guests)
    report = run_restore(tmp_path, guests, config="restore: {deadline: 25s, attempts: 9, retry: 10s}")
    assert report.run.duration <= 25
    assert by_name(report, "b").outcome is Outcome.UNKNOWN
    assert waiting_guests(tmp_path) == ["b"]


def test_a_connection_that_is_lost_is_no_refusal_and_parks_nobody(tmp_path: Path) -> None:
    first, lost = FakeGuest("first", uri="fake:///b"), FakeGuest("lost", uri="fake:///a")
    refused = FakeGuest("refused", uri="fake:///a", starts_after=9)
    run_shutdown(tmp_path, [first, lost, refused])

    def cut(hypervisor: FakeHypervisor, _run: Restore) -> None:
        hypervisor.loop.call_later(8, hypervisor.lose, "fake:///a")

    config = "restore: {attempts: 2, retry: 20s, delay: 9s}\nguests: [{match: refused, order: 1}]"
    report = run_restore(tmp_path, [first, lost, refused], config=config, meanwhile=cut)
    said = {guest.name: guest.message.rpartition("; ")[2] for guest in report.guests}
    assert said == {"first": "", "lost": "it stays on the list", "refused": "it stays on the list"}
    assert sum(how == "start" for _, how in refused.asked) == 1, "one refusal, and one attempt that nobody answered"
    lost.asked, refused.starts_after = [], 1
    again = run_restore(tmp_path, [first, lost, refused])
    assert {guest.name: guest.outcome for guest in again.guests} == dict.fromkeys(("lost", "refused"), Outcome.STARTED)


def test_a_guest_whose_stop_was_killed_gets_its_on_poweroff_back(tmp_path: Path) -> None:
    left, plain = FakeGuest("left"), FakeGuest("plain")
    list_of_a_killed_run(tmp_path, [left.guest, plain.guest], restarting=[left.guest.key])
    report = run_restore(tmp_path, [left, plain])
    assert [guest.outcome for guest in report.guests] == [Outcome.PRESENT] * 2
    assert [how for _, how in left.asked] == ["on_poweroff restart"]
    assert plain.asked == []


def test_a_guest_that_went_off_after_its_run_was_killed_is_started_with_what_it_is_defined_with(tmp_path: Path) -> None:
    guest = FakeGuest("g", state=GuestState.OFF)
    list_of_a_killed_run(tmp_path, [guest.guest], restarting=[guest.guest.key])
    run_restore(tmp_path, [guest])
    assert [how for _, how in guest.asked] == ["start"]


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_guest_that_libvirt_said_nothing_of_is_asked_for_again_and_not_started_after_an_interrupt(
    tmp_path: Path, *, interrupted: bool
) -> None:
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest], reason=Reason.POWER)

    def meanwhile(hypervisor: FakeHypervisor, run: Restore) -> None:
        standing, asked = hypervisor.standing, list[float]()

        async def silent(guest: Guest) -> Standing:
            asked.append(hypervisor.loop.time())
            if len(asked) == 1:
                await asyncio.sleep(10)
                raise TimeoutError
            return await standing(guest)

        hypervisor.standing = silent
        if interrupted:
            hypervisor.loop.call_later(5, run.interrupt)

    report = run_restore(tmp_path, [guest], meanwhile=meanwhile)
    assert by_name(report, "g").outcome is (Outcome.SKIPPED if interrupted else Outcome.STARTED)
    assert ("g" in waiting_guests(tmp_path)) is interrupted


def starts(*guests: FakeGuest) -> list[float]:
    """When each of them was started first."""
    return [next(at for at, how in guest.asked if how == "start") for guest in guests]


def test_a_guest_is_started_its_start_delay_after_its_turn_and_holds_up_only_those_that_need_it(tmp_path: Path) -> None:
    slow, others, needs = FakeGuest("slow"), [FakeGuest(f"o{number}") for number in range(3)], FakeGuest("needs")
    rules = "{match: slow, start_delay: 2min}, {match: needs, depends_on: slow}"
    config = f"restore: {{parallel: 1}}\nguests: [{rules}]"
    run_shutdown(tmp_path, [slow, needs, *others])
    report = run_restore(tmp_path, [slow, needs, *others], config=config)
    assert starts(slow, needs, *others) == [120, 120, 0, 0, 0]
    assert report.run.exit_code == 0


def test_guests_with_a_start_delay_take_their_turns_by_parallel_when_it_is_over(tmp_path: Path) -> None:
    guests = [FakeGuest(name) for name in "abc"]
    config = "restore: {parallel: 1}\ndefaults: {start_delay: 1min, ready: {delay: 10s}}"
    run_shutdown(tmp_path, guests)
    run_restore(tmp_path, guests, config=config)
    first, second, third = sorted(starts(*guests))
    assert first == 60
    assert (second - first, third - second) == (pytest.approx(10, abs=1), pytest.approx(10, abs=1))


def test_a_guest_that_runs_already_has_no_start_delay_and_one_that_somebody_starts_meanwhile_is_present(
    tmp_path: Path,
) -> None:
    early, meanwhile = FakeGuest("early"), FakeGuest("meanwhile")
    run_shutdown(tmp_path, [early, meanwhile])
    early.state = GuestState.RUNNING

    def start(hypervisor: FakeHypervisor, _run: Restore) -> None:
        hypervisor.loop.call_later(30, hypervisor.begin, meanwhile)

    report = run_restore(tmp_path, [early, meanwhile], config="defaults: {start_delay: 2min}", meanwhile=start)
    assert (by_name(report, "early").outcome, by_name(report, "early").duration) == (Outcome.PRESENT, 0)
    assert by_name(report, "meanwhile").outcome is Outcome.PRESENT
    assert [how for _, how in meanwhile.asked if how == "start"] == []


def test_a_start_delay_beyond_the_deadline_is_cut_and_the_guest_is_started_all_the_same(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest])
    report = run_restore(tmp_path, [guest], config="restore: {deadline: 10min}\ndefaults: {start_delay: 1h}")
    assert starts(guest) == [300]
    (problem,) = report.problems
    assert problem.message == "start_delay is 1h; the restore has time for 5min of it"
    assert (by_name(report, "g").outcome, report.run.exit_code) == (Outcome.STARTED, 0)


def test_whoever_interrupts_a_restore_waits_for_no_start_delay(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest])

    def interrupt(hypervisor: FakeHypervisor, run: Restore) -> None:
        hypervisor.loop.call_later(7, run.interrupt)

    report = run_restore(tmp_path, [guest], config="defaults: {start_delay: 2min}", meanwhile=interrupt)
    assert (by_name(report, "g").outcome, by_name(report, "g").duration) == (Outcome.SKIPPED, 7)
    assert waiting_guests(tmp_path) == ["g"]


SAVES = "defaults: {stop: [save]}"


def unloadable(folder: Path) -> FakeGuest:
    """A guest that is off, whose saved image does not load."""
    guest = FakeGuest("g", bad_image=True)
    run_shutdown(folder, [guest], config=SAVES)
    return guest


def test_a_guest_whose_saved_image_does_not_load_is_parked_with_the_remedy_and_keeps_the_image(tmp_path: Path) -> None:
    guest = unloadable(tmp_path)
    report = run_restore(tmp_path, [guest])
    result = by_name(report, "g")
    assert (result.outcome, report.run.exit_code) == (Outcome.FAILED, 1)
    assert "`lastcall restore g --fresh` starts it without the image" in result.message
    assert "its saved image does not load" in result.message
    assert [how for _, how in guest.asked].count("start") == 3, "a disk may have been away for a moment"
    assert guest.saved
    (entry,) = open_state(tmp_path).entries.values()
    assert (entry.parked, entry.bad_image) == (True, True)
    assert run_restore(tmp_path, [guest]).guests == ()


def test_fresh_starts_a_guest_without_an_image_that_does_not_load_and_says_so(tmp_path: Path) -> None:
    guest = unloadable(tmp_path)
    report = run_restore(tmp_path, [guest], config="restore: {bad_image: fresh}")
    assert by_name(report, "g").outcome is Outcome.STARTED
    assert [how for _, how in guest.asked][-5:] == ["start", "start", "start", "drop image", "start"]
    (problem,) = report.problems
    assert (problem.what, problem.where, report.run.exit_code) == ("image", "g", 1)
    assert "what was in its memory is lost" in problem.message
    assert waiting_guests(tmp_path) == []


def test_fresh_keeps_an_image_that_loads_and_one_that_nothing_speaks_against(tmp_path: Path) -> None:
    loads, refused = FakeGuest("loads", starts_after=3), FakeGuest("refused", starts_after=9)
    run_shutdown(tmp_path, [loads, refused], config=SAVES)
    report = run_restore(tmp_path, [loads, refused], config="restore: {bad_image: fresh}")
    assert (by_name(report, "loads").outcome, report.problems) == (Outcome.RESUMED, ())
    assert (by_name(report, "refused").outcome, refused.saved) == (Outcome.FAILED, True)
    assert "drop image" not in [how for guest in (loads, refused) for _, how in guest.asked]


def test_an_image_that_cannot_be_removed_leaves_the_guest_on_the_list(tmp_path: Path) -> None:
    guest = unloadable(tmp_path)
    guest.refuses = frozenset({"drop image"})
    report = run_restore(tmp_path, [guest], config="restore: {bad_image: fresh}")
    assert "its saved image cannot be removed" in by_name(report, "g").message
    assert (waiting_guests(tmp_path), guest.state) == (["g"], GuestState.OFF)


@pytest.mark.parametrize("loads", [True, False])
def test_whoever_asks_for_it_by_name_gets_a_guest_back_without_its_image(tmp_path: Path, *, loads: bool) -> None:
    guest = FakeGuest("g", bad_image=not loads)
    run_shutdown(tmp_path, [guest], config=SAVES)
    report = run_restore(tmp_path, [guest], names=["g"], fresh=True)
    assert [how for _, how in guest.asked] == ["save", "drop image", "start"]
    assert (by_name(report, "g").outcome, report.problems, report.run.exit_code) == (Outcome.STARTED, (), 0)


def test_a_guest_that_libvirt_starts_without_its_image_has_lost_its_memory_and_the_report_says_so(
    tmp_path: Path,
) -> None:
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest], config=SAVES)
    guest.drops_image = True
    report = run_restore(tmp_path, [guest])
    (problem,) = report.problems
    assert problem.message == "was started without its saved image, and what was in its memory is lost"
    assert (by_name(report, "g").outcome, report.run.exit_code) == (Outcome.STARTED, 1)


DISK = "/srv/nfs/g.img"


def test_what_a_guest_needs_and_is_not_there_is_waited_for_and_is_no_failed_attempt(tmp_path: Path) -> None:
    guest, others = FakeGuest("g", lacks=DISK), [FakeGuest("a"), FakeGuest("b")]
    run_shutdown(tmp_path, [guest, *others])
    listed = list[str]()

    def come(hypervisor: FakeHypervisor, _run: Restore) -> None:
        hypervisor.loop.call_later(30, lambda: listed.extend(one.waits_for for one in entries(tmp_path)))
        hypervisor.loop.call_later(60, setattr, guest, "lacks", "")

    config = "restore: {parallel: 1, attempts: 1}"
    report = run_restore(tmp_path, [guest, *others], config=config, meanwhile=come)
    assert (by_name(report, "g").outcome, report.run.exit_code) == (Outcome.STARTED, 0)
    assert [at for at, how in guest.asked if how == "start"] == [0, pytest.approx(60, abs=3)]
    assert starts(*others) == [0, 0], "nobody waits with it"
    assert listed == [DISK], "status says what for"
    assert waiting_guests(tmp_path) == []


def entries(folder: Path) -> list[Entry]:
    return list(open_state(folder).entries.values())


def test_what_does_not_come_in_its_time_parks_nobody_and_the_guest_comes_back_when_it_is_there(tmp_path: Path) -> None:
    guest, needs = FakeGuest("g", lacks=DISK), FakeGuest("needs")
    run_shutdown(tmp_path, [guest, needs])
    report = run_restore(tmp_path, [guest, needs], config="guests: [{match: needs, depends_on: g}]")
    result = by_name(report, "g")
    assert (result.outcome, result.duration) == (Outcome.FAILED, pytest.approx(120, abs=1))
    assert result.message == f"{DISK} is not there; it waits for {DISK}, and stays on the list"
    assert by_name(report, "needs").outcome is Outcome.STARTED
    assert [(one.name, one.parked, one.waits_for) for one in entries(tmp_path)] == [("g", False, DISK)]
    guest.lacks = ""
    assert by_name(run_restore(tmp_path, [guest, needs]), "g").outcome is Outcome.STARTED


def test_of_a_short_restore_half_is_waited_for_what_a_guest_needs_and_an_interrupt_ends_it(tmp_path: Path) -> None:
    guest = FakeGuest("g", lacks=DISK)
    run_shutdown(tmp_path, [guest])
    report = run_restore(tmp_path, [guest], config="restore: {deadline: 40s}")
    assert by_name(report, "g").duration == pytest.approx(20, abs=1)

    def interrupt(hypervisor: FakeHypervisor, run: Restore) -> None:
        hypervisor.loop.call_later(7, run.interrupt)

    report = run_restore(tmp_path, [guest], meanwhile=interrupt)
    assert by_name(report, "g").duration == pytest.approx(7)
    assert waiting_guests(tmp_path) == ["g"]


WITH_CHANNEL = "<domain><devices><channel><target name='org.qemu.guest_agent.0'/></channel></devices></domain>"


def resumed(folder: Path, guest: FakeGuest, agent_comes: float | None = None) -> Report:
    """The restore of a saved guest, whose agent is there again so many seconds after its begin, or never."""

    def meanwhile(hypervisor: FakeHypervisor, _: Restore) -> None:
        if agent_comes is not None:
            hypervisor.loop.call_later(agent_comes, setattr, guest, "agent", True)

    run_shutdown(folder, [guest], config="defaults: {stop: [save]}")
    return run_restore(folder, [guest], meanwhile=meanwhile)


def test_the_clock_of_a_resumed_guest_is_set_as_soon_as_its_agent_is_there_again(tmp_path: Path) -> None:
    guest = FakeGuest("g", xml=WITH_CHANNEL)
    report = resumed(tmp_path, guest, agent_comes=12)
    assert (guest.told, report.problems) == ([("guest-set-time", {})], ())


def test_a_resumed_guest_whose_agent_does_not_come_is_told_to_have_the_wrong_time(tmp_path: Path) -> None:
    guest = FakeGuest("g", xml=WITH_CHANNEL)
    report = resumed(tmp_path, guest)
    (problem,) = report.problems
    assert (problem.where, problem.severity, guest.told) == ("g", "warning", [])
    assert problem.message == "its clock could not be set: no guest agent has connected within 15 s"
    assert by_name(report, "g").outcome is Outcome.RESUMED


def test_who_has_no_channel_for_an_agent_is_not_waited_for(tmp_path: Path) -> None:
    report = resumed(tmp_path, FakeGuest("g"))
    assert (report.problems, report.run.duration) == ((), 0)
