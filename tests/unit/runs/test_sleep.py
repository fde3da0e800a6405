"""What becomes of guests around a sleep of the host: who is paused or saved, and how everybody goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import GuestState, Outcome, Reason, Run, RunKind
from lastcall.api.guests import Key
from lastcall.hypervisor.ports import Condition, GuestFacts, OtherJob
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.power.sleepers import Sleeper, SleeperList
from lastcall.persistence.state import open_state
from lastcall.records.records import GuestAsked, GuestPlanned, Record
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown, run_sleep, run_waking
from lastcall.timing.budget import GOING_TO_SLEEP, PRE_SLEEP
from support import by_name, hang_over_write, waiting_guests

RUNNING, PAUSED, OFF = GuestState.RUNNING, GuestState.PAUSED, GuestState.OFF
HELD = GuestFacts(condition=Condition.HELD)
PAUSE, SAVE = "defaults: {sleep: pause}", "defaults: {sleep: save}"
CLOCK: list[tuple[str, dict[str, Any]]] = [("guest-set-time", {})]


def asleep(folder: Path) -> set[str]:
    """The names of those that are noted."""
    return {one.name for one in SleeperList(folder).read().values()}


def held(*guests: FakeGuest) -> None:
    """Have libvirt say of paused guests that a user has paused them."""
    for guest in guests:
        guest.traits = HELD if guest.state is PAUSED else guest.traits


def asked(guest: FakeGuest) -> list[str]:
    return [how for _, how in guest.asked]


def test_by_default_nobody_is_touched_and_afterwards_the_clocks_of_all_that_run_are_set(tmp_path: Path) -> None:
    guests = [FakeGuest("a", agent=True), FakeGuest("b", agent=True), FakeGuest("mute")]
    others = [FakeGuest("off", state=OFF, agent=True), FakeGuest("held", state=PAUSED, agent=True)]
    assert run_sleep(tmp_path, [*guests, *others]).guests == ()
    report = run_waking(tmp_path, [*guests, *others])
    assert (report.guests, report.problems, report.run.exit_code) == ((), (), 0)
    assert [guest.told for guest in (*guests, *others)] == [CLOCK, CLOCK, [], [], []]
    assert all(guest.asked == [] for guest in (*guests, *others))
    assert report.run.duration == 0, "a guest without an agent is not waited for"
    assert list((tmp_path / "runs").glob("*")) == [], "nothing has happened that a log could tell"


@pytest.mark.parametrize(("config", "clocks"), [
    ("restore: {sync_time: never}", []), ("restore: {sync_time: always}", CLOCK), ("defaults: {manage: false}", []),
])  # fmt: skip
def test_clocks_are_set_unless_somebody_does_not_want_it(tmp_path: Path, config: str, clocks: list[Any]) -> None:
    guest = FakeGuest("g", agent=True)
    run_waking(tmp_path, [guest], config=config)
    assert guest.told == clocks


def test_a_clock_that_cannot_be_set_is_told_and_holds_up_nobody(tmp_path: Path) -> None:
    deaf, other = FakeGuest("deaf", agent=True, deaf_to=frozenset({"agent"})), FakeGuest("other", agent=True)
    report = run_waking(tmp_path, [deaf, other])
    assert [(one.what, one.where, one.severity) for one in report.problems] == [("clock", "deaf", "warning")]
    assert (other.told, report.run.exit_code) == (CLOCK, 0)


@pytest.mark.parametrize("how", ["pause", "save"])
def test_who_is_to_sleep_sleeps_and_goes_on_with_its_clock_set(tmp_path: Path, how: str) -> None:
    guest, other = FakeGuest("g", agent=True), FakeGuest("other", agent=True)
    config = f"guests: [{{match: g, sleep: {how}}}]"
    report = run_sleep(tmp_path, [guest, other], config=config)
    assert [(one.name, one.outcome, one.method) for one in report.guests] == [
        ("g", {"pause": Outcome.PAUSED, "save": Outcome.SAVED}[how], how)
    ]
    assert (report.run.kind, report.run.reason, report.run.exit_code) == (RunKind.SHUTDOWN, Reason.SLEEP, 0)
    assert (guest.state, other.state) == ({"pause": PAUSED, "save": OFF}[how], RUNNING)
    assert asleep(tmp_path) == {"g"}
    held(guest)
    report = run_waking(tmp_path, [guest, other], config=config)
    assert [(one.name, one.outcome) for one in report.guests] == [("g", Outcome.RESUMED)]
    assert (report.run.kind, report.run.reason, report.run.exit_code) == (RunKind.RESTORE, Reason.SLEEP, 0)
    assert (guest.state, guest.told, other.told, asleep(tmp_path)) == (RUNNING, CLOCK, CLOCK, set())
    assert other.asked == []
    assert not (tmp_path / "state.json").exists() or waiting_guests(tmp_path) == []


class _Asked:
    """A sink that notes whom the run turns to, and looks who is noted just then."""

    def __init__(self, folder: Path) -> None:
        self.names: list[str] = []
        self.noted: list[set[str]] = []
        self._folder = folder
        self._known = dict[Key, str]()

    def __call__(self, record: Record) -> None:
        if isinstance(record, GuestPlanned):
            self._known[record.guest.key] = record.guest.name
        if isinstance(record, GuestAsked):
            self.names.append(self._known[record.guest])
            self.noted.append(asleep(self._folder))


@pytest.mark.parametrize("how", ["pause", "save"])
def test_who_needs_others_sleeps_before_them_and_goes_on_after_them(tmp_path: Path, how: str) -> None:
    """Also across one that is left as it is."""
    guests = [FakeGuest(name) for name in ("app", "middle", "storage")]
    rules = "{match: app, depends_on: middle}, {match: middle, depends_on: storage, sleep: leave}"
    config = f"defaults: {{sleep: {how}}}\nguests: [{rules}]"
    before, after = _Asked(tmp_path), _Asked(tmp_path)
    run_sleep(tmp_path, guests, config=config, sink=before)
    held(*guests)
    report = run_waking(tmp_path, guests, config=config, sink=after)
    assert (before.names, after.names) == (["app", "storage"], ["storage", "app"])
    assert {one.outcome for one in report.guests} == {Outcome.RESUMED}


def test_a_saved_guest_is_on_disk_before_those_that_it_needs_are_paused(tmp_path: Path) -> None:
    app, storage = FakeGuest("app", takes=5), FakeGuest("storage")
    rules = "{match: app, depends_on: storage, sleep: save}, {match: storage, sleep: pause}"
    run_sleep(tmp_path, [app, storage], config=f"guests: [{rules}]")
    assert (app.asked, storage.asked) == ([(0.0, "save")], [(pytest.approx(5), "pause")])
    held(storage)
    run_waking(tmp_path, [app, storage], config=f"guests: [{rules}]")
    assert [how for _, how in (*storage.asked[1:], *app.asked[1:])] == ["resume", "start"]


def by_somebody(guest: FakeGuest, state: GuestState, **more: Any) -> None:
    guest.state = state
    for name, value in more.items():
        setattr(guest, name, value)


MEANWHILE: list[tuple[str, Callable[[FakeGuest], None], Outcome, GuestState]] = [
    (PAUSE, lambda guest: by_somebody(guest, RUNNING), Outcome.SKIPPED, RUNNING),
    (PAUSE, lambda guest: by_somebody(guest, OFF), Outcome.SKIPPED, OFF),
    (PAUSE, lambda guest: by_somebody(guest, PAUSED, traits=GuestFacts(condition=Condition.IO_ERROR)),
     Outcome.SKIPPED, PAUSED),
    (PAUSE, lambda guest: by_somebody(guest, PAUSED, traits=GuestFacts(condition=Condition.ARRIVING)),
     Outcome.SKIPPED, PAUSED),
    (SAVE, lambda guest: by_somebody(guest, RUNNING, saved=False), Outcome.PRESENT, RUNNING),
    (SAVE, lambda guest: by_somebody(guest, OFF, saved=False), Outcome.SKIPPED, OFF),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "meanwhile", "outcome", "then"), MEANWHILE,
    ids=["resumed", "stopped", "its disk is full", "migrating", "started", "its image is gone"],
)  # fmt: skip
def test_a_guest_that_somebody_else_has_seen_to_meanwhile_is_left_alone(
    tmp_path: Path, config: str, meanwhile: Callable[[FakeGuest], None], outcome: Outcome, then: GuestState
) -> None:
    guest = FakeGuest("g")
    run_sleep(tmp_path, [guest], config=config)
    before = list(guest.asked)
    meanwhile(guest)
    report = run_waking(tmp_path, [guest], config=config)
    assert (by_name(report, "g").outcome, report.run.exit_code) == (outcome, 0)
    assert (guest.asked, guest.state, asleep(tmp_path)) == (before, then, set())


@pytest.mark.parametrize(("guest", "config"), [
    (FakeGuest("g", refuses=frozenset({"pause"})), PAUSE),
    (FakeGuest("g", refuses=frozenset({"save"})), SAVE),
    (FakeGuest("g", persistent=False), SAVE),
    (FakeGuest("g", traits=GuestFacts(unsaveable="it has a device of the host")), SAVE),
    (FakeGuest("g", traits=GuestFacts(job=OtherJob.BACKUP)), SAVE),
    (FakeGuest("g", traits=GuestFacts(job=OtherJob.MIGRATION)), PAUSE),
    (FakeGuest("g", traits=GuestFacts(condition=Condition.ARRIVING)), PAUSE),
    (FakeGuest("g", refuses=frozenset({"look"})), PAUSE),
], ids=["pause refused", "save refused", "transient", "unsaveable", "backup", "leaves", "arrives", "dumb"])  # fmt: skip
def test_a_guest_for_which_it_fails_is_left_running_and_told_and_the_others_sleep(
    tmp_path: Path, guest: FakeGuest, config: str
) -> None:
    guest.asked.clear()
    other = FakeGuest("other")
    report = run_sleep(tmp_path, [guest, other], config=config)
    assert (by_name(report, "g").outcome, guest.state) == (Outcome.LEFT, RUNNING)
    assert by_name(report, "g").message.startswith("left running: ")
    assert by_name(report, "other").outcome in {Outcome.PAUSED, Outcome.SAVED}
    assert (report.run.exit_code, asleep(tmp_path)) == (1, {"other"})
    assert not (tmp_path / "state.json").exists() or waiting_guests(tmp_path) == (["other"] if config is SAVE else [])


def test_a_pause_beside_a_backup_is_fine(tmp_path: Path) -> None:
    guest = FakeGuest("g", traits=GuestFacts(job=OtherJob.BACKUP))
    assert by_name(run_sleep(tmp_path, [guest], config=PAUSE), "g").outcome is Outcome.PAUSED


@pytest.mark.parametrize("state", [PAUSED, GuestState.SUSPENDED, GuestState.CRASHED])
def test_a_guest_that_does_not_run_is_left_as_it_is_before_and_after(tmp_path: Path, state: GuestState) -> None:
    guest = FakeGuest("g", state=state, traits=HELD)
    for config in (PAUSE, SAVE):
        report = run_sleep(tmp_path, [guest], config=config)
        assert (by_name(report, "g").outcome, report.run.exit_code) == (Outcome.SKIPPED, 0)
        assert run_waking(tmp_path, [guest], config=config).guests == ()
    assert (guest.state, guest.asked) == (state, [])


def test_a_save_that_takes_longer_than_a_sleep_waits_is_ended_and_its_guest_left_running(tmp_path: Path) -> None:
    huge, other = FakeGuest("huge", takes=1000), FakeGuest("other", takes=5)
    report = run_sleep(tmp_path, [huge, other], config=SAVE)
    assert (by_name(report, "huge").outcome, by_name(report, "other").outcome) == (Outcome.LEFT, Outcome.SAVED)
    assert "abort" in asked(huge)
    assert report.run.duration <= GOING_TO_SLEEP
    assert (waiting_guests(tmp_path), asleep(tmp_path)) == (["other"], {"other"})


@pytest.mark.parametrize("how", ["pause", "save"])
def test_libvirt_that_hangs_holds_up_no_sleep_and_whoever_may_sleep_by_then_stays_noted(
    tmp_path: Path, how: str
) -> None:
    stuck = FakeGuest("stuck", hangs_in=frozenset({how, "abort"}))
    report = run_sleep(tmp_path, [stuck, FakeGuest("other")], config=f"defaults: {{sleep: {how}}}")
    assert by_name(report, "stuck").outcome is Outcome.UNKNOWN
    assert by_name(report, "other").outcome in {Outcome.PAUSED, Outcome.SAVED}
    assert report.run.duration <= GOING_TO_SLEEP
    assert asleep(tmp_path) == {"stuck", "other"}


@pytest.mark.parametrize("config", [PAUSE, SAVE])
def test_everybody_is_noted_before_the_first_is_touched(tmp_path: Path, config: str) -> None:
    asked_for = _Asked(tmp_path)
    run_sleep(tmp_path, [FakeGuest("a"), FakeGuest("b")], config=config, sink=asked_for)
    assert asked_for.noted == [{"a", "b"}] * 2


def test_a_waking_after_a_kill_in_the_middle_lets_those_go_on_that_were_paused_by_then(tmp_path: Path) -> None:
    running, paused = FakeGuest("running"), FakeGuest("paused", state=PAUSED, traits=HELD)
    SleeperList(tmp_path).write([Sleeper.of(guest.guest, "pause") for guest in (running, paused)])
    report = run_waking(tmp_path, [running, paused])
    assert (running.asked, asked(paused), paused.state) == ([], ["resume"], RUNNING)
    assert (report.run.exit_code, asleep(tmp_path)) == (0, set())


def test_a_sleep_that_cannot_be_noted_pauses_and_saves_nobody(tmp_path: Path) -> None:
    (tmp_path / "sleep.new").mkdir()
    guests = [FakeGuest("a"), FakeGuest("b")]
    for config in (PAUSE, SAVE):
        report = run_sleep(tmp_path, guests, config=config)
        assert {one.outcome for one in report.guests} == {Outcome.LEFT}
    assert all(guest.asked == [] for guest in guests)


def test_nobody_is_saved_whom_the_list_of_guests_does_not_take_and_others_are_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang_over_write(1, monkeypatch)
    save, pause = FakeGuest("save"), FakeGuest("pause")
    report = run_sleep(tmp_path, [save, pause], config=f"{PAUSE}\nguests: [{{match: save, sleep: save}}]")
    assert (by_name(report, "save").outcome, by_name(report, "pause").outcome) == (Outcome.LEFT, Outcome.PAUSED)
    assert save.asked == []
    assert report.run.duration <= GOING_TO_SLEEP


def test_a_host_that_never_wakes_brings_back_at_its_next_boot_whom_it_had_saved(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_sleep(tmp_path, [guest], config=SAVE)
    assert [entry.is_due_from(boot_id()) for entry in open_state(tmp_path).entries.values()] == [True]
    note = json.loads((tmp_path / "sleep.json").read_text())
    (tmp_path / "sleep.json").write_text(json.dumps({**note, "boot": "another"}))
    assert run_waking(tmp_path, [guest]).guests == (), "what was noted in another boot says nothing"
    assert by_name(run_restore(tmp_path, [guest]), "g").outcome is Outcome.RESUMED


def test_where_the_host_stops_at_once_the_paused_go_on_and_the_saved_wait_for_its_next_boot(tmp_path: Path) -> None:
    pause, save, hooks = FakeGuest("pause", agent=True), FakeGuest("save", agent=True), _Hooks()
    run_sleep(tmp_path, [pause, save], config=f"{PAUSE}\nguests: [{{match: save, sleep: save}}]")
    held(pause)
    report = run_waking(tmp_path, [pause, save], host_stops=True, plugins={"hooks": hooks})
    assert (by_name(report, "pause").outcome, by_name(report, "save").outcome) == (Outcome.RESUMED, Outcome.SKIPPED)
    assert (pause.state, save.state, asleep(tmp_path), waiting_guests(tmp_path)) == (RUNNING, OFF, set(), ["save"])
    assert (pause.told, hooks.seen, report.run.exit_code) == ([], [], 0), "nothing holds up the stop"


def test_a_guest_that_cannot_go_on_is_tried_again_and_stays_noted_for_the_next_waking(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_sleep(tmp_path, [guest], config=PAUSE)
    held(guest)
    guest.refuses = frozenset({"resume"})
    report = run_waking(tmp_path, [guest], config="restore: {attempts: 3, retry: 10s}")
    assert [at for at, how in guest.asked if how == "resume"] == [0.0, 10.0, 20.0]
    assert (by_name(report, "g").outcome, report.run.exit_code, asleep(tmp_path)) == (Outcome.FAILED, 1, {"g"})
    run_sleep(tmp_path, [guest], config=PAUSE)  # an earlier sleep's are not forgotten by a later one
    guest.refuses = frozenset()
    assert by_name(run_waking(tmp_path, [guest]), "g").outcome is Outcome.RESUMED


def test_a_connection_that_does_not_answer_after_the_sleep_loses_nobody(tmp_path: Path) -> None:
    guests = [FakeGuest("near", uri="fake:///a"), FakeGuest("far", uri="fake:///b")]
    run_sleep(tmp_path, guests, config=PAUSE)
    held(*guests)
    report = run_waking(tmp_path, guests, dead=["fake:///b"])
    assert by_name(report, "near").outcome is Outcome.RESUMED
    assert (by_name(report, "far").outcome, asleep(tmp_path)) == (Outcome.UNKNOWN, {"far"})
    assert by_name(run_waking(tmp_path, guests), "far").outcome is Outcome.RESUMED


def test_a_saved_guest_that_cannot_be_started_stays_on_the_list_of_guests(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_sleep(tmp_path, [guest], config=SAVE)
    guest.starts_after = 10
    report = run_waking(tmp_path, [guest], config="restore: {attempts: 2, retry: 1s}")
    assert (by_name(report, "g").outcome, waiting_guests(tmp_path)) == (Outcome.FAILED, ["g"])
    assert asleep(tmp_path) == set()


class _Hooks:
    """Notes when it is called, and with whom; takes its time, or fails."""

    def __init__(self, takes: float = 0.0, *, fails: bool = False) -> None:
        self.seen: list[tuple[str, str, str, tuple[str, ...]]] = []
        self._takes, self._fails = takes, fails

    def _note(self, hook: str, run: Run) -> None:
        self.seen.append((hook, run.kind.value, run.reason.value, tuple(guest.name for guest in run.guests)))
        if self._fails:
            raise lastcall.HookFailed("on purpose")

    @lastcall.hookimpl
    def pre_sleep(self, run: Run) -> None:
        self._note("pre_sleep", run)

    @lastcall.hookimpl
    def post_wake(self, run: Run) -> None:
        self._note("post_wake", run)

    @lastcall.hookimpl
    def pre_shutdown(self, run: Run) -> None:
        self._note("pre_shutdown", run)

    @lastcall.hookimpl
    def on_guest_stop(self, run: Run) -> None:
        self._note("on_guest_stop", run)

    @lastcall.hookimpl
    def on_guest_start(self, run: Run) -> None:
        self._note("on_guest_start", run)

    @lastcall.hookimpl
    def post_restore(self, run: Run) -> None:
        self._note("post_restore", run)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("config", ["", PAUSE, SAVE])
def test_hooks_fire_once_before_and_once_after_and_no_other_ones(tmp_path: Path, config: str, *, fails: bool) -> None:
    guest, hooks = FakeGuest("g"), _Hooks(fails=fails)
    before = run_sleep(tmp_path, [guest], config=config, plugins={"hooks": hooks})
    held(guest)
    after = run_waking(tmp_path, [guest], config=config, plugins={"hooks": hooks})
    assert hooks.seen == [("pre_sleep", "shutdown", "sleep", ("g",)), ("post_wake", "restore", "sleep", ("g",))]
    assert (before.run.exit_code, after.run.exit_code) == ((1, 1) if fails else (0, 0))
    assert guest.state is RUNNING
    assert len(list((tmp_path / "runs").glob("*.jsonl"))) == 2, "what plugins were called for is kept"


def test_pre_sleep_gets_a_share_of_the_time_and_the_guests_sleep_all_the_same(tmp_path: Path) -> None:
    called: list[float] = []

    class Slow:
        @lastcall.hookimpl
        def pre_sleep(self, run: Run) -> None:
            called.append(run.remaining())

    run_sleep(tmp_path, [FakeGuest("g")], config=f"{PAUSE}\nhooks: {{timeout: 1h}}", plugins={"slow": Slow()})
    assert called == [PRE_SLEEP.seconds]


def test_a_run_that_is_interrupted_pauses_nobody_else(tmp_path: Path) -> None:
    first, second = FakeGuest("first", takes=5), FakeGuest("second")

    def interrupt(hypervisor: FakeHypervisor, run: Any) -> None:
        hypervisor.loop.call_later(2, run.interrupt)

    rules = "{match: first, sleep: save, depends_on: second}, {match: second, sleep: pause}"
    report = run_sleep(tmp_path, [first, second], config=f"guests: [{rules}]", meanwhile=interrupt)
    assert by_name(report, "first").outcome is Outcome.SAVED, "what was begun is waited for"
    assert (by_name(report, "second").outcome, second.asked) == (Outcome.LEFT, [])


def test_a_host_stop_after_the_sleep_finds_the_guests_as_ever(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_sleep(tmp_path, [guest], config=SAVE)
    run_waking(tmp_path, [guest], config=SAVE)
    report = run_shutdown(tmp_path, [guest], reason=Reason.POWEROFF)
    assert (by_name(report, "g").outcome, waiting_guests(tmp_path)) == (Outcome.STOPPED, ["g"])
