"""What is to go is told to whoever uses it, and works until then."""

from pathlib import Path

import pytest

import lastcall
from lastcall import Run
from lastcall.hooks import hookspecs
from lastcall.testing.memory import FakeGuest, run_shutdown
from support import run_lastcall, write_config

TO_GO = DeprecationWarning("goes in 0.4, write pre_everything")


class Uses:
    """A plugin that uses what is to go."""

    def __init__(self) -> None:
        self.called = 0

    @lastcall.hookimpl
    def pre_shutdown(self, run: Run) -> None:
        """Be called."""
        self.called += 1


@pytest.mark.parametrize(("option", "said"), [("warn_on_impl", TO_GO), ("warn_on_impl_args", {"run": TO_GO})])
def test_a_plugin_that_uses_what_is_to_go_is_named_with_its_line_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, said: object
) -> None:
    monkeypatch.setitem(vars(hookspecs.pre_shutdown)["lastcall_spec"], option, said)
    plugin = Uses()
    report = run_shutdown(tmp_path, [FakeGuest("a")], plugins={"uses": plugin})
    assert plugin.called == 1
    (told,) = [one for one in report.problems if one.where.startswith(__file__)]  # a bundled plugin has the hook, too
    assert (told.severity, told.message) == ("warning", f"pre_shutdown: {TO_GO}")
    assert told.where == f"{__file__}:{Uses.pre_shutdown.__code__.co_firstlineno}"
    assert report.run.exit_code == 0


def test_an_argument_that_is_to_go_concerns_only_who_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(hookspecs.on_guest_stop)["lastcall_spec"], "warn_on_impl_args", {"guest": TO_GO})

    class TakesTheRun:
        @lastcall.hookimpl
        def on_guest_stop(self, run: Run) -> None:
            """Take no guest."""

    report = run_shutdown(tmp_path, [FakeGuest("a")], plugins={"mine": TakesTheRun()})
    assert [problem for problem in report.problems if problem.where.startswith(__file__)] == []


def test_a_warning_is_no_reason_for_plugins_to_fail(tmp_path: Path) -> None:
    config = write_config(tmp_path, "test:///default", more="hooks: {first: [nobody]}")
    done = run_lastcall(config, "plugins")
    assert "nobody" in done.stdout
    assert done.returncode == 0
