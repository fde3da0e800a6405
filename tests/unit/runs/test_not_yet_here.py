"""What a restore finds that neither runs nor is off for good: it counts as back only when libvirt says that it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lastcall import Ended, Guest, GuestState, Outcome, hookimpl
from lastcall.hypervisor.ports import PLAIN, Condition, GuestFacts, OtherJob
from lastcall.persistence.state import StateFile
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from support import by_name, waiting_guests

SAVING = GuestFacts(job=OtherJob.SAVE)
ARRIVING = GuestFacts(condition=Condition.ARRIVING)


def listed(folder: Path) -> FakeGuest:
    """A guest that a shutdown has put on the list."""
    guest = FakeGuest("g")
    run_shutdown(folder, [guest])
    return guest


@pytest.mark.parametrize("facts", [SAVING, ARRIVING])
@pytest.mark.parametrize("ends", [GuestState.OFF, GuestState.RUNNING])
def test_one_that_is_being_saved_or_brought_here_is_judged_by_what_comes_of_that(
    tmp_path: Path, facts: GuestFacts, ends: GuestState
) -> None:
    guest = listed(tmp_path)
    guest.state, guest.traits, guest.asked = GuestState.PAUSED, facts, []

    def over() -> None:
        guest.traits, guest.state, guest.saved = PLAIN, ends, ends is GuestState.OFF

    def meanwhile(hypervisor: FakeHypervisor, _: object) -> None:
        hypervisor.loop.call_later(20.0, over)

    result = by_name(run_restore(tmp_path, [guest], meanwhile=meanwhile), "g")
    assert result.outcome is (Outcome.PRESENT if ends is GuestState.RUNNING else Outcome.RESUMED)
    assert (guest.state, waiting_guests(tmp_path)) == (GuestState.RUNNING, [])
    assert all(at >= 20.0 for at, _ in guest.asked)


@pytest.mark.parametrize("config", ["", "restore: {deadline: 30s}"])
def test_one_whose_save_does_not_end_stays_on_the_list_untouched(tmp_path: Path, config: str) -> None:
    guest = listed(tmp_path)
    guest.state, guest.traits, guest.asked = GuestState.PAUSED, SAVING, []
    report = run_restore(tmp_path, [guest], config=config)
    assert by_name(report, "g").outcome in {Outcome.FAILED, Outcome.UNKNOWN}
    assert (report.run.exit_code, guest.asked, waiting_guests(tmp_path)) == (1, [], ["g"])


@pytest.mark.parametrize(
    ("state", "told"), [(GuestState.CRASHED, "has crashed"), (GuestState.UNKNOWN, "does not say whether it runs")]
)
def test_one_that_has_crashed_or_of_which_nothing_is_known_is_not_back(
    tmp_path: Path, state: GuestState, told: str
) -> None:
    guest = listed(tmp_path)
    guest.state = state
    report = run_restore(tmp_path, [guest])
    assert by_name(report, "g").outcome is Outcome.FAILED
    assert told in by_name(report, "g").message
    assert (report.run.exit_code, waiting_guests(tmp_path)) == (1, ["g"])


@pytest.mark.parametrize("state", [GuestState.RUNNING, GuestState.PAUSED, GuestState.SUSPENDED])
def test_one_that_somebody_has_started_paused_or_put_to_sleep_is_back(tmp_path: Path, state: GuestState) -> None:
    guest = listed(tmp_path)
    guest.state = state
    assert by_name(run_restore(tmp_path, [guest]), "g").outcome is Outcome.PRESENT
    assert waiting_guests(tmp_path) == []


class NeverReady:
    @hookimpl
    def guest_ready(self, guest: Guest) -> bool:
        """No."""
        return False


@pytest.mark.parametrize("quiet", [True, False])
def test_one_that_goes_off_again_before_it_is_ready_is_not_back(tmp_path: Path, *, quiet: bool) -> None:
    guest = listed(tmp_path)

    def meanwhile(hypervisor: FakeHypervisor, _: object) -> None:
        def crash() -> None:
            if quiet:  # its event is lost
                guest.state, guest.ended = GuestState.OFF, Ended.CRASHED
            else:
                hypervisor.stop(guest, Ended.CRASHED)

        hypervisor.loop.call_later(3.0, crash)

    plugins: dict[str, Any] = {"never": NeverReady()}
    report = run_restore(
        tmp_path, [guest], meanwhile=meanwhile, plugins=plugins, config="restore: {ready_timeout: 60s}"
    )
    result = by_name(report, "g")
    assert (result.outcome, report.run.exit_code, waiting_guests(tmp_path)) == (Outcome.FAILED, 1, ["g"])
    assert "went off again" in result.message
    assert result.duration < 10.0 or quiet, "nobody waits for what is off"


class Starts:
    """Somebody else starts a guest while its hooks are called."""

    def __init__(self, guest: FakeGuest) -> None:
        self.guest = guest

    @hookimpl
    def on_guest_start(self) -> None:
        """Be faster."""
        self.guest.state = GuestState.RUNNING


def test_one_that_somebody_else_starts_meanwhile_is_present_and_was_not_started_here(tmp_path: Path) -> None:
    guest = listed(tmp_path)
    report = run_restore(tmp_path, [guest], plugins={"faster": Starts(guest)})
    assert (by_name(report, "g").outcome, waiting_guests(tmp_path)) == (Outcome.PRESENT, [])


@pytest.mark.parametrize(("state", "outcome"), [
    (GuestState.RUNNING, Outcome.PRESENT), (GuestState.PAUSED, Outcome.PRESENT), (GuestState.OFF, Outcome.STARTED),
])  # fmt: skip
def test_whoever_needs_one_waits_until_it_is_ready_also_where_libvirt_has_just_started_it(
    tmp_path: Path, state: GuestState, outcome: Outcome
) -> None:
    """By its autostart, say. Nobody waits for one that somebody has paused."""
    db, web = FakeGuest("db"), FakeGuest("web")
    run_shutdown(tmp_path, [db, web])
    db.state = state

    class ReadyAfter:
        asked = 0

        @hookimpl
        def guest_ready(self, guest: Guest) -> bool:
            """No, twenty times."""
            self.asked += guest.name == "db"
            return self.asked > 20 or guest.name == "web"

    needs = "guests: [{match: web, depends_on: [db]}]"
    report = run_restore(tmp_path, [db, web], plugins={"waits": ReadyAfter()}, config=needs)
    assert (by_name(report, "db").outcome, by_name(report, "web").outcome) == (outcome, Outcome.STARTED)
    started = by_name(report, "web").started
    assert started is not None
    assert started >= 20.0 if state is not GuestState.PAUSED else started < 20.0


def test_one_that_ran_already_and_is_never_ready_is_unready(tmp_path: Path) -> None:
    guest = listed(tmp_path)
    guest.state = GuestState.RUNNING
    report = run_restore(tmp_path, [guest], plugins={"never": NeverReady()}, config="restore: {ready_timeout: 10s}")
    assert (by_name(report, "g").outcome, waiting_guests(tmp_path)) == (Outcome.UNREADY, [])


def test_one_that_ran_already_and_goes_off_before_it_is_ready_is_not_back(tmp_path: Path) -> None:
    """It had been asked to stop by the run before, say."""
    guest = listed(tmp_path)
    guest.state = GuestState.RUNNING

    def meanwhile(hypervisor: FakeHypervisor, _: object) -> None:
        hypervisor.loop.call_later(3.0, lambda: hypervisor.stop(guest, Ended.SHUTDOWN))

    report = run_restore(tmp_path, [guest], plugins={"never": NeverReady()}, meanwhile=meanwhile)
    assert (by_name(report, "g").outcome, waiting_guests(tmp_path)) == (Outcome.FAILED, ["g"])
    assert "went off again" in by_name(report, "g").message


def test_one_that_runs_and_is_never_ready_is_unready_and_off_the_list(tmp_path: Path) -> None:
    guest = listed(tmp_path)
    report = run_restore(tmp_path, [guest], plugins={"never": NeverReady()}, config="restore: {ready_timeout: 10s}")
    assert (by_name(report, "g").outcome, waiting_guests(tmp_path)) == (Outcome.UNREADY, [])


@pytest.mark.parametrize("saved", [True, False])
def test_one_that_is_resumed_has_its_own_on_poweroff_again_whatever_its_image_has(
    tmp_path: Path, *, saved: bool
) -> None:
    """A run that was killed had replaced it before another one saved the guest."""
    guest = listed(tmp_path)
    guest.saved, guest.asked = saved, []
    owe_restart(tmp_path)
    run_restore(tmp_path, [guest])
    assert [what for _, what in guest.asked] == ["start", *(["on_poweroff restart"] if saved else [])]
    assert waiting_guests(tmp_path) == []


def owe_restart(folder: Path) -> None:
    """Have the list say that what its guests do when they power off may have been replaced."""
    state = StateFile(folder)
    state.load()
    state.entries = {key: replace(entry, restarts=True) for key, entry in state.entries.items()}
    state.save()


@pytest.mark.parametrize("how", ["running", "resumed", "at the last look"])
def test_one_whose_on_poweroff_cannot_be_put_back_stays_on_the_list_until_it_is(tmp_path: Path, how: str) -> None:
    guest, slow = FakeGuest("g"), FakeGuest("slow")
    run_shutdown(tmp_path, [guest, slow])
    owe_restart(tmp_path)
    guest.refuses, guest.saved = frozenset({"on_poweroff"}), how == "resumed"
    guest.state = GuestState.RUNNING if how == "running" else GuestState.OFF

    class SlowIsNeverReady:
        @hookimpl
        def guest_ready(self, guest: Guest) -> bool:
            """No."""
            return guest.name != "slow"

    def meanwhile(hypervisor: FakeHypervisor, _: object) -> None:
        if how == "at the last look":  # it is refused, and somebody starts it once that was told
            guest.starts_after = 9
            hypervisor.loop.call_later(5.0, lambda: setattr(guest, "state", GuestState.RUNNING))

    plugins: dict[str, Any] = {"slow": SlowIsNeverReady()}
    config = "restore: {attempts: 1, ready_timeout: 20s}"
    report = run_restore(tmp_path, [guest, slow], meanwhile=meanwhile, plugins=plugins, config=config)
    assert by_name(report, "g").outcome is (Outcome.RESUMED if how == "resumed" else Outcome.PRESENT)
    assert waiting_guests(tmp_path) == ["g"]
    guest.refuses = frozenset()
    run_restore(tmp_path, [guest, slow], names=["g"])
    assert (waiting_guests(tmp_path), guest.asked[-1][1]) == ([], "on_poweroff restart")
