"""Whole runs among files that are anything but what they should be, and what the programs of a run are given."""

import os
import pwd
from pathlib import Path

import pytest

from lastcall import Guest
from support import list_of_a_killed_run, report_of, run_lastcall, waiting_guests, write_config

WORLD = "test:///default"
UUID, IN_WORLD = "66666666-7777-8888-9999-aaaaaaaaaaaa", "6695eb01-f6a4-8304-79aa-97f2502e193f"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What is read, or written anew, in the folders of a run.
NAMES = ["state/state.json", "state/history.json", "state/last-look.json", "run/announcement.json", "run/join.json"]


@pytest.mark.parametrize("kind", ["pipe", "directory", "gigabyte", "circle"])
def test_odd_files_in_its_folders_cost_a_run_nothing_but_themselves(tmp_path: Path, kind: str) -> None:
    config = write_config(tmp_path, WORLD)
    (tmp_path / "state" / "runs").mkdir(mode=0o700)
    for name in [*NAMES, "state/runs/20990101T000000Z-abcd.jsonl"]:
        path = tmp_path / name
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "circle":
            path.symlink_to(path)
        else:
            path.touch()
            os.truncate(path, 1 << 30)
    done = run_lastcall(config, "shutdown", "--json", "--deadline", "60s")
    report = report_of(done)
    assert [guest["outcome"] for guest in report["guests"]] == ["stopped"]
    (problem,) = [problem for problem in report["problems"] if problem["what"] == "state"]
    assert "it was moved to" in problem["remedy"]
    assert list((tmp_path / "state").glob("state.json.invalid-*"))
    told = run_lastcall(config, "report")
    assert "20990101T000000Z-abcd.jsonl is " in told.stderr, told
    assert "test" in told.stdout


@pytest.mark.parametrize("what", ["the file", "its folder"])
@pytest.mark.parametrize("command", ["restore", "status", "check", "shutdown"])
def test_a_list_that_others_could_have_written_runs_no_program_and_brings_back_its_guests(
    tmp_path: Path, command: str, what: str
) -> None:
    config = write_config(tmp_path, WORLD)
    ran, evil = tmp_path / "ran", tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {ran}\n")
    evil.chmod(0o755)
    uri = f"qemu+ssh://nobody@127.0.0.1/system?command={evil}"
    state = tmp_path / "state"
    theirs, ours = Guest(uri=uri, uuid=UUID, name="theirs"), Guest(uri=WORLD, uuid=IN_WORLD, name="test")
    list_of_a_killed_run(state, [theirs, ours], restarting=[])
    weak = state / "state.json" if what == "the file" else state
    weak.chmod(0o777)
    done = run_lastcall(config, command)
    told = done.stdout + done.stderr
    assert f"{weak} is writable by group or others; of those on it these are left out" in told
    assert f"chmod go-w {weak}" in told
    assert "Traceback" not in told
    run_lastcall(config, "status")
    assert not ran.exists()
    if command == "restore":
        assert "test  present" in done.stdout
    if command in {"restore", "shutdown"}:
        (kept,) = state.glob("state.json.doubtful-*")
        assert uri in kept.read_text()
        assert "theirs" not in waiting_guests(state)


def tells_its_environment(tmp_path: Path, more: str = "") -> tuple[dict[str, str], str]:
    """What an executable gets: its environment, and its umask; with a caller who hands on all sorts of things."""
    config = write_config(tmp_path, WORLD, more=more)
    folder = tmp_path / "hooks.d" / "on_guest_stop"
    folder.mkdir()
    (folder / "10-tell").write_text(f"#!/bin/sh\nenv -0 > {tmp_path}/env\numask > {tmp_path}/umask\n")
    (folder / "10-tell").chmod(0o755)
    odd = {"CREDENTIALS_DIRECTORY": "/secret", "LD_PRELOAD": "", "PATH": f"{tmp_path}:{os.environ['PATH']}", "X": "y",
           "LANG": "de_DE.UTF-8", "HOME": "/nowhere", "LASTCALL_GUEST": "forged"}  # fmt: skip
    before = os.umask(0o077)
    try:
        done = run_lastcall(config, "shutdown", "--json", env=odd)
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    pairs = (tmp_path / "env").read_text().split("\0")[:-1]
    return dict(pair.split("=", 1) for pair in pairs), (tmp_path / "umask").read_text().strip()


def test_an_executable_gets_a_defined_environment_whoever_starts_the_run(tmp_path: Path) -> None:
    found, umask = tells_its_environment(tmp_path)
    ours = {name for name in found if name.startswith("LASTCALL_")}
    assert {"LASTCALL_HOOK", "LASTCALL_RUN_ID", "LASTCALL_REASON", "LASTCALL_TIMEOUT", "LASTCALL_DEADLINE"} <= ours
    assert (found["LASTCALL_GUEST"], umask) == ("test", "0022")
    # The shell itself adds where it is, and how deep.
    rest = {name: value for name, value in found.items() if name not in ours | {"PWD", "SHLVL", "_", "OLDPWD"}}
    assert rest == {"PATH": PATH, "LANG": "C.UTF-8", "HOME": pwd.getpwuid(os.geteuid()).pw_dir}


def test_what_is_configured_is_added_to_it_and_ours_cannot_be_replaced(tmp_path: Path) -> None:
    more = "hooks: {environment: {PGHOST: db, LANG: fr_FR.UTF-8, CREDENTIALS_DIRECTORY: /run/c, LASTCALL_GUEST: x}}"
    found, _ = tells_its_environment(tmp_path, more)
    assert (found["PGHOST"], found["LANG"], found["CREDENTIALS_DIRECTORY"]) == ("db", "fr_FR.UTF-8", "/run/c")
    assert found["LASTCALL_GUEST"] == "test"


@pytest.mark.parametrize(("given", "message"), [("{A=B: c}", "environment"), ("{'': c}", "environment"),
                                                ("{A: 5}", "environment.A"), ("[A]", "environment")])  # fmt: skip
def test_what_is_no_variable_is_an_error_of_the_configuration(tmp_path: Path, given: str, message: str) -> None:
    done = run_lastcall(write_config(tmp_path, WORLD, more=f"hooks: {{environment: {given}}}\n"), "config", "check")
    assert done.returncode == 6
    assert f"hooks.{message}" in done.stderr
    assert "config.yaml:3:" in done.stderr


def test_the_command_that_says_whether_a_guest_is_ready_gets_the_same(tmp_path: Path) -> None:
    command = f"env -0 > {tmp_path}/env; umask > {tmp_path}/umask"
    more = f"hooks: {{environment: {{PGHOST: db}}}}\ndefaults: {{ready: {{command: '{command}'}}}}\n"
    config = write_config(tmp_path, WORLD, more=more)
    odd = {"CREDENTIALS_DIRECTORY": "/secret", "X": "y"}
    plugin = "import lastcall\n@lastcall.hookimpl\ndef pre_restore(run):\n    run.domain(run.guests[0]).destroy()\n"
    (tmp_path / "hooks.d" / "10-off.py").write_text(plugin)
    uuid = "6695eb01-f6a4-8304-79aa-97f2502e193f"  # of the guest that the test driver always has
    entry = (
        f'{{"uri": "{WORLD}", "uuid": "{uuid}", "name": "test", "driver": "TEST", "state": "running", "run": "r", '
        '"boot_id": "b", "since": "2026-01-01T00:00:00+00:00", "due": false, "parked": false}'
    )
    (tmp_path / "state" / "state.json").write_text(f'{{"version": 1, "guests": [{entry}]}}')
    done = run_lastcall(config, "restore", "--json", env=odd)
    assert done.returncode == 0, done.stderr
    found = dict(pair.split("=", 1) for pair in (tmp_path / "env").read_text().split("\0")[:-1])
    assert (found["PATH"], found["PGHOST"], found["LASTCALL_UUID"]) == (PATH, "db", uuid)
    assert not {"CREDENTIALS_DIRECTORY", "X"} & found.keys()
    assert (tmp_path / "umask").read_text().strip() == "0022"
