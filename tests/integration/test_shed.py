"""Shedding with a real daemon: who goes when, what is said and kept, what cuts it off, and how everybody comes back."""

import json
import time
from pathlib import Path

import pytest

from json_documents import hold_against_schema
from lab.daemon import Daemon
from lab.guests import driver_guests, off, opened
from lab.patience import LONGEST
from lastcall.persistence.boot_stamp import boot_id
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
    waits_for,
    write_config,
)  # fmt: skip

NAMES = ["db", "mail", "web-1", "web-2"]
STAGES = """\
guests:
  - {match: 'web-*', shed: 5min, depends_on: db}
  - {match: db, shed: {after: 20min, below: 60%, runtime_below: 15min}}
"""
UPS = """\
import json
import lastcall

@lastcall.hookimpl
def power_supplies(run):
    return [lastcall.Supply(name="ups", word=lastcall.PowerWord.BATTERY, charge={charge}, runtime={runtime})]
"""


def on_battery(folder: Path, seconds: float, word: str = "battery") -> None:
    """Say that a battery has carried the host for so long."""
    said = {"": {"word": word, "since": time.monotonic() - seconds}}
    (folder / "run" / "power.json").write_text(json.dumps({"boot": boot_id(), "supplies": said}))


@pytest.mark.parametrize(
    ("seconds", "ups", "meant"),
    [
        (200, "", set[str]()),
        (310, "", {"web-1", "web-2"}),
        (1300, "", {"db", "web-1", "web-2"}),
        (310, "charge=59, runtime=None", {"db", "web-1", "web-2"}),
        (310, "charge=61, runtime=None", {"web-1", "web-2"}),
        (310, "charge=None, runtime=600", {"db", "web-1", "web-2"}),
        (200, "charge=59, runtime=None", set[str]()),
    ],
)
def test_those_are_shed_whose_stage_has_come_and_that_of_all_who_need_them_and_they_come_back(
    lab: Daemon, tmp_path: Path, seconds: float, ups: str, meant: set[str]
) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    if ups:
        charge, runtime = (part.partition("=")[2] for part in ups.split(", "))
        (tmp_path / "hooks.d" / "10-ups.py").write_text(UPS.format(charge=charge, runtime=runtime))
    with driver_guests(lab, NAMES) as connection:
        on_battery(tmp_path, seconds)
        dry = hold_against_schema(run_lastcall(config, "shed", "--due", "--dry-run", "--json").stdout, "shed")
        assert {guest["name"] for guest in dry["going"]} == meant
        assert off(connection) == set()
        done = run_lastcall(config, "shed", "--due", "--json")
        assert done.returncode == 0, done.stderr
        told = hold_against_schema(done.stdout, "shed")
        assert off(connection) == meant == {guest["name"] for guest in told["going"]}
        assert (told["stopped"] is None) == (not meant)
        assert {entry.cause for entry in open_state(tmp_path / "state").entries.values()} <= {"shed"}
        on_battery(tmp_path, 0, "line")
        assert run_lastcall(config, "restore", "--cause", "shed").returncode == 0
        assert off(connection) == set()


@pytest.mark.parametrize("words", [("--due",), ("db",)], ids=["by its stage", "by name"])
def test_nobody_is_shed_whom_a_running_guest_of_a_watched_host_needs(
    lab: Daemon, tmp_path: Path, words: tuple[str, ...]
) -> None:
    rules = "guests: [{match: test, depends_on: [db]}, {match: db, shed: 0s}, {match: mail, shed: 0s}]"
    config = write_config(tmp_path, lab.test, "test:///default", more=rules)
    config.write_text(config.read_text().replace('"test:///default"', '{uri: "test:///default", watch: true}'))
    with driver_guests(lab, NAMES) as connection:
        on_battery(tmp_path, 10)
        done = run_lastcall(config, "shed", *words)
        assert "db" in done.stdout + done.stderr
        assert "needed by test" in done.stdout + done.stderr
        assert off(connection) == ({"mail"} if "--due" in words else set[str]())


def test_the_report_and_the_list_of_runs_say_that_guests_were_shed_and_by_which_stage(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    with driver_guests(lab, NAMES):
        on_battery(tmp_path, 310)
        done = run_lastcall(config, "shed", "--due")
        assert "shed after 5min on battery" in done.stdout
        (run,) = report_of(run_lastcall(config, "report", "--json"))["runs"]
        assert by_name_in(run, "web-1")["stage"] == "after 5min on battery"
        assert "shed after 5min on battery" in run_lastcall(config, "report").stdout
        run_lastcall(config, "restore", "--cause", "shed")
        listed = run_lastcall(config, "runs", "--reason", "shed").stdout
        assert "shutdown (shed)" in listed
        assert "restore (shed)" in listed


@pytest.mark.parametrize(
    ("word", "policy", "said"),
    [("line", "shed", "the mains are there"), ("battery", "nothing", "`on_battery` is nothing")],
)
def test_on_the_mains_and_where_it_is_not_wanted_nobody_is_shed_by_itself(
    lab: Daemon, tmp_path: Path, word: str, policy: str, said: str
) -> None:
    config = write_config(tmp_path, lab.test, more="defaults: {shed: 0s}")
    (tmp_path / "hooks.d" / "10-policy.py").write_text(
        "import lastcall\n@lastcall.hookimpl\ndef power_policy(run):\n"
        f"    return lastcall.PowerPolicy(on_battery={policy!r})\n"
    )
    with driver_guests(lab, NAMES) as connection:
        on_battery(tmp_path, 310, word)
        done = run_lastcall(config, "shed", "--due")
        assert (done.returncode, off(connection)) == (0, set())
        assert said in done.stdout
        assert run_lastcall(config, "shed", "web-1").returncode == 0, "by name all the same"
        assert off(connection) == {"web-1"}


def test_a_broken_configuration_sheds_nobody(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="defaults: {shed: 0s}\nshutdwn: {}")
    with driver_guests(lab, NAMES) as connection:
        on_battery(tmp_path, 310)
        for words in (["--due"], ["web-1"]):
            assert run_lastcall(config, "shed", *words).returncode == 6
        assert off(connection) == set()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name the guests to shed, or give --due"),
        (["--dry-run"], "name the guests to shed, or give --due"),
        (["wbe-1"], "did you mean 'web-1'?"),
        (["--due", "nobody-*"], "no active guest matches 'nobody-*'"),
        (["--cancel", "web-1"], "leave all else out"),
        (["--cancel", "--due"], "leave all else out"),
        (["db"], "db is needed by web-1, web-2"),
        (["db", "web-2"], "db is needed by web-1"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake_of_the_call_and_nobody_is_touched(
    lab: Daemon, tmp_path: Path, words: list[str], said: str
) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    with driver_guests(lab, NAMES) as connection:
        on_battery(tmp_path, 310)
        done = run_lastcall(config, "shed", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert off(connection) == set()


def test_those_named_go_in_their_order_with_all_who_need_them(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    with driver_guests(lab, NAMES) as connection:
        told = json.loads(run_lastcall(config, "shed", "db", "web-*", "--json").stdout)
        assert off(connection) == {"db", "web-1", "web-2"}
        assert by_name_in(told["stopped"], "db")["waited_for"] == ["web-1", "web-2"]
        assert {guest["stage"] for guest in told["going"]} == {""}
        assert told["outage"] is None


def test_who_is_paused_or_busy_stays_with_those_it_needs_as_long_as_it_is_so(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=f"defaults: {{shed: 0s}}\n{STAGES.replace('5min', '0s')}")
    folder = tmp_path / "hooks.d" / "guest_busy"
    folder.mkdir(mode=0o755)
    busy = tmp_path / "busy"
    (folder / "10-jobs").write_text(
        "#!/bin/sh\n# lastcall: rehearse\n"
        f"[ $LASTCALL_GUEST = web-1 ] && [ -e {busy} ] || exit 0\necho an update\nexit 1\n"
    )
    (folder / "10-jobs").chmod(0o755)
    busy.touch()
    with driver_guests(lab, NAMES) as connection:
        connection.lookupByName("mail").suspend()
        on_battery(tmp_path, 1300)
        told = json.loads(run_lastcall(config, "shed", "--due", "--json").stdout)
        assert off(connection) == {"web-2"}
        why = {guest["name"]: guest["why"] for guest in told["staying"]}
        assert why["web-1"] == "busy: an update"
        assert why["mail"].startswith("paused: ")
        assert why["db"] == "needed by web-1"
        busy.unlink()
        assert run_lastcall(config, "shed", "--due").returncode == 0
        assert off(connection) == {"db", "web-1", "web-2"}


def test_nobody_is_shed_twice_in_one_outage_and_everybody_again_in_the_next(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES.replace("5min", "0s"))
    with driver_guests(lab, NAMES) as connection:
        on_battery(tmp_path, 310)
        assert run_lastcall(config, "shed", "--due").returncode == 0
        connection.lookupByName("web-1").create()  # by somebody else
        assert run_lastcall(config, "restore", "web-2").returncode == 0
        told = json.loads(run_lastcall(config, "shed", "--due", "--json").stdout)
        assert {guest["name"] for guest in told["staying"]} == {"web-1", "web-2"}
        assert all("started it again" in guest["why"] for guest in told["staying"])
        assert off(connection) == set()
        time.sleep(2)  # a run that began a second before an outage counts for it, as logs know the time of day only
        on_battery(tmp_path, 0)
        told = json.loads(run_lastcall(config, "shed", "--due", "--dry-run", "--json").stdout)
        assert {guest["name"] for guest in told["going"]} == {"web-1", "web-2"}


def test_who_did_not_go_is_not_asked_again_and_again_in_one_outage(lab: Daemon, tmp_path: Path) -> None:
    never = "class Never(lastcall.StopMethod):\n    name = 'never'\n    def request(self, *_):\n        pass\n"
    config = write_config(tmp_path, lab.test, more="guests: [{match: mail, shed: 0s, stop: [{never: {timeout: 1s}}]}]")
    (tmp_path / "hooks.d" / "10-never.py").write_text(
        f"import lastcall\n{never}@lastcall.hookimpl\ndef stop_methods():\n    return [Never()]\n"
    )
    with driver_guests(lab, NAMES) as connection:
        on_battery(tmp_path, 10)
        first = run_lastcall(config, "shed", "--due")
        assert (first.returncode, off(connection)) == (1, set()), first.stderr
        again = run_lastcall(config, "shed", "--due")
        assert again.returncode == 0
        assert "did not go off" in again.stdout


def test_a_second_one_says_that_one_is_under_way(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, NAMES) as connection:
        lock = RunLock(tmp_path / "run")
        lock.take(Holder("shutdown", "shed", 1))
        done = run_lastcall(config, "shed", "web-1")
        assert (done.returncode, off(connection)) == (5, set())
        assert "another run is under way: shutdown (shed)" in done.stderr
        lock.release()


@pytest.mark.parametrize("record", [4, 7, 10, 13])
def test_wherever_it_is_killed_the_next_one_goes_on_and_an_ordinary_restore_brings_everybody_back(
    lab: Daemon, tmp_path: Path, record: int
) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    with driver_guests(lab, NAMES) as connection:
        on_battery(tmp_path, 1300)
        kill_at(config, record, reason="shed", names=["db", "web-*"])
        entries = open_state(tmp_path / "state").entries.values()
        assert off(connection) <= {entry.name for entry in entries if entry.due and entry.cause == "shed"}
        done = run_lastcall(config, "shed", "--due")
        assert done.returncode == 0, done.stderr
        assert off(connection) == {"db", "web-1", "web-2"}
        assert run_lastcall(config, "restore").returncode == 0
        with opened(lab.test) as again:
            assert off(again) == set()


def test_a_host_stop_widens_it_to_everybody(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    (tmp_path / "hooks.d" / "10-slow.py").write_text(takes_its_time("on_guest_stop"))
    with driver_guests(lab, NAMES) as connection:
        process = start_and_wait_for(config, "on_guest_stop", "-v", "shed", "web-1")
        (tmp_path / "hooks.d" / "10-slow.py").unlink()
        assert run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "60s").returncode == 0
        _, err = process.communicate(timeout=LONGEST)
        assert off(connection) == set(NAMES), err
        assert sorted(waiting_guests(tmp_path / "state")) == NAMES
        assert all(entry.due for entry in open_state(tmp_path / "state").entries.values())


def test_called_off_nobody_else_is_asked_and_those_are_brought_back_that_were_shed(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    (tmp_path / "hooks.d" / "10-slow.py").write_text(takes_its_time("on_guest_stop", "15 if guest.name == 'db' else 3"))
    with driver_guests(lab, NAMES) as connection:
        on_battery(tmp_path, 1300)
        before = {domain.name(): domain.ID() for domain in connection.listAllDomains()}
        process = start_and_wait_for(config, "web-1: acpi", "-v", "shed", "--due")
        done = run_lastcall(config, "shed", "--cancel", "--json")
        assert done.returncode == 0, done.stderr
        process.communicate(timeout=LONGEST)
        told = hold_against_schema(done.stdout, "shed")
        assert "web-1" in {guest["name"] for guest in told["restored"]["guests"]}
        assert "the run that is under way answers" in done.stderr
        assert off(connection) == set()
        after = {domain.name(): domain.ID() for domain in connection.listAllDomains()}
        assert after["db"] == before["db"], "its turn had not come"
        assert after["web-1"] != before["web-1"]
        again = run_lastcall(config, "shed", "--due")
        assert "called off" in again.stdout
        assert off(connection) == set()


def test_called_off_between_two_runs_those_are_brought_back_that_were_shed_and_nobody_else(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    with driver_guests(lab, NAMES) as connection:
        run_lastcall(config, "shutdown", "mail")
        on_battery(tmp_path, 310)
        assert run_lastcall(config, "shed", "--due").returncode == 0
        assert off(connection) == {"mail", "web-1", "web-2"}
        done = run_lastcall(config, "shed", "--cancel")
        assert done.returncode == 0, done.stderr
        assert off(connection) == {"mail"}
        # In the next outage it holds no more.
        on_battery(tmp_path, -1)
        assert "called off" not in run_lastcall(config, "shed", "--due").stdout


def test_once_the_battery_runs_low_nobody_is_brought_back_who_was_shed_and_a_host_stop_asks_everybody_at_once(
    lab: Daemon, tmp_path: Path
) -> None:
    """While the cancelled run still waits for who was asked, and while those are started again."""
    config = write_config(tmp_path, lab.test, more=STAGES + "restore: {parallel: 1, delay: 5min}\n")
    slow, go = tmp_path / "hooks.d" / "10-slow.py", tmp_path / "go"
    slow.write_text(waits_for(go))
    with driver_guests(lab, NAMES) as connection:
        on_battery(tmp_path, 310)
        shedding = start_and_wait_for(config, "on_guest_stop", "-v", "shed", "--due")
        cancelling = start_and_wait_for(config, "the run that is under way answers", "shed", "--cancel")
        low = run_lastcall(config, "power", "low")
        assert "the run that is under way answers: for shed" in low.stdout
        go.touch()
        _, said = cancelling.communicate(timeout=LONGEST)
        shedding.communicate(timeout=LONGEST)
        assert (cancelling.returncode, off(connection)) == (1, {"web-1", "web-2"})
        assert "nobody is brought back: the battery is low by now" in said
        # Who calls it off all the same means it, until the next word.
        back = start_and_wait_for(config, "web-1: started", "-v", "shed", "--cancel")
        assert "it starts nobody else, and ends" in run_lastcall(config, "power", "low").stdout
        back.communicate(timeout=LONGEST)
        assert off(connection) == {"web-2"}
        assert waiting_guests(tmp_path / "state") == ["web-2"]
        slow.write_text(takes_its_time("on_guest_start", 60))
        back = start_and_wait_for(config, "on_guest_start", "-v", "restore")
        done = report_of(run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "60s", "--json"))
        back.communicate(timeout=LONGEST)
        assert off(connection) == set(NAMES)
        told = [problem["message"] for problem in done["problems"] if problem["what"] == "lock"]
        assert "ends the run that is under way" in told[0]
        assert told[1:] == ["the run that is under way answers: it starts nobody else, and ends"], "at once"


def test_restore_and_forget_take_those_of_a_cause_and_with_names_those_that_meet_both(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    with driver_guests(lab, NAMES) as connection:
        assert run_lastcall(config, "restore", "--cause", "shed").returncode == 0, "nobody, which is no mistake"
        run_lastcall(config, "shutdown", "mail")
        run_lastcall(config, "shed", "web-*")
        run_lastcall(config, "shutdown", "--yes", "db")
        missing = run_lastcall(config, "restore", "--cause", "shed", "mail")
        assert missing.returncode == 2
        assert "'mail' is not on the list of guests to restore with cause shed" in missing.stderr
        assert run_lastcall(config, "restore", "--cause", "shed", "web-1").returncode == 0
        assert off(connection) == {"db", "mail", "web-2"}
        told = json.loads(run_lastcall(config, "forget", "--cause", "shed", "--json").stdout)
        assert [entry["name"] for entry in told["forgotten"]] == ["web-2"]
        assert run_lastcall(config, "restore", "--cause", "hand", "--cause", "host").returncode == 0
        assert off(connection) == {"web-2"}
        assert run_lastcall(config, "forget").returncode == 2


def test_the_plan_shows_the_stages_in_their_order_and_of_whom_they_are(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    with driver_guests(lab, NAMES) as connection:
        text = run_lastcall(config, "plan", "--reason", "shed").stdout.splitlines()
        assert text[:5] == [
            "on battery, these are shed:",
            "  after 5min on battery: web-1, web-2",
            "  after 20min on battery: db",
            "  below 60% of charge: db (not before web-1, web-2)",
            "  below 15min of runtime: db (not before web-1, web-2)",
        ]
        told = hold_against_schema(run_lastcall(config, "plan", "--reason", "shed", "--json").stdout, "plan")
        assert [guest["name"] for guest in told["guests"]] == ["db", "web-1", "web-2"]
        assert told["stages"][2]["guests"][0]["not_before"] == ["web-1", "web-2"]
        assert json.loads(run_lastcall(config, "plan", "--json").stdout)["stages"] is None
        (tmp_path / "config.yaml").write_text(config.read_text().replace(STAGES, ""))
        told = run_lastcall(config, "plan", "--reason", "shed").stdout
        assert "nobody that runs is ever shed" in told
        assert "no active guests" not in told
        assert off(connection) == set()


@pytest.mark.parametrize("words", [["shutdown", "--reason", "shed"], ["plan", "--reason", "drill"]])
def test_no_other_command_sheds_guests(lab: Daemon, tmp_path: Path, words: list[str]) -> None:
    config = write_config(tmp_path, lab.test, more=STAGES)
    assert run_lastcall(config, *words).returncode == 2
