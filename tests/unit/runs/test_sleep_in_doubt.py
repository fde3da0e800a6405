"""What a sleep of the host and the waking after it say, note and keep of guests of which something is not known, or has
changed since they were looked at.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import GuestState, Outcome
from lastcall.api.guests import Ended
from lastcall.hypervisor.ports import PLAIN, Condition, GuestFacts, OtherJob, Standing
from lastcall.persistence.power.sleepers import Sleeper, SleeperList
from lastcall.persistence.state import open_state
from lastcall.persistence.waiting.entry import Entry
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_sleep, run_waking
from lastcall.timing.budget import WAKING
from support import by_name, hang_over_write, waiting_guests

RUNNING, PAUSED, OFF = GuestState.RUNNING, GuestState.PAUSED, GuestState.OFF
CRASHED, UNKNOWN, SUSPENDED = GuestState.CRASHED, GuestState.UNKNOWN, GuestState.SUSPENDED
PAUSE, SAVE = "defaults: {sleep: pause}", "defaults: {sleep: save}"
HOWS = pytest.mark.parametrize("how", ["pause", "save"])


def config_for(how: str) -> str:
    return f"defaults: {{sleep: {how}}}"


def asleep(folder: Path) -> list[str]:
    return [one.name for one in SleeperList(folder).read().values()]


def listed(folder: Path) -> list[str]:
    return waiting_guests(folder) if (folder / "state.json").exists() else []


def asked(guest: FakeGuest) -> list[str]:
    return [how for _, how in guest.asked]


def change(guest: FakeGuest, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(guest, name, value)


def after(seconds: float, guest: FakeGuest, **fields: Any) -> Callable[[FakeHypervisor, Any], None]:
    """Have that become of a guest while a run is under way."""

    def meanwhile(hypervisor: FakeHypervisor, _: Any) -> None:
        hypervisor.loop.call_later(seconds, lambda: change(guest, **fields))

    return meanwhile


class _PreSleep:
    """Has something happen during `pre_sleep`."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._happens = happens

    @lastcall.hookimpl
    def pre_sleep(self) -> None:
        self._happens()


def left_unanswered(folder: Path, how: str) -> FakeGuest:
    """A guest whose pause or save had no answer before the host slept."""
    guest = FakeGuest("g", hangs_in=frozenset({how, "abort"}))
    assert by_name(run_sleep(folder, [guest], config=config_for(how)), "g").outcome is Outcome.UNKNOWN
    guest.hangs_in = frozenset()
    return guest


def put_to_sleep(folder: Path, how: str) -> FakeGuest:
    guest = FakeGuest("g")
    run_sleep(folder, [guest], config=config_for(how))
    guest.asked.clear()
    return guest


def put_on_list(folder: Path, guest: FakeGuest) -> Entry:
    """Have it wait on the list as a run has left it that was killed before its request had an effect."""
    state = open_state(folder)
    state.add([guest.guest], run="killed", boot_id="before", cause="hand", due=False)
    entry = replace(state.entries[guest.guest.key], restarts=True, left=True, where=("qemu+tls://other/system",))
    state.entries[guest.guest.key] = entry
    state.save()
    return entry


@pytest.mark.parametrize("state", list(GuestState))
def test_only_who_runs_or_stands_still_is_up(state: GuestState) -> None:
    assert Standing(state).is_up is (state in {RUNNING, PAUSED, SUSPENDED})


@pytest.mark.parametrize("state", [PAUSED, RUNNING])
def test_a_save_that_still_goes_on_as_the_host_wakes_is_waited_for_and_then_its_guest_started(
    tmp_path: Path, state: GuestState
) -> None:
    guest = left_unanswered(tmp_path, "save")
    change(guest, state=state, traits=GuestFacts(job=OtherJob.SAVE))
    saved = after(20, guest, state=OFF, ended=Ended.SAVED, saved=True, traits=PLAIN)
    report = run_waking(tmp_path, [guest], meanwhile=saved)
    assert (by_name(report, "g").outcome, guest.state) == (Outcome.RESUMED, RUNNING)
    assert (asleep(tmp_path), listed(tmp_path)) == ([], [])


@pytest.mark.parametrize("job", [OtherJob.SAVE, OtherJob.START])
@pytest.mark.parametrize("ready", [False, True])
def test_who_may_be_off_after_what_goes_on_with_it_is_not_called_present_and_stays_known(
    tmp_path: Path, job: OtherJob, *, ready: bool
) -> None:
    guest = put_to_sleep(tmp_path, "save") if ready else left_unanswered(tmp_path, "save")
    change(guest, state=PAUSED, saved=False, traits=GuestFacts(job=job))
    other = FakeGuest("other", state=PAUSED)
    notes = SleeperList(tmp_path)
    notes.write([*notes.read().values(), Sleeper.of(other.guest, "pause")])
    report = run_waking(tmp_path, [guest, other])
    assert by_name(report, "g").outcome is Outcome.UNKNOWN
    assert job.value in by_name(report, "g").message
    assert (asleep(tmp_path), listed(tmp_path)) == (["g"], ["g"])
    assert by_name(report, "other").outcome is Outcome.RESUMED
    assert report.run.duration < WAKING, "there is time left to keep what has become of the others"


def test_a_save_that_goes_on_holds_up_no_host_stop(tmp_path: Path) -> None:
    guest = left_unanswered(tmp_path, "save")
    change(guest, state=PAUSED, traits=GuestFacts(job=OtherJob.SAVE))
    report = run_waking(tmp_path, [guest], host_stops=True)
    assert (by_name(report, "g").outcome, asleep(tmp_path), listed(tmp_path)) == (Outcome.UNKNOWN, ["g"], ["g"])
    assert report.run.duration < 5


@pytest.mark.parametrize("job", [OtherJob.SNAPSHOT, OtherJob.DUMP, OtherJob.SAVE])
def test_a_paused_guest_is_resumed_once_somebodys_job_is_over(tmp_path: Path, job: OtherJob) -> None:
    guest = put_to_sleep(tmp_path, "pause")
    guest.traits = GuestFacts(job=job)
    report = run_waking(tmp_path, [guest], meanwhile=after(20, guest, traits=PLAIN))
    assert (by_name(report, "g").outcome, guest.state, asleep(tmp_path)) == (Outcome.RESUMED, RUNNING, [])
    assert guest.asked[0][0] >= 20


def test_a_paused_guest_whose_job_does_not_end_stays_noted_and_is_not_resumed_in_the_middle(tmp_path: Path) -> None:
    guest = put_to_sleep(tmp_path, "pause")
    guest.traits = GuestFacts(job=OtherJob.SNAPSHOT)
    report = run_waking(tmp_path, [guest])
    assert (by_name(report, "g").outcome, asked(guest), asleep(tmp_path)) == (Outcome.UNKNOWN, [], ["g"])


@HOWS
@pytest.mark.parametrize("certain", [False, True])
@pytest.mark.parametrize(("state", "outcome"), [(CRASHED, Outcome.FAILED), (UNKNOWN, Outcome.UNKNOWN)])
def test_who_has_crashed_or_of_whom_libvirt_says_nothing_does_not_run_and_stays_known(
    tmp_path: Path, how: str, state: GuestState, outcome: Outcome, *, certain: bool
) -> None:
    guest = put_to_sleep(tmp_path, how) if certain else left_unanswered(tmp_path, how)
    guest.asked.clear()
    guest.state = state
    report = run_waking(tmp_path, [guest])
    assert (by_name(report, "g").outcome, report.run.exit_code) == (outcome, 1)
    assert (asleep(tmp_path), listed(tmp_path)) == (["g"], ["g"] if how == "save" else [])
    assert asked(guest) == []


@HOWS
@pytest.mark.parametrize("refused", [False, True])
def test_a_guest_that_goes_off_by_itself_before_its_turn_has_neither_been_saved_nor_paused(
    tmp_path: Path, how: str, *, refused: bool
) -> None:
    """Before it is looked at again, or between that and the request, which libvirt refuses then."""
    guest = FakeGuest("g")
    gone: dict[str, Any] = {"state": OFF, "ended": Ended.SHUTDOWN}
    if refused:
        guest.refuses = frozenset({how})
        sink = _AsItIsAsked(lambda: change(guest, **gone))
        report = run_sleep(tmp_path, [guest], config=config_for(how), sink=sink)
    else:
        plugins = {"p": _PreSleep(lambda: change(guest, **gone))}
        report = run_sleep(tmp_path, [guest], config=config_for(how), plugins=plugins)
    assert (by_name(report, "g").outcome, by_name(report, "g").message) == (Outcome.SKIPPED, "went off by itself")
    assert (asleep(tmp_path), listed(tmp_path)) == ([], [])
    run_waking(tmp_path, [guest])
    assert guest.state is OFF


class _AsItIsAsked:
    """A sink by which something happens in the moment in which a guest is asked."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._happens = happens

    def __call__(self, record: object) -> None:
        if type(record).__name__ == "GuestAsked":
            self._happens()


@pytest.mark.parametrize(("takes", "outcome"), [(52, Outcome.SAVED), (1000, Outcome.UNKNOWN)])
def test_who_stands_still_after_its_save_was_ended_is_not_taken_for_one_that_runs(
    tmp_path: Path, takes: float, outcome: Outcome
) -> None:
    guest = FakeGuest("g", takes=takes)
    report = run_sleep(tmp_path, [guest], config=SAVE, sink=_AsItIsAsked(lambda: change(guest, state=PAUSED)))
    assert (by_name(report, "g").outcome, "abort" in asked(guest)) == (outcome, True)
    assert (asleep(tmp_path), listed(tmp_path)) == (["g"], ["g"])


@HOWS
def test_a_request_that_was_lost_with_its_connection_may_have_had_its_effect(tmp_path: Path, how: str) -> None:
    guest, connections = FakeGuest("g"), list[FakeHypervisor]()
    sink = _AsItIsAsked(lambda: connections[0].lose(guest.uri))
    report = run_sleep(
        tmp_path, [guest], config=config_for(how), sink=sink, meanwhile=lambda one, _: connections.append(one)
    )
    assert (by_name(report, "g").outcome, asleep(tmp_path)) == (Outcome.UNKNOWN, ["g"])


@HOWS
@pytest.mark.parametrize("state", [PAUSED, CRASHED])
def test_who_does_not_run_as_libvirt_refuses_its_request_is_left_as_it_is_and_not_called_running(
    tmp_path: Path, how: str, state: GuestState
) -> None:
    guest = FakeGuest("g", refuses=frozenset({how}))
    sink = _AsItIsAsked(lambda: change(guest, state=state))
    report = run_sleep(tmp_path, [guest], config=config_for(how), sink=sink)
    assert (by_name(report, "g").outcome, by_name(report, "g").message) == (
        Outcome.SKIPPED, f"is {state.value} already",
    )  # fmt: skip
    assert (asleep(tmp_path), listed(tmp_path)) == ([], [])


def test_of_a_guest_of_which_libvirt_says_nothing_after_its_save_nobody_knows_whether_it_sleeps(tmp_path: Path) -> None:
    guest = FakeGuest("g", takes=1000)
    sink = _AsItIsAsked(lambda: change(guest, state=UNKNOWN))
    report = run_sleep(tmp_path, [guest], config=SAVE, sink=sink)
    assert (by_name(report, "g").outcome, asleep(tmp_path), listed(tmp_path)) == (Outcome.UNKNOWN, ["g"], ["g"])


def test_a_save_that_libvirt_refuses_ends_no_job_of_somebody_else(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    sink = _AsItIsAsked(lambda: change(guest, traits=GuestFacts(job=OtherJob.BACKUP)))
    report = run_sleep(tmp_path, [guest], config=SAVE, sink=sink)
    assert (by_name(report, "g").outcome, asked(guest)) == (Outcome.LEFT, ["save"])


@HOWS
@pytest.mark.parametrize(("then", "outcome"), [
    ({"state": PAUSED, "traits": GuestFacts(condition=Condition.HELD)}, Outcome.SKIPPED),
    ({"state": CRASHED}, Outcome.SKIPPED),
    ({"state": UNKNOWN}, Outcome.LEFT),
    ({"traits": GuestFacts(job=OtherJob.MIGRATION)}, Outcome.LEFT),
    ({"refuses": frozenset({"look"})}, Outcome.LEFT),
], ids=["held", "crashed", "silent", "leaves", "dumb"])  # fmt: skip
def test_a_guest_is_judged_by_what_it_is_at_its_turn_and_who_may_not_go_is_noted_no_longer(
    tmp_path: Path, how: str, then: dict[str, Any], outcome: Outcome
) -> None:
    guest = FakeGuest("g")
    plugins = {"p": _PreSleep(lambda: change(guest, **then))}
    # Judged by what was known before `pre_sleep`, it might go.
    report = run_sleep(tmp_path, [guest], config=config_for(how), plugins=plugins)
    assert (by_name(report, "g").outcome, asked(guest)) == (outcome, [])
    assert (asleep(tmp_path), listed(tmp_path)) == ([], [])
    run_waking(tmp_path, [guest])
    assert asked(guest) == [], "whom somebody holds is not resumed"


@HOWS
@pytest.mark.parametrize("state", [RUNNING, SUSPENDED])
def test_who_is_up_though_its_request_was_not_answered_stays_known_and_nobody_is_said_to_have_seen_to_it(
    tmp_path: Path, how: str, state: GuestState
) -> None:
    guest = left_unanswered(tmp_path, how)
    guest.state = state
    for _ in range(2):
        report = run_waking(tmp_path, [guest])
        assert by_name(report, "g").outcome is Outcome.UNKNOWN
        assert "somebody" not in by_name(report, "g").message
        assert (asleep(tmp_path), listed(tmp_path)) == (["g"], ["g"] if how == "save" else [])


def test_a_pause_that_comes_just_after_the_host_has_woken_is_seen(tmp_path: Path) -> None:
    guest = left_unanswered(tmp_path, "pause")
    report = run_waking(tmp_path, [guest], meanwhile=after(1, guest, state=PAUSED))
    assert (by_name(report, "g").outcome, guest.state, asleep(tmp_path)) == (Outcome.RESUMED, RUNNING, [])


def test_a_later_sleep_that_leaves_a_guest_forgets_no_earlier_request_that_may_yet_have_its_effect(
    tmp_path: Path,
) -> None:
    guest = left_unanswered(tmp_path, "pause")
    guest.refuses = frozenset({"pause"})
    assert by_name(run_sleep(tmp_path, [guest], config=PAUSE), "g").outcome is Outcome.LEFT
    assert asleep(tmp_path) == ["g"]
    guest.state = PAUSED
    assert by_name(run_waking(tmp_path, [guest]), "g").outcome is Outcome.RESUMED


def test_of_a_sleep_that_was_cut_off_nobody_is_said_to_have_resumed_whom_it_may_not_have_paused(
    tmp_path: Path,
) -> None:
    guest = FakeGuest("g")
    SleeperList(tmp_path).write([Sleeper.of(guest.guest, "pause")])
    report = run_waking(tmp_path, [guest])
    assert (by_name(report, "g").outcome, asleep(tmp_path)) == (Outcome.SKIPPED, [])
    assert "somebody" not in by_name(report, "g").message


@pytest.mark.parametrize("others", [[], ["pause"]])
def test_who_is_left_as_the_list_of_guests_does_not_take_it_is_noted_nowhere(
    tmp_path: Path, others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hang_over_write(1, monkeypatch)
    guests = [FakeGuest(name) for name in ("save", *others)]
    run_sleep(tmp_path, guests, config=f"{PAUSE}\nguests: [{{match: save, sleep: save}}]")
    assert asleep(tmp_path) == others


def test_an_earlier_sleep_stays_known_where_the_notes_cannot_be_written(tmp_path: Path) -> None:
    guest = put_to_sleep(tmp_path, "pause")
    (tmp_path / "sleep.new").mkdir()
    run_sleep(tmp_path, [guest, FakeGuest("other")], config=PAUSE)
    assert asleep(tmp_path) == ["g"]


@pytest.mark.parametrize("then", [{"refuses": frozenset({"save"})}, {"state": OFF}], ids=["refused", "off"])
def test_who_is_taken_off_the_list_again_waits_on_it_as_before(tmp_path: Path, then: dict[str, Any]) -> None:
    guest, other = FakeGuest("g"), FakeGuest("other", refuses=frozenset({"save"}))
    before = put_on_list(tmp_path, guest)
    plugins = {"p": _PreSleep(lambda: change(guest, **then))}
    run_sleep(tmp_path, [guest, other], config=SAVE, plugins=plugins)
    assert open_state(tmp_path).entries == {guest.guest.key: before}


def test_who_goes_on_and_leaves_the_list_has_its_own_on_poweroff_again(tmp_path: Path) -> None:
    guest = put_to_sleep(tmp_path, "save")
    state = open_state(tmp_path)
    state.entries = {key: replace(entry, restarts=True) for key, entry in state.entries.items()}
    state.save()
    run_waking(tmp_path, [guest])
    assert (asked(guest), listed(tmp_path)) == (["start", "on_poweroff restart"], [])


def test_whose_on_poweroff_cannot_be_put_back_stays_on_the_list_though_it_goes_on(tmp_path: Path) -> None:
    guest = put_to_sleep(tmp_path, "save")
    guest.refuses = frozenset({"on_poweroff"})
    state = open_state(tmp_path)
    state.entries = {key: replace(entry, restarts=True) for key, entry in state.entries.items()}
    state.save()
    report = run_waking(tmp_path, [guest])
    assert (by_name(report, "g").outcome, listed(tmp_path), asleep(tmp_path)) == (Outcome.RESUMED, ["g"], [])
