"""A configuration with errors that somebody has named is exit code 6, whatever command reads it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from lastcall.cli.main import run
from lastcall.persistence.state import StateFile
from support import write_config

ERRORS = {
    "a number that nobody counts with": "shutdown: {deadline: 999999999999999999999d}",
    "an unknown section": "shutdwon: {}",
    "an unknown key": "restore: {polciy: none}",
    "a wrong type": "runs: {keep: many}",
    "a rule": "guests: [{match: x, timeout: []}]",
    "a section of a plugin": "plugins: {ssh: {user: []}}",
    "YAML": "shutdown: [",
    "a value twice": "shutdown: {}\nshutdown: {}",
    "bootstrap": "hooks: {block: 5}",
}
UNREADABLE = ("YAML", "a value twice", "an unknown section")
COMMANDS: Sequence[Sequence[str]] = (
    ["plugins"], ["plugins", "--json"], ["status"], ["status", "--json"], ["report"], ["report", "--list"],
    ["announce", "--reason", "power"], ["announce", "--cancel"], ["forget", "--all"], ["stamp"], ["check"], ["plan"],
    ["config", "check"], ["config", "show"], ["config", "schema"], ["config", "guest", "x"],
    ["guest", "unset", "x", "y"],
    ["hook", "pre_shutdown"], ["shutdown", "--reason", "poweroff"], ["restore"], ["restore", "--from-unit"],
    ["ssh", "enroll", "x"],
)  # fmt: skip


@pytest.mark.parametrize("text", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("by", ["option", "environment"])
def test_it_is_exit_code_6_and_nothing_is_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: Sequence[str],
    text: str, by: str,
) -> None:  # fmt: skip
    config = write_config(tmp_path, "test:///default", more=f"{text}\n")
    StateFile(tmp_path / "state").save()
    before = sorted(tmp_path.rglob("*"))
    if by == "environment":
        monkeypatch.setenv("LASTCALL_CONFIG", str(config))
    assert run([*([] if by == "environment" else ["--config", str(config)]), *words]) == 6
    said = capfd.readouterr()
    assert str(config) in said.err
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        *(pytest.param(["plugins"], text, id=f"plugins: {name}") for name, text in ERRORS.items()),
        # These two read no more than where their files are: all of it would take three times as long.
        *(
            pytest.param([word], ERRORS[name], id=f"{word}: {name}")
            for word in ("status", "report")
            for name in UNREADABLE
        ),
    ],
)
def test_at_the_default_path_it_is_told_and_gone_without_by_who_only_looks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: Sequence[str], text: str
) -> None:
    config = write_config(tmp_path, "test:///default", more=f"{text}\n")
    monkeypatch.setattr("lastcall.config.files.DEFAULT_FILE", config)
    monkeypatch.setattr("lastcall.runs.loading.DEFAULT_FILE", config)
    monkeypatch.delenv("LASTCALL_CONFIG", raising=False)
    assert run(words) in {0, 1, 3}
    assert "the configuration is broken; this is by" in capfd.readouterr().err


def test_help_is_for_whoever_has_a_broken_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, "test:///default", more="shutdown: [")
    assert run(["--config", str(config), "--help"]) == 0
    assert "forget" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["[]", "{}", "null", "", "''", "qemu:///system", "5"])
def test_no_connection_at_all_is_an_error_that_says_what_to_write(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], given: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"connections: {given}\npaths: {{state: {tmp_path}/state, run: {tmp_path}/run}}\n")
    for words in (["shutdown"], ["config", "check"], ["status"], ["check"]):
        assert run(["--config", str(config), *words]) == 6
        said = capfd.readouterr().err
        assert f"{config}:1:" in said
        assert "connections: should be a list of at least one URI, such as ['qemu:///system']" in said
