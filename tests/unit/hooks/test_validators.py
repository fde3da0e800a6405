"""Validators of plugins judge the configuration: one that raises, hangs or leaves is told with its place."""

from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import PluginOptions
from lastcall.config.load import parse
from lastcall.errors import ConfigInvalid
from lastcall.hooks import load_time
from lastcall.hooks.discovery import Plugins
from lastcall.hooks.load_time import LoadTime

DOES = """
import sys, time, lastcall
from pydantic import field_validator
from lastcall.options import Options
class Settings(Options):
    size: int = 1
    @field_validator("size")
    def judged(cls, size):
        {}
@lastcall.hookimpl
def plugin_options():
    return lastcall.PluginOptions(settings=Settings)
"""


def judged(folder: Path, statement: str) -> tuple[str, str]:
    """What is said of a configuration, and the place in the drop-in that judges it by this."""
    hooks = folder / "hooks.d"
    hooks.mkdir(mode=0o755)
    file = hooks / "10-bmc.py"
    file.write_text(DOES.format(statement))
    document = parse(f"paths: {{hooks: {hooks}}}\nplugins: {{bmc: {{size: 2}}}}", "c.yaml")
    with pytest.raises(ConfigInvalid) as caught:
        Plugins(document.bootstrap).settings(document)
    (problem,) = caught.value.problems
    assert problem.where.startswith("c.yaml")
    assert problem.remedy
    return problem.message, f"{file}:9"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("raise KeyError('x')", "plugins.bmc.size: cannot be judged: KeyError: 'x'"),
        ("sys.exit(3)", "cannot be used: SystemExit: 3"),
        ("raise KeyboardInterrupt", "cannot be used: KeyboardInterrupt"),
        ("time.sleep(600)", "cannot be used: no answer after 0.3 s"),
    ],
)
def test_a_validator_that_does_anything_else_than_judging_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, words: str
) -> None:
    if "sleep" in statement:  # the others are judged in their time on the busiest machine, too
        monkeypatch.setattr(load_time, "IMPORT_TIMEOUT", 0.3)
    message, place = judged(tmp_path, statement)
    assert message == f"{words}, {place}"


class Asked:
    @lastcall.hookimpl
    def plugin_options(self) -> PluginOptions:
        raise AssertionError("there is no time for it")

    @lastcall.hookimpl
    def stop_methods(self) -> Any:
        raise AssertionError("there is no time for it")


def test_without_time_nobody_is_asked_and_nothing_is_raised(tmp_path: Path) -> None:
    (tmp_path / "hooks.d").mkdir(mode=0o755)
    (tmp_path / "hooks.d" / "10-x.py").write_text("raise AssertionError")
    document = parse(f"paths: {{hooks: {tmp_path}/hooks.d}}", "c.yaml")
    plugins = Plugins(document.bootstrap, {"asked": Asked()}, LoadTime(ends=0.0))
    messages = [problem.message for problem in plugins.registry.problems]
    assert messages
    assert all("no time was left for it" in message for message in messages)
    assert plugins.settings(document).defaults.timeout == 90.0
