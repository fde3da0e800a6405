"""When a drop-in is meant to run: its header, the configuration, rehearsals, and what commands say of it."""

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import PROGRAM, report_of, run_lastcall, write_config

WORLD = "test:///default"
HOST = "# lastcall: reasons=host"
BY_HAND, HOST_STOP = ("test",), ("--reason", "poweroff")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What the drop-in makes."""
    return tmp_path / "was-run"


def drop_in(folder: Path, mark: Path, header: str, name: str = "pre_shutdown/50-stopvm.sh") -> Path:
    path = folder / "hooks.d" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\n{header}\necho "rehearsal=$LASTCALL_REHEARSAL" >> {mark}\n')
    path.chmod(0o755)
    return path


def call_of(report: Any, plugin: str = "pre_shutdown/50-stopvm.sh") -> tuple[str, str]:
    """How the call of a plugin ended, and what is said of it."""
    calls = [*report["hooks"], *(call for guest in report["guests"] for call in guest["hooks"])]
    (found,) = [call for call in calls if call["plugin"] == plugin]
    return found["result"], found["message"]


def test_what_is_meant_for_host_stops_fires_there_and_not_by_hand_and_that_is_planned_and_reported(
    tmp_path: Path, mark: Path
) -> None:
    config = write_config(tmp_path, WORLD)
    drop_in(tmp_path, mark, HOST)
    assert "pre_shutdown/50-stopvm.sh (not run: meant for host stops)" in run_lastcall(config, "plan", "test").stdout
    (planned,) = json.loads(run_lastcall(config, "plan", "test", "--json").stdout)["hooks"]["pre_shutdown"]
    assert planned == {"plugin": "pre_shutdown/50-stopvm.sh", "not_run": "not run: meant for host stops"}
    done = run_lastcall(config, "shutdown", *BY_HAND, "--json")
    assert call_of(report_of(done)) == ("skipped", "not run: meant for host stops")
    assert done.returncode == 0
    told = run_lastcall(config, "shutdown", *BY_HAND).stdout
    assert "- pre_shutdown of pre_shutdown/50-stopvm.sh: skipped: not run: meant for host stops" in told
    assert not mark.exists()
    assert "hook pre_shutdown: pre_shutdown/50-stopvm.sh\n" in f"{run_lastcall(config, 'plan', *HOST_STOP).stdout}\n"
    assert call_of(report_of(run_lastcall(config, "shutdown", *HOST_STOP, "--json"))) == ("ok", "")
    assert mark.read_text() == "rehearsal=\n"


def test_the_reasons_of_a_hook_for_guests_hold_for_each_of_them(tmp_path: Path, mark: Path) -> None:
    config = write_config(tmp_path, WORLD)
    drop_in(tmp_path, mark, HOST, "on_guest_stop/10-x")
    report = report_of(run_lastcall(config, "shutdown", *BY_HAND, "--json"))
    assert call_of(report, "on_guest_stop/10-x") == ("skipped", "not run: meant for host stops")
    report = report_of(run_lastcall(config, "shutdown", "--json", *HOST_STOP))
    assert call_of(report, "on_guest_stop/10-x") == ("ok", "")


def test_what_is_meant_for_the_host_is_not_called_by_a_restore_by_hand(tmp_path: Path, mark: Path) -> None:
    config = write_config(tmp_path, WORLD)
    drop_in(tmp_path, mark, HOST, "pre_restore/10-x")
    report = report_of(run_lastcall(config, "restore", "--json"))
    assert call_of(report, "pre_restore/10-x") == ("skipped", "not run: meant for the boot of the host")
    rehearsed = run_lastcall(config, "hook", "pre_restore", "--reason", "boot", "--for-real", "--yes")
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert mark.exists()


@pytest.mark.parametrize("header", ["# lastcall: reasons=hots", "# lastcall: reason=host", "# lastcall reasons=host"])
def test_a_header_with_a_typo_is_told_by_every_command_and_means_host_stops(
    tmp_path: Path, mark: Path, header: str
) -> None:
    config = write_config(tmp_path, WORLD)
    path = drop_in(tmp_path, mark, header)
    for words in (["check"], ["plugins"]):
        told = run_lastcall(config, *words)
        assert f"{path}:2" in told.stdout, words
        assert "counts as meant for host stops" in told.stdout, words
        assert "write `# lastcall: reasons=WORD" in told.stdout, words
        assert told.returncode == 1, words
    by_hand = run_lastcall(config, "shutdown", *BY_HAND, "--json")
    assert not mark.exists()
    assert [problem["where"] for problem in report_of(by_hand)["problems"]] == [f"{path}:2"]
    assert by_hand.returncode == 1
    host_stop = run_lastcall(config, "shutdown", *HOST_STOP, "--json")
    assert mark.exists(), "a dump that was lost in a host stop for a typo would be lost"
    assert [problem["where"] for problem in report_of(host_stop)["problems"]] == [f"{path}:2"]


def test_the_header_of_a_module_holds_for_its_functions_that_a_run_calls(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    text = f'''{HOST}
"""Says when it is called."""
import lastcall
@lastcall.hookimpl
def pre_shutdown(run):
    run.log("called")
@lastcall.hookimpl
def check(run):
    return [lastcall.Problem(what="x", where="y", message="looked all the same")]
'''
    (tmp_path / "hooks.d" / "10-mine.py").write_text(text)
    assert call_of(report_of(run_lastcall(config, "shutdown", *BY_HAND, "--json")), "mine")[0] == "skipped"
    assert call_of(report_of(run_lastcall(config, "shutdown", *HOST_STOP, "--json")), "mine")[0] == "ok"
    assert "looked all the same" in run_lastcall(config, "check").stdout
    (tmp_path / "hooks.d" / "10-mine.py").write_text(text.replace("host", "hosts"))
    told = run_lastcall(config, "check").stdout
    assert f"{tmp_path}/hooks.d/10-mine.py:1" in told
    assert "'hosts'; did you mean 'host'?" in told


@pytest.mark.parametrize("pattern", ["pre_shutdown/50-stopvm.sh", "pre_shutdown/*", "*stopvm*"])
def test_the_configuration_says_it_for_a_script_without_a_header(tmp_path: Path, mark: Path, pattern: str) -> None:
    config = write_config(tmp_path, WORLD, more=f"hooks: {{reasons: {{'{pattern}': host}}}}\n")
    drop_in(tmp_path, mark, "")
    assert call_of(report_of(run_lastcall(config, "shutdown", *BY_HAND, "--json")))[0] == "skipped"
    assert call_of(report_of(run_lastcall(config, "shutdown", *HOST_STOP, "--json")))[0] == "ok"
    assert run_lastcall(config, "check").returncode == 0


def test_the_configuration_wins_over_a_header_and_its_last_pattern_over_the_others(tmp_path: Path, mark: Path) -> None:
    more = "hooks: {reasons: {'*': [power], pre_shutdown/50-stopvm.sh: [manual, reboot]}}\n"
    config = write_config(tmp_path, WORLD, more=more)
    drop_in(tmp_path, mark, HOST)
    by_hand = report_of(run_lastcall(config, "shutdown", *BY_HAND, "--json"))
    assert call_of(by_hand)[0] == "ok"
    host_stop = report_of(run_lastcall(config, "shutdown", *HOST_STOP, "--json"))
    assert call_of(host_stop) == ("skipped", "not run: meant for reason manual, reason reboot")


def test_reasons_that_fit_nothing_are_told_by_a_check(tmp_path: Path, mark: Path) -> None:
    config = write_config(tmp_path, WORLD, more="hooks: {reasons: {pre_shutdown/50-stopv.sh: [host]}}\n")
    drop_in(tmp_path, mark, "")
    for words in (["check"], ["config", "check"]):
        told = run_lastcall(config, *words)
        assert "hooks.reasons" in told.stdout + told.stderr
        assert "did you mean 'pre_shutdown/50-stopvm.sh'?" in told.stdout + told.stderr
        assert told.returncode == 0, "a warning"
    config = write_config(tmp_path, WORLD, more="hooks: {reasons: {'*': [hots], acpi: []}}\n")
    told = run_lastcall(config, "config", "check")
    assert "no reason is called 'hots'; did you mean 'host'?" in told.stderr
    assert "should be at least one reason" in told.stderr
    assert told.returncode == 6


def test_plugins_says_what_each_is_meant_for(tmp_path: Path, mark: Path) -> None:
    config = write_config(tmp_path, WORLD)
    path = drop_in(tmp_path, mark, "# lastcall: reasons=host,manual rehearse")
    other = drop_in(tmp_path, mark, "", "pre_shutdown/60-plain")
    told = [line.split() for line in run_lastcall(config, "plugins").stdout.splitlines()]
    assert f"pre_shutdown/50-stopvm.sh dropin {path} meant for host stops, reason manual".split() in told
    assert f"pre_shutdown/60-plain dropin {other} not in rehearsals".split() in told
    shown = json.loads(run_lastcall(config, "plugins", "--json").stdout)
    facts = {one["name"]: (one["reasons"], one["rehearses"]) for one in shown["plugins"]}
    assert facts["pre_shutdown/50-stopvm.sh"] == (["host", "manual"], True)
    assert facts["pre_shutdown/60-plain"] == (None, False)
    assert facts["acpi"] == (None, True)


REHEARSED = [("pre_shutdown", ()), ("post_shutdown", ()), ("pre_restore", ()), ("on_guest_stop", ("--guest", "test"))]


@pytest.mark.parametrize(("hook", "words"), REHEARSED)
def test_a_rehearsal_runs_only_what_says_that_it_knows_it(
    tmp_path: Path, mark: Path, hook: str, words: tuple[str, ...]
) -> None:
    config = write_config(tmp_path, WORLD)
    path = drop_in(tmp_path, mark, "", f"{hook}/10-x")
    done = run_lastcall(config, "hook", hook, *words)
    assert "skipped: not run in a rehearsal: it has no line `# lastcall: rehearse`" in done.stdout
    assert done.returncode == 0
    assert not mark.exists()
    path.write_text(path.read_text().replace("\n", "\n# lastcall: rehearse\n", 1))
    assert run_lastcall(config, "hook", hook, *words).returncode == 0
    assert mark.read_text() == "rehearsal=1\n"


def test_for_real_is_done_only_when_somebody_says_yes_and_is_no_run_of_the_history(tmp_path: Path, mark: Path) -> None:
    config = write_config(tmp_path, WORLD)
    drop_in(tmp_path, mark, "")
    drop_in(tmp_path, mark, HOST, "pre_shutdown/60-host")
    refused = run_lastcall(config, "hook", "pre_shutdown", "--for-real")
    assert refused.returncode == 2
    assert "say --yes" in refused.stderr
    assert not mark.exists()
    done = run_lastcall(config, "hook", "pre_shutdown", "--for-real", "--yes", "--json")
    assert "pre_shutdown (manual) for real: pre_shutdown/50-stopvm.sh\n" in done.stderr
    results = {call["plugin"]: call["result"] for call in json.loads(done.stdout)["fired"][0]["calls"]}
    assert results == {"pre_shutdown/50-stopvm.sh": "ok", "pre_shutdown/60-host": "skipped"}
    assert mark.read_text() == "rehearsal=\n"
    assert not list((tmp_path / "state").glob("runs/*")), "`report` tells of runs"
    run_lastcall(config, "hook", "pre_shutdown", "--for-real", "--yes", "--reason", "reboot")
    assert mark.read_text() == "rehearsal=\n" * 3


@pytest.mark.parametrize(("answer", "ran"), [("y\n", True), ("n\n", False)])
def test_on_a_terminal_for_real_says_what_will_run_and_asks(tmp_path: Path, mark: Path, answer: str, ran: bool) -> None:
    config = write_config(tmp_path, WORLD)
    drop_in(tmp_path, mark, "")
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    command = [str(PROGRAM), "--config", str(config), "hook", "pre_shutdown", "--for-real"]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "Run pre_shutdown (manual) for real: pre_shutdown/50-stopvm.sh?" in done.stderr
    assert mark.exists() == ran
    assert (done.returncode == 0) == ran


def test_a_hook_is_not_rehearsed_for_reasons_that_it_is_never_fired_for(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    for hook, reason in (("pre_restore", "poweroff"), ("pre_shutdown", "boot")):
        refused = run_lastcall(config, "hook", hook, "--reason", reason)
        assert refused.returncode == 2
        assert f"{hook} is never fired for {reason}" in refused.stderr


def test_a_program_that_is_no_script_is_run_and_kept_from_runs_by_the_configuration(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD, more="hooks: {reasons: {'pre_shutdown/*': [host]}}\n")
    path = tmp_path / "hooks.d" / "pre_shutdown" / "10-true"
    path.parent.mkdir()
    path.write_bytes(Path("/bin/true").read_bytes())
    path.chmod(0o755)
    assert json.loads(run_lastcall(config, "plugins", "--json").stdout)["problems"] == []
    host_stop = report_of(run_lastcall(config, "shutdown", *HOST_STOP, "--json"))
    assert call_of(host_stop, "pre_shutdown/10-true") == ("ok", "")
    by_hand = report_of(run_lastcall(config, "shutdown", *BY_HAND, "--json"))
    assert call_of(by_hand, "pre_shutdown/10-true")[0] == "skipped"
