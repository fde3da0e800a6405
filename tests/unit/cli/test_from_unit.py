"""What the unit's stop leaves for the shell script that comes after it."""

from pathlib import Path

import pytest

from lastcall.api.guests import Reason
from lastcall.cli import from_unit
from lastcall.cli.invocation import Invocation
from lastcall.cli.main import run
from lastcall.errors import ExitCode
from lastcall.systemd.systemctl import Systemctl

FIRST, AGAIN = ("shutdown", "--from-unit"), ("shutdown", "--from-unit", "--again")


@pytest.fixture
def invocation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invocation:
    monkeypatch.setenv("INVOCATION_ID", "abc")
    config = tmp_path / "config.yaml"
    config.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\n")
    return Invocation(config=config)


def test_a_stop_that_a_bug_ends_is_left_to_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invocation: Invocation
) -> None:
    def bug(_systemctl: Systemctl) -> Reason:
        raise ZeroDivisionError

    monkeypatch.setattr(from_unit, "host_stop", bug)
    assert run(FIRST, invocation) == ExitCode.INTERNAL
    assert run(AGAIN, invocation) == ExitCode.OK, "no run had begun with which it could go on"
    assert not (tmp_path / "answered").exists()


def test_a_stop_of_the_unit_alone_is_not_left_to_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invocation: Invocation
) -> None:
    def stays(_systemctl: Systemctl) -> None:
        return None

    def ask(_systemctl: Systemctl, *_words: str) -> str:
        return ""

    monkeypatch.setattr(from_unit, "host_stop", stays)
    monkeypatch.setattr(Systemctl, "ask", ask)
    assert run(FIRST, invocation) == ExitCode.OK
    assert (tmp_path / "answered").read_text() == "abc\n"


def test_neither_is_one_that_ends_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invocation: Invocation
) -> None:
    def stops(_systemctl: Systemctl) -> Reason:
        return Reason.POWEROFF

    monkeypatch.setattr(from_unit, "host_stop", stops)
    assert invocation.config is not None
    invocation.config.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\nshutdown: {{deadline: soon}}\n")
    assert run(FIRST, invocation) == ExitCode.CONFIG_INVALID
    assert (tmp_path / "answered").exists()
