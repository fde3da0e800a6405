"""Every `--json` is what its schema says: the program's own words, in a world where much is wrong."""

import json
from pathlib import Path

import pytest

from book.schemas import with_json
from json_documents import hold_against_schema
from lab.fleetlock import Locks, over_tcp
from support import run_lastcall, write_config

WORLD = "test:///default"
DROP_IN = """\
import lastcall

@lastcall.hookimpl
def pre_shutdown(run):
    run.evidence(files={"a": 1.5, "b": [None, True]})

@lastcall.hookimpl
def on_guest_stop(guest, run):
    raise ValueError("no")

@lastcall.hookimpl
def describe_guest(guest, run):
    return {"colour": "red"}

@lastcall.hookimpl
def no_such_hook():
    pass
"""
MORE = """\
guests:
- match: {name: nobody}
  order: 3
"""
# In this order: the list of guests, an announcement and logs are left from one to the next.
CALLS = (
    ("plan", ()), ("plan", ("--reason", "power")), ("plan", ("--deadline", "20s")),
    ("plan", ("--within", "20s")), ("plan", ("--within", "1s")), ("check", ()), ("plugins", ()),
    ("config check", ()), ("config show", ()), ("config guest", ("test",)), ("hook", ("pre_shutdown",)),
    ("hook", ("on_guest_stop", "--guest", "test")), ("guest set", ("test", "order=3", "timeout=2min")),
    ("guest unset", ("test", "order")), ("announce", ("--reason", "power", "--deadline", "90s")), ("status", ()),
    ("announce", ("--cancel",)), ("announce", ("--cancel",)), ("report", ()), ("shutdown", ()), ("status", ()),
    ("report", ()), ("restore", ()), ("report", ("--list",)), ("shutdown", ("--reason", "power")),
    ("forget", ("test",)), ("restore", ()), ("report", ()),
    ("drill", ("test",)), ("sleep", ("begin",)), ("sleep", ("end",)), ("status", ()),
    ("runs", ()), ("runs", ("--last", "1", "--kind", "shutdown")),
    ("runs diff", ()), ("runs diff", ("1", "3")),
    ("report", ("--ack",)), ("status", ()), ("plan", ("--reason", "shed")), ("shed", ("test", "--dry-run")),
    ("shed", ("--due",)), ("shed", ("test",)), ("status", ()), ("report", ()), ("shed", ("--cancel",)),
    ("power battery", ()), ("status", ()), ("power low", ()), ("status", ()), ("power line", ()),
    ("maintenance begin", ()), ("status", ()), ("maintenance end", ()), ("status", ()),
    ("lock show", ()), ("lock take", ()), ("lock show", ()), ("status", ()), ("lock release", ()), ("lock show", ()),
    ("lock release", ("--id", "another")),
)  # fmt: skip
ELSEWHERE = {("install",), ("uninstall",), ("config", "import")}  # further tests are about these


@pytest.fixture
def config(tmp_path: Path) -> Path:
    config = write_config(tmp_path, WORLD, more=MORE)
    drop_in = tmp_path / "hooks.d" / "10-odd.py"
    drop_in.write_text(DROP_IN)
    return config


def test_whatever_a_command_prints_as_json_is_what_its_schema_says(config: Path) -> None:
    with over_tcp(Locks()) as port:
        config.write_text(f"{config.read_text()}\nfleet_lock: {{url: 'http://127.0.0.1:{port}'}}\n")
        for command, rest in CALLS:
            words = command.split()
            done = run_lastcall(config, "-v", *words, *rest, "--json")
            assert done.returncode in {0, 1, 3}, (command, rest, done.stderr)
            hold_against_schema(done.stdout, *words)


def test_no_command_with_json_is_forgotten_here() -> None:
    assert {tuple(command.split()) for command, _ in CALLS} | ELSEWHERE == set(with_json())


def test_a_restore_that_has_nothing_to_do_is_a_report_without_a_run(config: Path) -> None:
    assert run_lastcall(config, "restore", "--from-unit").returncode == 1
    done = run_lastcall(config, "restore", "--from-unit", "--json")
    assert hold_against_schema(done.stdout, "restore")["run"] is None or done.returncode


def test_a_broken_configuration_is_told_in_the_same_document(config: Path) -> None:
    config.write_text("shutdown: {deadline: soon, paralel: 3}\n")
    done = run_lastcall(config, "config", "check", "--json")
    told = hold_against_schema(done.stdout, "config", "check")
    assert (done.returncode, told["valid"], done.stderr) == (6, False, "")
    assert len(told["problems"]) == 2
    config.write_text("shutdown: [\n")
    done = run_lastcall(config, "config", "check", "--json")
    told = hold_against_schema(done.stdout, "config", "check")
    assert (done.returncode, told["valid"], len(told["problems"])) == (6, False, 1)


def test_settings_of_libvirt_guests_are_a_configuration_in_the_document(tmp_path: Path, config: Path) -> None:
    settings = tmp_path / "libvirt-guests"
    settings.write_text("ON_SHUTDOWN=suspend\nPARALLEL_SHUTDOWN=0\nURIS=$(uris)\n")
    done = run_lastcall(config, "config", "import", str(settings), "--json")
    told = hold_against_schema(done.stdout, "config", "import")
    assert told["configuration"]["defaults"]["stop"]
    assert told["unread"]
    assert (done.returncode, done.stderr) == (1, "")


def test_what_was_announced_and_taken_back_is_told(config: Path) -> None:
    said = json.loads(run_lastcall(config, "announce", "--reason", "power", "--json").stdout)
    assert (said["announced"]["reason"], said["taken_back"]) == ("power", False)
    taken = [json.loads(run_lastcall(config, "announce", "--cancel", "--json").stdout) for _ in range(2)]
    assert [(one["announced"], one["taken_back"]) for one in taken] == [(None, True), (None, False)]
