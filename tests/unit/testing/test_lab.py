"""The lab in which plugins are tested: as in production, in no time, and deaf to this machine."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import lastcall
from lastcall import CallExpired, GuestState, HookFailed, Outcome, Reason, Run, Skip, StopMethod, StopRequest, Verdict
from lastcall.options import StepOptions
from lastcall.testing import BlockedInRealTime, Lab, PluginUnusable
from lastcall.testing.pytest_plugin import MakeLab


class Calls:
    """A plugin whose hooks do what a test says."""

    def __init__(self, work: Callable[[lastcall.Guest, Run], object]) -> None:
        self._work = work

    @lastcall.hookimpl
    def on_guest_stop(self, guest: lastcall.Guest, run: Run) -> None:
        """Do it."""
        self._work(guest, run)


def lab_of(lastcall_lab: MakeLab, work: Callable[[lastcall.Guest, Run], object], **options: object) -> Lab:
    """A lab in which one plugin does this as a guest stops."""
    return lastcall_lab(plugins={"mine": Calls(work)}, **options)  # pyright: ignore[reportArgumentType]


def test_a_guest_takes_its_time_on_the_labs_clock_and_none_of_ours(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab()
    lab.guest("db-1", takes=3000)
    began = time.monotonic()
    report = lab.shutdown(deadline=4000)
    assert (report.guests[0].outcome, report.guests[0].duration) == (Outcome.STOPPED, 3000.0)
    assert time.monotonic() - began < 300


def test_a_sleep_of_a_hook_moves_the_clock_and_what_remains_falls(lastcall_lab: MakeLab) -> None:
    remaining: list[float] = []

    def sleeps(_guest: lastcall.Guest, run: Run) -> None:
        remaining.append(run.remaining())
        run.sleep(25)
        remaining.append(run.remaining())

    lab = lab_of(lastcall_lab, sleeps)
    lab.guest("db-1")
    report = lab.shutdown()
    assert remaining == [60.0, 35.0]
    assert report.guests[0].asked == 25.0


def test_a_hook_runs_in_a_worker_in_which_asyncio_can_run(lastcall_lab: MakeLab) -> None:
    threads: list[threading.Thread] = []

    async def of_its_own() -> None:
        await asyncio.sleep(0)
        threads.append(threading.current_thread())

    lab = lab_of(lastcall_lab, lambda _guest, _run: asyncio.run(of_its_own()))
    lab.guest("db-1")
    assert lab.shutdown().run.exit_code == 0
    assert threads != [threading.main_thread()]


def test_a_call_that_sleeps_past_its_box_is_a_timeout_and_ends_there(lastcall_lab: MakeLab) -> None:
    ended: list[str] = []

    def overruns(_guest: lastcall.Guest, run: Run) -> None:
        try:
            run.sleep(1000)
        except CallExpired:
            ended.append("expired")
            raise

    lab = lab_of(lastcall_lab, overruns)
    lab.guest("db-1")
    report = lab.shutdown()
    assert [call.result for call in report.guests[0].hooks] == [Verdict.TIMEOUT]
    assert report.guests[0].asked == 60.0
    assert ended == ["expired"]


def test_a_call_that_blocks_in_real_time_fails_the_test_with_where_it_stood(lastcall_lab: MakeLab) -> None:
    release = threading.Event()
    lab = lab_of(lastcall_lab, lambda _guest, _run: release.wait(), patience=0.3)
    lab.guest("db-1")
    with pytest.raises(BlockedInRealTime, match=r"release\.wait"):
        lab.shutdown()
    release.set()


def test_hooks_of_two_guests_overlap_unless_one_moves_at_a_time(lastcall_lab: MakeLab) -> None:
    def ends(parallel: int) -> list[float]:
        lab = lab_of(lastcall_lab, lambda _guest, run: run.sleep(10), parallel=parallel)
        for name in ("a", "b"):
            lab.guest(name, takes=1)
        return sorted(guest.asked or 0.0 for guest in lab.shutdown().guests)

    assert ends(0) == [10.0, 10.0]
    assert ends(1) == [10.0, 21.0]


def test_two_hooks_that_wait_for_each_other_are_really_under_way_at_once(lastcall_lab: MakeLab) -> None:
    both = threading.Barrier(2)
    lab = lab_of(lastcall_lab, lambda _guest, _run: both.wait(10))
    lab.guest("a")
    lab.guest("b")
    assert lab.shutdown().run.exit_code == 0


@pytest.mark.parametrize("error", [ValueError("of the plugin"), KeyError("k"), OSError(5, "I/O"), SystemExit(3)])
def test_an_exception_that_nobody_meant_fails_the_test_by_itself(lastcall_lab: MakeLab, error: BaseException) -> None:
    def fails(_guest: lastcall.Guest, _run: Run) -> None:
        raise error

    lab = lab_of(lastcall_lab, fails)
    lab.guest("db-1")
    with pytest.raises(type(error)) as raised:
        lab.shutdown()
    assert raised.value is error
    assert f"lab.tolerates({type(error).__name__})" in "".join(raised.value.__notes__)


def test_an_exception_that_the_test_tolerates_is_what_production_makes_of_it(lastcall_lab: MakeLab) -> None:
    def fails(_guest: lastcall.Guest, _run: Run) -> None:
        raise ValueError("of the plugin")

    lab = lab_of(lastcall_lab, fails)
    lab.guest("db-1")
    lab.tolerates(ValueError)
    report = lab.shutdown()
    assert [call.result for call in report.guests[0].hooks] == [Verdict.FAILED]
    assert report.guests[0].outcome is Outcome.STOPPED


@pytest.mark.parametrize("error", [Skip("not today"), HookFailed("no"), lastcall.ShellRefused("no")])
def test_a_word_of_lastcalls_own_is_no_failure_of_the_test(lastcall_lab: MakeLab, error: Exception) -> None:
    def says(_guest: lastcall.Guest, _run: Run) -> None:
        raise error

    lab = lab_of(lastcall_lab, says)
    lab.guest("db-1")
    assert [call.result for call in lab.shutdown().guests[0].hooks] != [Verdict.OK]


def test_what_a_plugin_offers_is_watched_as_its_hooks_are(lastcall_lab: MakeLab) -> None:
    class Broken(StopMethod[StepOptions]):
        name = "broken"
        options = StepOptions

        def request(self, call: StopRequest[StepOptions]) -> None:
            raise ZeroDivisionError(call.guest.name)

    class Offers:
        @lastcall.hookimpl
        def stop_methods(self) -> list[StopMethod[StepOptions]]:
            return [Broken()]

    lab = lastcall_lab(plugins={"mine": Offers()}, config="defaults: {stop: [broken, acpi]}")
    lab.guest("db-1")
    with pytest.raises(ZeroDivisionError, match="db-1"):
        lab.shutdown()


def test_a_plugin_that_cannot_be_used_fails_the_test_in_words(lastcall_lab: MakeLab) -> None:
    class Misspelt:
        @lastcall.hookimpl
        def on_gest_stop(self, guest: lastcall.Guest) -> None:
            """Never called."""

    lab = lastcall_lab(plugins={"mine": Misspelt()})
    lab.guest("db-1")
    with pytest.raises(PluginUnusable, match=r"on_guest_stop"):
        lab.shutdown()


def test_a_restore_brings_back_what_the_shutdown_before_has_stopped(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab()
    db, web = lab.guest("db-1"), lab.guest("web-1", settings={"depends_on": ["db-1"]})
    off = lab.guest("old", state=GuestState.OFF)
    lab.shutdown(reason=Reason.REBOOT)
    assert (db.state, web.state) == (GuestState.OFF, GuestState.OFF)
    report = lab.restore()
    assert [guest.name for guest in report.guests] == ["db-1", "web-1"]
    assert (db.state, web.state, off.state) == (GuestState.RUNNING, GuestState.RUNNING, GuestState.OFF)
    assert off.asked == []


def test_the_guests_that_are_named_are_stopped_and_no_others(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab()
    db, web = lab.guest("db-1"), lab.guest("web-1")
    lab.shutdown(db)
    assert (db.state, web.state) == (GuestState.OFF, GuestState.RUNNING)
    lab.shutdown("web-*")
    assert web.state is GuestState.OFF


def test_a_guest_behaves_as_the_test_says(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab(config="defaults: {stop: [acpi, save], timeout: 20s}")
    deaf, refusing, leaving = lab.guest("deaf"), lab.guest("refusing"), lab.guest("leaving", takes=100)
    deaf.is_deaf_to("acpi")
    refusing.refuses("acpi")
    leaving.goes_off(after=4)
    by_name = {guest.name: guest for guest in lab.shutdown().guests}
    assert by_name["deaf"].outcome is by_name["refusing"].outcome is Outcome.SAVED
    assert (by_name["leaving"].outcome, by_name["leaving"].duration) == (Outcome.STOPPED, 4.0)
    assert deaf.asked[-1] == "save"


def test_a_guest_that_somebody_starts_meanwhile_is_asked_in_a_host_stop(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab()
    lab.guest("slow", takes=20)
    late = lab.guest("late", state=GuestState.OFF)
    late.starts(after=5)
    lab.shutdown(reason=Reason.POWEROFF)
    assert late.asked
    assert late.state is GuestState.OFF


def test_an_agent_answers_what_the_test_says_and_its_calls_are_kept(lastcall_lab: MakeLab) -> None:
    answers: list[object] = []

    def asks(guest: lastcall.Guest, run: Run) -> None:
        answers.append(run.domain(guest).agent("guest-get-osinfo", {"deep": True}))

    lab = lab_of(lastcall_lab, asks)
    db = lab.guest("db-1", addresses=["192.0.2.7"])
    db.agent_answers({"guest-get-osinfo": {"id": "debian"}})
    lab.shutdown()
    assert answers == [{"id": "debian"}]
    assert ("guest-get-osinfo", {"deep": True}) in db.agent_calls


def test_firing_one_hook_is_a_rehearsal_that_stops_nobody(lastcall_lab: MakeLab) -> None:
    seen: list[bool] = []
    lab = lab_of(lastcall_lab, lambda _guest, run: seen.append(run.rehearsal))
    db = lab.guest("db-1")
    (record,) = lab.fire("on_guest_stop", db)
    assert (record.plugin, record.result) == ("mine", Verdict.OK)
    assert seen == [True]
    assert db.state is GuestState.RUNNING
    assert db.asked == []


def test_lines_that_hooks_log_are_there_after_the_run(lastcall_lab: MakeLab) -> None:
    lab = lab_of(lastcall_lab, lambda guest, run: run.log(f"bye {guest.name}"))
    lab.guest("db-1")
    lab.shutdown()
    assert lab.lines == ["bye db-1"]


def test_drop_ins_of_both_kinds_take_part(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab()
    lab.drop_in("pre_shutdown/50-say", "#!/bin/sh\necho executable $LASTCALL_REASON\n")
    lab.drop_in("60-say.py", "import lastcall\n\n@lastcall.hookimpl\ndef pre_shutdown(run):\n    run.log('module')\n")
    lab.guest("db-1")
    lab.shutdown()
    assert lab.lines == ["executable manual", "module"]


def test_an_exception_of_a_module_among_the_drop_ins_fails_the_test_too(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab()
    lab.drop_in("60-bad.py", "import lastcall\n\n@lastcall.hookimpl\ndef pre_shutdown(run):\n    [][1]\n")
    lab.guest("db-1")
    with pytest.raises(IndexError):
        lab.shutdown()


def test_the_lab_touches_no_libvirt_no_network_and_nothing_of_this_machines_configuration(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
sys.modules["libvirt"] = None
touched = []

def watch(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/etc/lastcall", "/var/lib/lastcall", "/run/lastcall")):
        touched.append(arguments[0])
    if event in {"socket.connect", "socket.bind", "socket.sendto"}:
        touched.append((event, arguments))

sys.addaudithook(watch)
from lastcall.testing import Lab
lab = Lab(Path(sys.argv[1]), plugins={})
lab.guest("db-1")
assert lab.shutdown().run.exit_code == 0
assert lab.restore().run.exit_code == 0
lab.fire("pre_shutdown")
print(touched)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (ran.stdout, ran.returncode) == ("[]\n", 0), ran.stderr
