"""Commands about some guests: names, quoted globs and `--match`, on a real daemon."""

import json
from pathlib import Path

import pytest

from lab.daemon import Daemon
from lab.guests import driver_guests, states
from support import report_of, run_lastcall, waiting_guests, write_config

HERE = "test:///default"
"""The driver inside lastcall itself, which has one guest, `test`."""
NAMES = ["db", "web-1", "web-2"]
COMMANDS = [["shutdown"], ["restore"], ["plan"], ["forget"]]


def test_globs_and_criteria_choose_whom_a_plan_a_shutdown_a_restore_and_forget_are_about(
    lab: Daemon, tmp_path: Path
) -> None:
    config, uri = write_config(tmp_path, lab.test, HERE), f"uri={lab.test}"
    with driver_guests(lab, NAMES) as connection:
        for words in (["*-2", "db"], ["--match", uri], ["web-1", "te*"]):
            planned = json.loads(run_lastcall(config, "plan", *words, "--json").stdout)
            report = report_of(run_lastcall(config, "shutdown", *words, "--json"))
            expected = sorted(guest["name"] for guest in planned["guests"])
            assert sorted(guest["name"] for guest in report["guests"]) == expected
            off = {name for name, state in states(connection).items() if state == "off"}
            assert off == set(expected) - {"test"}
            restored = report_of(run_lastcall(config, "restore", *words, "--json"))
            assert sorted(guest["name"] for guest in restored["guests"]) == expected
        run_lastcall(config, "shutdown")
        assert run_lastcall(config, "forget", "web-*", "--match", uri).returncode == 0
        assert sorted(waiting_guests(tmp_path / "state")) == ["db", "test"]
        assert run_lastcall(config, "forget", "--match", "uri=test:*").returncode == 0
        assert waiting_guests(tmp_path / "state") == ["db"]


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["web-1", "WBE-*"], "web-1"),
        (["db", "--match", "uri=test+unix:///nowhere"], ""),
    ],
)
def test_what_fits_nobody_is_a_usage_error_with_the_nearest_name_and_nobody_is_touched(
    lab: Daemon, tmp_path: Path, words: list[str], near: str
) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, NAMES) as connection:
        run_lastcall(config, "shutdown", "--yes")
        for name in NAMES:
            connection.lookupByName(name).create()
        for command in COMMANDS:
            done = run_lastcall(config, *command, *words)
            assert done.returncode == 2, command
            assert f"did you mean {near!r}?" in done.stderr or not near
            assert "Traceback" not in done.stderr
        assert set(states(connection).values()) == {"running"}
        assert sorted(waiting_guests(tmp_path / "state")) == NAMES


@pytest.mark.parametrize(("wrong", "message"), [("uri", "is not KEY=VALUE"), ("url=x", "did you mean 'uri'?")])
def test_a_criterion_that_cannot_be_read_is_a_usage_error(tmp_path: Path, wrong: str, message: str) -> None:
    done = run_lastcall(write_config(tmp_path, HERE), "shutdown", "--match", wrong)
    assert (done.returncode, message in done.stderr) == (2, True)


def test_a_plan_for_some_warns_of_those_that_go_on_and_need_them_as_the_run_does(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="guests: [{match: 'web-*', depends_on: db}]")
    with driver_guests(lab, NAMES):
        planned = json.loads(run_lastcall(config, "plan", "d*", "--json").stdout)
        report = report_of(run_lastcall(config, "shutdown", "d*", "--json"))
        assert planned["problems"] == report["problems"]
        assert [(one["where"], one["message"]) for one in report["problems"]] == [
            ("web-1", "goes on and needs db"), ("web-2", "goes on and needs db"),
        ]  # fmt: skip
