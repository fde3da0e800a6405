"""`lastcall drill` with a real daemon: who is stopped and brought back, what is said and kept, and what cuts it off."""

import json
import signal
from datetime import datetime
from pathlib import Path

import libvirt
import pytest

from json_documents import hold_against_schema
from lab.daemon import Daemon
from lab.guests import driver_guests, off, opened, states
from lab.patience import LONGEST
from lastcall.persistence.state import open_state
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
from support import (
    by_name_in,
    kill_at,
    report_of,
    run_lastcall,
    start_and_wait_for,
    takes_its_time,
    waiting_guests,
    write_config,
)

NAMES = ["db", "web-1", "web-2"]
MARKED = "guests: [{match: 'web-*', drill: true}, {match: web-2, depends_on: web-1}]\n"


def starts_of(connection: libvirt.virConnect) -> dict[str, int]:
    """The numbers that the daemon gives anew at each start."""
    return {domain.name(): domain.ID() for domain in connection.listAllDomains()}


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], {"web-1", "web-2"}),
        (["--marked"], {"web-1", "web-2"}),
        (["db"], {"db"}),
        (["web-2", "d*"], {"db", "web-2"}),
        (["--match", "name=web-1"], {"web-1"}),
    ],
)
def test_those_named_or_else_those_marked_are_stopped_and_brought_back_and_nobody_else(
    lab: Daemon, tmp_path: Path, words: list[str], meant: set[str]
) -> None:
    config = write_config(tmp_path, lab.test, more=MARKED)
    with driver_guests(lab, NAMES) as connection:
        before = starts_of(connection)
        done = run_lastcall(config, "drill", *words, "--json")
        assert done.returncode == 0, done.stderr
        told = hold_against_schema(done.stdout, "drill")
        assert {guest["name"] for guest in told["guests"]} == meant
        assert {(guest["went"], guest["came"]) for guest in told["guests"]} == {("stopped", "started")}
        assert set(states(connection).values()) == {"running"}
        assert {name for name, number in starts_of(connection).items() if number != before[name]} == meant
        assert waiting_guests(tmp_path / "state") == []


def test_a_guest_marks_itself_by_its_metadata(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, NAMES):
        assert run_lastcall(config, "guest", "set", "db", "drill=true").returncode == 0
        told = json.loads(run_lastcall(config, "drill", "--json").stdout)
        assert [guest["name"] for guest in told["guests"]] == ["db"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no active guest is marked for drills"),
        (["--marked"], "drill: true"),
        (["wbe-1"], "did you mean 'web-1'?"),
        (["db", "nobody-*"], "no active guest matches 'nobody-*'"),
        (["--marked", "db"], "takes no names"),
    ],
)
def test_where_nobody_is_meant_it_is_a_mistake_of_the_call_and_nobody_is_touched(
    lab: Daemon, tmp_path: Path, words: list[str], said: str
) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, NAMES) as connection:
        before = starts_of(connection)
        done = run_lastcall(config, "drill", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert starts_of(connection) == before


def test_marked_guests_of_a_connection_that_is_not_there_are_not_said_to_be_none(tmp_path: Path) -> None:
    config = write_config(tmp_path, "test+unix:///default?socket=/nowhere", more=MARKED)
    done = run_lastcall(config, "drill")
    assert done.returncode == 1
    assert "marked" not in done.stderr
    assert "/nowhere" in done.stderr


def test_order_holds_both_ways_and_who_goes_on_and_needs_one_is_told_as_by_hand(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=MARKED)
    with driver_guests(lab, NAMES):
        told = json.loads(run_lastcall(config, "drill", "--json").stdout)
        stopped = report_of(run_lastcall(config, "report", told["shutdown"], "--json"))["runs"][0]
        back = report_of(run_lastcall(config, "report", told["restore"], "--json"))["runs"][0]
        assert by_name_in(stopped, "web-1")["waited_for"] == ["web-2"]
        assert by_name_in(back, "web-2")["waited_for"] == ["web-1"]
        told = json.loads(run_lastcall(config, "drill", "web-1", "--json").stdout)
        by_hand = report_of(run_lastcall(config, "shutdown", "web-1", "--json"))
        assert told["problems"] == by_hand["problems"] != []


def test_what_was_measured_stands_beside_what_was_planned_and_the_next_drill_expects_it(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test, more="shutdown: {deadline: 5min, by_reason: {power: {deadline: 90s}}}")
    with driver_guests(lab, NAMES):
        first, second = (json.loads(run_lastcall(config, "drill", "db", "--json").stdout) for _ in range(2))
        assert first["guests"][0]["usually"] is None
        assert second["guests"][0]["usually"] == pytest.approx(first["guests"][0]["took"], abs=0.01)
        assert first["unknown"] == ["web-1", "web-2"]
        assert first["power_cut"]["deadline"] == 90
        text = run_lastcall(config, "drill", "*").stdout
        assert text.splitlines()[-1].startswith("tonight's power cut would take ")
        assert text.splitlines()[-1].endswith("the deadline is 90s")


def test_its_runs_are_told_from_others_wherever_runs_are_told_and_status_says_when_it_was(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, NAMES):
        assert "last drill" not in run_lastcall(config, "status").stdout
        told = json.loads(run_lastcall(config, "drill", "db", "--json").stdout)
        listed = run_lastcall(config, "runs", "--reason", "drill").stdout
        assert [line.split()[0] for line in listed.splitlines()] == [told["restore"], told["shutdown"]]
        assert "shutdown (drill)" in listed
        assert "restore (drill)" in listed
        assert "shutdown (drill) of" in run_lastcall(config, "report").stdout
        page = run_lastcall(config, "report", "--html", "-").stdout
        assert "drill" in page
        (line,) = (one for one in run_lastcall(config, "status").stdout.splitlines() if one.startswith("last drill"))
        began = datetime.fromisoformat(told["started"]).astimezone()
        when = f"{began:%Y-%m-%d %H:%M}"
        assert line.split(maxsplit=2)[2] == f"{when}, 1 guest: all went and came back as planned"
        status = hold_against_schema(run_lastcall(config, "status", "--json").stdout, "status")
        assert status["last_drill"]["shutdown"] == told["shutdown"]


def test_who_does_not_go_is_told_everywhere_and_the_exit_code_says_so(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="guests: [{match: db, stop: [destroy]}]")
    with driver_guests(lab, NAMES) as connection:
        done = run_lastcall(config, "drill", "db", "web-1")
        assert done.returncode == 1
        assert "1 of 2 went and came back as planned" in done.stdout
        assert set(states(connection).values()) == {"running"}
        assert "2 guests: db skipped" in run_lastcall(config, "status").stdout


def test_plugins_are_told_that_it_is_a_drill_and_what_is_meant_for_others_is_not_called(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test, more="hooks: {reasons: {night: host, day: [manual, drill]}}")
    for name in ("night", "day"):
        (tmp_path / "hooks.d" / f"10-{name}.py").write_text(
            "import lastcall\n@lastcall.hookimpl\ndef pre_shutdown(run):\n    run.evidence(why=run.reason.value)\n"
        )
    with driver_guests(lab, NAMES):
        told = json.loads(run_lastcall(config, "drill", "db", "--json").stdout)
        (report,) = report_of(run_lastcall(config, "report", told["shutdown"], "--json"))["runs"]
        assert {hook["plugin"]: hook["evidence"] for hook in report["hooks"] if hook["result"] == "ok"} == {
            "day": {"why": "drill"}
        }


def test_another_run_under_way_is_exit_code_5(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, NAMES) as connection:
        lock = RunLock(tmp_path / "run")
        lock.take(Holder("restore", "manual", 1))
        before = starts_of(connection)
        assert run_lastcall(config, "drill", "db").returncode == 5
        assert starts_of(connection) == before
        lock.release()


@pytest.mark.parametrize("hook", ["on_guest_stop", "on_guest_start"])
def test_after_a_ctrl_c_in_its_middle_those_that_were_stopped_are_brought_back_which_is_said(
    lab: Daemon, tmp_path: Path, hook: str
) -> None:
    config = write_config(tmp_path, lab.test, more=MARKED)
    (tmp_path / "hooks.d" / "10-slow.py").write_text(takes_its_time(hook))
    with driver_guests(lab, NAMES) as connection:
        before = starts_of(connection)
        stopping = hook == "on_guest_stop"
        process = start_and_wait_for(config, f"{'web-2: stopped' if stopping else hook}", "-v", "drill")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONGEST)
        assert set(states(connection).values()) == {"running"}, err
        assert waiting_guests(tmp_path / "state") == []
        assert starts_of(connection)["web-2"] != before["web-2"]
        assert process.returncode == (1 if stopping else 0)
        assert ("interrupted" if stopping else "goes on: those that were stopped are brought back") in out


def test_a_second_ctrl_c_leaves_the_rest_off_and_on_the_list(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=MARKED)
    (tmp_path / "hooks.d" / "10-slow.py").write_text(takes_its_time("on_guest_start"))
    with driver_guests(lab, NAMES) as connection:
        process = start_and_wait_for(config, "on_guest_start", "-v", "drill")
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert any("goes on" in line for line in process.stderr)  # reads no further than that
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LONGEST)
        assert process.returncode == 1
        off = [name for name, state in states(connection).items() if state == "off"]
        assert off == waiting_guests(tmp_path / "state") != []
        assert run_lastcall(config, "restore").returncode == 0
        assert set(states(connection).values()) == {"running"}
        assert "did not come" not in run_lastcall(config, "status").stdout


@pytest.mark.parametrize("record", [4, 7, 10, 13, 16])
def test_wherever_a_drill_is_killed_an_ordinary_restore_brings_everybody_back(
    lab: Daemon, tmp_path: Path, record: int
) -> None:
    config = write_config(tmp_path, lab.test, more=MARKED)
    with driver_guests(lab, NAMES) as connection:
        kill_at(config, record, reason="drill")
        entries = open_state(tmp_path / "state").entries.values()
        assert off(connection) <= {entry.name for entry in entries if entry.due}
        run_lastcall(config, "restore")
        with opened(lab.test) as again:
            assert set(states(again).values()) == {"running"}


def test_status_tells_of_a_drill_that_was_killed_before_everybody_was_back(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=MARKED)
    (tmp_path / "hooks.d" / "10-slow.py").write_text(takes_its_time("on_guest_start"))
    with driver_guests(lab, NAMES) as connection:
        process = start_and_wait_for(config, "on_guest_start", "-v", "drill")
        process.kill()
        process.communicate(timeout=LONGEST)
        told = run_lastcall(config, "status").stdout
        assert "2 guests: it did not come to its end, or is under way" in told
        assert "web-2  was running" in told
        assert run_lastcall(config, "restore").returncode == 0
        assert set(states(connection).values()) == {"running"}


def test_a_host_stop_in_its_middle_is_not_undone_by_it(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=MARKED)
    (tmp_path / "hooks.d" / "10-slow.py").write_text(takes_its_time("on_guest_stop"))
    with driver_guests(lab, NAMES) as connection:
        process = start_and_wait_for(config, "on_guest_stop", "-v", "drill")
        assert run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "60s").returncode == 0
        out, err = process.communicate(timeout=LONGEST)
        assert set(states(connection).values()) == {"off"}, err
        assert sorted(waiting_guests(tmp_path / "state")) == NAMES
        assert "the host stops meanwhile" in out


BUSY = """\
#!/bin/sh
# lastcall: rehearse
case $LASTCALL_GUEST in
    web-1) echo a backup; echo and an update; exit 1 ;;
    db) echo broken; exit 3 ;;
esac
"""


def test_who_is_busy_is_left_alone_by_a_drill_unless_that_is_wanted_and_told_by_check_and_by_hand(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test)
    folder = tmp_path / "hooks.d" / "guest_busy"
    folder.mkdir(mode=0o755)
    (folder / "10-jobs").write_text(BUSY)
    (folder / "10-jobs").chmod(0o755)
    with driver_guests(lab, NAMES) as connection:
        (found,) = (
            one for one in report_of(run_lastcall(config, "check", "--json"))["problems"] if one["what"] == "busy"
        )
        assert (found["where"], found["message"], found["severity"]) == ("web-1", "a backup; and an update", "warning")

        before = starts_of(connection)
        done = run_lastcall(config, "drill", "*", "--json")
        told = {guest["name"]: guest for guest in hold_against_schema(done.stdout, "drill")["guests"]}
        assert done.returncode == 1
        assert (told["web-1"]["went"], told["web-1"]["why"]) == (None, "busy: a backup; and an update")
        assert {told[name]["came"] for name in ("db", "web-2")} == {"started"}
        assert starts_of(connection)["web-1"] == before["web-1"]
        assert "web-1 is busy (a backup; and an update), and left alone" in done.stderr

        done = run_lastcall(config, "drill", "web-1")
        assert (done.returncode, done.stdout) == (1, "")
        assert "--even-busy" in done.stderr
        assert starts_of(connection)["web-1"] == before["web-1"]

        assert run_lastcall(config, "drill", "web-1", "--even-busy").returncode == 0
        assert starts_of(connection)["web-1"] != before["web-1"]

        report = report_of(run_lastcall(config, "shutdown", "web-1", "--json"))
        assert by_name_in(report, "web-1")["outcome"] == "stopped"
        assert [one["message"] for one in report["problems"] if one["what"] == "busy"] == ["a backup; and an update"]
