"""What the program says on standard error where it ends in an error, and what commands print of what others said."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from lastcall import Guest, LastcallError
from lastcall.cli import main
from lastcall.cli.group import cli
from lastcall.errors import ConfigInvalid, ExitCode, Problem
from lastcall.persistence.state import StateFile

EVIL = "a\nlastcall: all is well\r\x1b[2K\u2028\u202e\udcff"
SHOWN = "a\\nlastcall: all is well\\r\\x1b[2K\\u2028\\u202e\\udcff"


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (LastcallError(EVIL, EVIL), [f"lastcall: {SHOWN}", f"  → {SHOWN}"]),
        (ConfigInvalid([Problem(what="config", where=EVIL, message=EVIL, remedy=EVIL)]),
         [f"{SHOWN}: {SHOWN}", f"  → {SHOWN}", "lastcall: the configuration has 1 error; nothing was done"]),
    ],
)  # fmt: skip
def test_an_error_that_quotes_text_from_outside_has_the_lines_that_we_gave_it(
    error: Exception, lines: Sequence[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert told_of(error, monkeypatch, capfd).splitlines() == lines


def test_the_traceback_of_a_bug_runs_no_escape(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = told_of(RuntimeError(EVIL), monkeypatch, capfd)
    assert "internal error" in text
    assert all(line.isprintable() for line in text.split("\n"))


def told_of(error: Exception, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    def fail(*_: object) -> ExitCode:
        raise error

    monkeypatch.setattr(main, "_dispatch", fail)
    main.run(["status"])
    return capfd.readouterr().err


def test_status_and_forget_show_a_name_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "connections: ['test:///default']\n"
        f"paths: {{state: {tmp_path}, run: {tmp_path}/run, hooks: {tmp_path}/hooks.d}}\n"
    )
    state = StateFile(tmp_path)
    state.add([Guest(uri="u", uuid="i", name=EVIL)], run="r", boot_id="before", cause="host", due=True)
    state.save()
    for words in (["status"], ["forget", "--all"]):
        output = CliRunner().invoke(cli, ["--config", str(config), *words]).output
        assert SHOWN in output, output
        assert all(line.isprintable() for line in output.split("\n"))
