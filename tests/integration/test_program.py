"""The program as a whole: start-up, exit codes, errors in one line. Runs use the in-process test driver."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.libvirt_guests import measure
from lab.patience import LONGEST, wait_until
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
from support import AWAKE, PROGRAM, report_of, run_lastcall, waiting_guests, write_config

WORLD = "test:///default"


def imported(*words: str) -> set[str]:
    command = [sys.executable, "-X", "importtime", "-c", "from lastcall.cli.main import main; main()", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST)
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in result.stderr.splitlines() if "|" in line}


def test_the_version_is_told_without_loading_anything_heavy() -> None:
    modules = imported("--version")
    assert not modules & {"paramiko", "rich", "jinja2", "pydantic", "yaml", "libvirt", "asyncio"}
    assert "click" in modules


def test_a_shutdown_does_not_load_paramiko_rich_or_jinja2(tmp_path: Path) -> None:
    modules = imported("--config", str(write_config(tmp_path, WORLD)), "shutdown")
    assert "libvirt" in modules
    assert not modules & {"paramiko", "rich", "jinja2"}


def test_the_api_loads_neither_pydantic_nor_libvirt() -> None:
    command = [sys.executable, "-c", "import lastcall, sys; print(*{name.split('.')[0] for name in sys.modules})"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONGEST).stdout.split()
    assert not {"pydantic", "libvirt", "yaml", "click"} & set(loaded)


def test_the_version_takes_a_fraction_of_a_second() -> None:
    """As much work as a few times that of the interpreter itself; `make bench` has the figure."""
    bare = min(measure([sys.executable, "-c", "import click, importlib.metadata"]).cpu for _ in range(5))
    ours = min(measure([str(PROGRAM), "--version"]).cpu for _ in range(5))
    assert ours <= 3 * bare + 0.05


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nosuch"], 2, "no command is called 'nosuch'"),
        (["shutdown", "--reason", "boredom"], 2, "boredom"),
        (["shutdown", "--deadline", "soon"], 2, "'soon' is not a duration"),
        (["shutdown", "nobody"], 2, "no active guest is called 'nobody'"),
        (["restore", "nobody"], 2, "is not on the list"),
        (["forget"], 2, "name the guests to forget"),
        (["forget", "nobody"], 2, "is not on the list"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_one_line(tmp_path: Path, words: list[str], code: int, message: str) -> None:
    done = run_lastcall(write_config(tmp_path, WORLD), *words)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_host_stop_without_a_deadline_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD, more="shutdown: {deadline: none}")
    assert run_lastcall(config, "shutdown").returncode == 0
    done = run_lastcall(config, "shutdown", "--reason", "power")
    assert (done.returncode, "needs a deadline" in done.stderr) == (2, True)


def test_a_second_run_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    lock = RunLock(tmp_path / "run")
    lock.take(Holder("shutdown", "manual", os.getpid()))
    try:
        done = run_lastcall(config, "shutdown")
        assert done.returncode == 5
        assert f"shutdown (manual), process {os.getpid()}" in done.stderr
        assert run_lastcall(config, "forget", "--all").returncode == 5
    finally:
        lock.release()
    assert run_lastcall(config, "shutdown").returncode == 0


def run_without_privileges(config: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the program as a root that may not override the permissions of others' files."""
    caps = "--bounding-set=-dac_override,-dac_read_search,-fowner"
    command = ["setpriv", caps, "--inh-caps=-all", str(PROGRAM), "--config", str(config), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST)


@pytest.mark.parametrize("folder", ["run", "state"])
def test_without_permission_it_says_so_in_one_line_and_touches_nothing(tmp_path: Path, folder: str) -> None:
    config = write_config(tmp_path, WORLD)
    os.chown(tmp_path / folder, 65534, 65534)
    (tmp_path / folder).chmod(0o500)
    done = run_without_privileges(config, "shutdown")
    assert done.returncode == 4, done.stderr
    assert "no permission to" in done.stderr
    assert "run as root" in done.stderr
    assert "stopped" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("qemu+unix:///system?socket=/nowhere/sock", "is the libvirt daemon running?"),
        ("nonsense:///x", "check the URI"),
        ("test:///no/such/file.xml", ""),
    ],
)
def test_a_connection_that_cannot_be_made_is_a_clear_message_and_exit_1(tmp_path: Path, uri: str, message: str) -> None:
    config = write_config(tmp_path, uri)
    done = run_lastcall(config, "shutdown", "--json")
    (problem,) = report_of(done)["problems"]
    assert (problem["what"], problem["where"]) == ("connection", uri)
    assert message in problem["remedy"]
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert waiting_guests(tmp_path / "state") == []


def test_an_optional_connection_may_be_missing(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    text = config.read_text().replace("connections: [", 'connections: [{uri: "nonsense:///x", optional: true}, ')
    config.write_text(text)
    done = run_lastcall(config, "shutdown", "--json")
    assert (report_of(done)["problems"], done.returncode) == ([], 0)


def test_a_uri_given_twice_asks_every_guest_once(tmp_path: Path) -> None:
    done = run_lastcall(write_config(tmp_path, WORLD, WORLD), "shutdown", "--json")
    assert [guest["name"] for guest in report_of(done)["guests"]] == ["test"]


def test_no_guests_at_all_is_fine(tmp_path: Path) -> None:
    empty = tmp_path / "empty.xml"
    cpu = {"mhz": "1", "model": "x", "active": "1", "nodes": "1", "sockets": "1", "cores": "1", "threads": "1"}
    facts = "".join(f"<{name}>{value}</{name}>" for name, value in cpu.items())
    empty.write_text(f"<node><cpu>{facts}</cpu><memory>100000</memory></node>")
    done = run_lastcall(write_config(tmp_path, f"test://{empty}"), "shutdown")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no running guests were found" in done.stdout


def test_json_is_all_there_is_on_standard_output(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    for words in (["shutdown"], ["restore"], ["plan"], ["status"], ["plugins"], ["check"], ["config", "show"]):
        done = run_lastcall(config, "-v", *words, "--json")
        assert isinstance(json.loads(done.stdout), dict), words


def test_status_tells_who_waits_and_forget_drops_them(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    assert "no guest waits" in run_lastcall(config, "status").stdout
    run_lastcall(config, "shutdown")
    assert run_lastcall(config, "status").stdout.splitlines()[1].startswith("test  was running on test:///default")
    assert run_lastcall(config, "forget", "test").returncode == 0
    assert "no guest waits" in run_lastcall(config, "status").stdout


def test_status_has_the_exit_codes_of_libvirt_guests(tmp_path: Path) -> None:
    """0: started. 3: stopped, with or without saved guests."""
    config = write_config(tmp_path, WORLD)
    assert run_lastcall(config, "status").returncode == 3
    assert run_lastcall(config, "stamp").returncode == 0
    shown = run_lastcall(config, "status")
    assert (shown.returncode, shown.stdout.splitlines()[0]) == (0, "on duty")
    run_lastcall(config, "shutdown")
    assert run_lastcall(config, "status").returncode == 0, "a run by hand leaves it on duty"
    facts = json.loads(run_lastcall(config, "status", "--json").stdout)
    assert (facts["on_duty"], [guest["name"] for guest in facts["guests"]]) == (True, ["test"])


def test_an_announcement_is_shown_and_taken_back(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    told = run_lastcall(config, "announce", "--reason", "power", "--deadline", "90s")
    assert told.stdout == "the next host stop is for power, over within 90s from now\n"
    assert "announced: the next host stop is for power, over within" in run_lastcall(config, "status").stdout
    assert run_lastcall(config, "announce", "--cancel").stdout == "taken back\n"
    assert "announced" not in run_lastcall(config, "status").stdout
    for wrong in ([], ["--reason", "manual"], ["--reason", "power", "--cancel"]):
        assert run_lastcall(config, "announce", *wrong).returncode == 2


def test_report_tells_what_the_last_shutdown_and_the_restore_after_it_did(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    assert "no run has been logged" in run_lastcall(config, "report").stdout
    run_lastcall(config, "shutdown", "--reason", "reboot")
    run_lastcall(config, "restore")
    told = run_lastcall(config, "report")
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0].startswith("shutdown (reboot) of ")
    assert lines[1].startswith("✓ test  stopped by acpi in ")
    assert any(line.startswith("restore (manual) of ") for line in lines)
    listed = run_lastcall(config, "report", "--list").stdout.splitlines()
    assert len(listed) == 2
    identity = listed[1].split()[0]
    (run,) = json.loads(run_lastcall(config, "report", identity, "--json").stdout)["runs"]
    assert (run["run"]["id"], run["run"]["reason"], run["complete"]) == (identity, "reboot", True)
    assert run_lastcall(config, "report", "never").returncode == 2


@pytest.mark.parametrize(
    "words", [["status"], ["report"], ["announce", "--reason", "power"], ["stamp"], ["restore", "--from-unit"]]
)
def test_what_is_kept_elsewhere_is_not_told_for_a_file_that_was_named_and_is_broken(
    tmp_path: Path, words: list[str]
) -> None:
    config = write_config(tmp_path, WORLD, more="nonsense: true\n")
    done = run_lastcall(config, *words)
    assert (done.returncode, done.stdout) == (6, "")
    assert "config.yaml:3:1: nonsense: unknown key" in done.stderr


def test_a_run_that_was_killed_is_told_as_far_as_it_came(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    run_lastcall(config, "shutdown")
    (log,) = (tmp_path / "state" / "runs").glob("*.jsonl")
    log.write_text(log.read_text()[:-30])
    told = run_lastcall(config, "report")
    assert (told.returncode, told.stdout.splitlines()[-1]) == (
        1, "! it did not come to its end: it was killed",
    )  # fmt: skip


def test_check_names_what_a_run_would_stumble_over(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD, "nonsense:///x", more="defaults: {stop: [acpii]}")
    (tmp_path / "state").rmdir()
    (tmp_path / "state").write_text("a file, not a folder")
    done = run_lastcall(config, "check", "--json")
    found = {problem["what"]: problem for problem in json.loads(done.stdout)["problems"]}
    assert done.returncode == 1
    assert found["ladder"]["where"] == f"{config}:3:19"
    assert found["connection"]["where"] == "nonsense:///x"
    assert {"state", "permission"} & set(found)
    (tmp_path / "state").unlink()
    assert run_lastcall(write_config(tmp_path, WORLD), "check").returncode == 0


def test_plan_shows_each_guest_and_touches_none(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD, more="guests: [{match: test, stop: [{acpi: {timeout: 5min}}, save]}]")
    done = run_lastcall(config, "plan", "--reason", "power")
    assert done.returncode == 0
    assert re.search(r"test +running +acpi \(≤ 5min\) → save \(to the end\); else destroy; restored", done.stdout)
    assert not (tmp_path / "state" / "state.json").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "poweroff"),
        (["--reason", "reboot"], "reboot"),
        (["--deadline", "1min"], "poweroff"),
        (["--manual"], "manual"),
        (["--manual", "--reason", "manual"], "manual"),
        (["--force"], "manual"),
        (["test"], "manual"),
        (["--match", "name=test"], "manual"),
        (["test", "--reason", "power"], "power"),
    ],
)
def test_plan_shows_what_happens_as_the_host_stops_unless_somebody_asks_for_a_run_by_hand(
    words: list[str], reason: str, tmp_path: Path
) -> None:
    planned = json.loads(run_lastcall(write_config(tmp_path, WORLD), "plan", *words, "--json").stdout)
    assert planned["run"]["reason"] == reason


def test_plan_within_a_time_is_that_of_a_host_whose_power_goes_then_and_changes_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    written = config.read_text()
    done = run_lastcall(config, "plan", "--within", "4min")
    assert done.returncode == 0
    assert done.stdout.startswith("shutdown (power)")
    assert "within 4min:\n" in done.stdout
    assert (config.read_text(), (tmp_path / "state" / "state.json").exists()) == (written, False)
    told = json.loads(run_lastcall(config, "plan", "--within", "4min", "--reason", "reboot", "--json").stdout)
    assert (told["run"]["reason"], told["run"]["deadline"], told["within"]["seconds"]) == ("reboot", 240, 240)
    assert json.loads(run_lastcall(config, "plan", "--json").stdout)["within"] is None


@pytest.mark.parametrize(
    "words", [["--deadline", "1min"], ["--manual"], ["--reason", "manual"], ["--within", "-1"], ["--within", "0"]]
)
def test_plan_within_a_time_is_for_a_host_that_stops_then_and_for_no_other_run(
    words: list[str], tmp_path: Path
) -> None:
    done = run_lastcall(write_config(tmp_path, WORLD), "plan", "--within", "4min", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--within" in done.stderr


def test_plan_is_not_for_two_runs_at_once(tmp_path: Path) -> None:
    done = run_lastcall(write_config(tmp_path, WORLD), "plan", "--manual", "--reason", "power")
    assert done.returncode == 2
    assert "--manual and --reason power are two different runs" in done.stderr


def test_the_demo_runs_by_itself_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [str(PROGRAM), "demo"], capture_output=True, text=True, timeout=LONGEST, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "restore: 4 started; as planned" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    done = subprocess.run(
        ["bash", "-c", f"{PROGRAM} --config {config} config sample | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_nothing_runs_yet_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "hooks.d").mkdir()
    marker = tmp_path / "importing"
    (tmp_path / "hooks.d" / "10-slow.py").write_text(f"import time; open({str(marker)!r}, 'w'); time.sleep(3000)\n")
    config = write_config(tmp_path, WORLD)
    process = subprocess.Popen([*AWAKE, PROGRAM, "--config", config, "plugins"], stderr=subprocess.PIPE, text=True)
    wait_until(marker.exists, "the import has begun", process=process.pid, pause=0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=LONGEST)
    assert process.returncode == 130
    assert "Traceback" not in said


def test_the_installed_program_is_on_the_path_of_its_environment() -> None:
    assert shutil.which("lastcall", path=str(PROGRAM.parent))


def test_the_engine_and_its_tests_need_no_libvirt() -> None:
    modules = "lastcall.testing, lastcall.cli.commands.config, lastcall.cli.commands.status"
    text = f"import sys, {modules}; print('libvirt' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=LONGEST)
    assert done.stdout == "False\n"


def test_a_configuration_that_may_not_be_read_is_exit_6(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    os.chown(config, 65534, 65534)
    config.chmod(0o600)
    done = run_without_privileges(config, "shutdown")
    assert done.returncode == 6
    assert done.stderr.splitlines()[0] == f"{config}: cannot be read: permission denied"
