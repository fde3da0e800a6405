"""Where a call failed: the plugin's own file and line, in the report, in its JSON, and with -v the way there."""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import lastcall
from firing import GUEST, fire
from lastcall import Guest, HookRecord, Run, StopMethod, StopRequest, Verdict
from lastcall.cli.progress import Progress
from lastcall.config.settings import HookSettings
from lastcall.options import StepOptions
from lastcall.report.run_history import as_story, past_run
from lastcall.report.text import report_json
from lastcall.testing.memory import FakeGuest, run_shutdown
from support import by_name

RAISES = """\
import json
import lastcall

def helper(text):
    return json.loads(text)

@lastcall.hookimpl
def on_guest_stop(guest, run):
    {0}
"""


def failed_call(folder: Path, statement: str) -> tuple[HookRecord, Path]:
    """What the report says of a drop-in whose line 9 is this."""
    file = folder / "hooks.d" / "10-x.py"
    file.parent.mkdir(mode=0o755)
    file.write_text(RAISES.format(statement))
    (record,) = by_name(run_shutdown(folder, [FakeGuest("g")]), "g").hooks
    return record, file


@pytest.mark.parametrize(
    ("statement", "line", "trace"),
    [
        ("raise ValueError('boom')", 9, "ValueError: boom"),
        ("helper('{')", 5, "JSONDecodeError"),  # its own innermost line, and none of json's
        ("raise lastcall.HookFailed('no')", 9, ""),
        ("run.domain(7)", 9, "AttributeError"),  # raised in a line of ours: the last of its own led there
        ("raise SystemExit(3)", 9, "line 9, in on_guest_stop"),
        ("raise TimeoutError", 9, ""),
        ("return 5", 7, "TypeError"),  # nothing of its own was raised: where the function begins
    ],
)
def test_a_call_that_fails_is_told_with_the_last_line_of_its_own_plugin(
    tmp_path: Path, statement: str, line: int, trace: str
) -> None:
    record, file = failed_call(tmp_path, statement)
    assert record.result in {Verdict.FAILED, Verdict.TIMEOUT}
    assert record.where == f"{file}:{line}"
    assert trace in record.traceback
    assert bool(trace) == bool(record.traceback)


def test_a_call_that_did_not_fail_has_no_place(tmp_path: Path) -> None:
    record, _ = failed_call(tmp_path, "raise lastcall.Skip('nothing to do')")
    assert (record.result, record.where, record.traceback) == (Verdict.SKIPPED, "", "")


def test_an_executable_that_fails_is_told_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "hooks.d" / "on_guest_stop" / "10-x"
    file.parent.mkdir(parents=True, mode=0o755)
    file.write_text("#!/bin/sh\nexit 3\n")
    file.chmod(0o755)
    (record,) = by_name(run_shutdown(tmp_path, [FakeGuest("g")]), "g").hooks
    assert (record.message, record.where) == ("exit code 3", str(file))


def test_the_place_and_with_v_the_traceback_stand_in_progress_report_json_and_history(tmp_path: Path) -> None:
    file = tmp_path / "hooks.d" / "10-x.py"
    file.parent.mkdir(mode=0o755)
    file.write_text(RAISES.format("helper('{')"))
    lines, verbose = list[str](), list[str]()
    quiet, loud = Progress(lines.append), Progress(verbose.append, verbose=True)

    def sink(record: object) -> None:
        quiet.take(record)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        loud.take(record)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    report = run_shutdown(tmp_path, [FakeGuest("g")], sink=sink)
    told = json.loads(report_json(report))["guests"][0]["hooks"][0]
    assert (told["plugin"], told["where"]) == ("x", f"{file}:5")
    assert f'"{file}", line 9, in on_guest_stop' in told["traceback"]
    (log,) = (tmp_path / "runs").iterdir()
    short, long = as_story(past_run(log)), as_story(past_run(log), traces=True)
    for text in ("\n".join(lines), "\n".join(verbose), short, long):
        assert f", {file}:5" in text
    assert "in on_guest_stop" not in "\n".join(lines) + short
    for text in ("\n".join(verbose), long):
        assert f'File "{file}", line 9, in on_guest_stop' in text


class Hangs:
    def __init__(self) -> None:
        self.over = threading.Event()

    @lastcall.hookimpl
    def on_guest_stop(self, guest: Guest, run: Run) -> None:
        self.waits_for_ever()

    def waits_for_ever(self) -> None:
        self.over.wait(600)


def test_a_call_that_hangs_is_told_with_where_it_stood() -> None:
    plugin = Hangs()
    _, stream = fire({"hangs": plugin}, "on_guest_stop", HookSettings(timeout=0.3))
    plugin.over.set()
    (record,) = stream.story.result(GUEST.key).hooks
    line = Hangs.waits_for_ever.__code__.co_firstlineno + 1
    assert (record.result, record.where) == (Verdict.TIMEOUT, f"{__file__}:{line}")
    assert "in waits_for_ever" in record.traceback
    assert "threading.py" in record.traceback, "and what it waited in"


class Spins:
    @lastcall.hookimpl
    def check_guest(self, guest: Guest) -> Any:
        while True:
            time.sleep(0.01)
            yield 1 / 1


def test_an_answer_that_never_ends_is_told_with_where_it_stood() -> None:
    _, stream = fire({"spins": Spins()}, "check_guest", HookSettings(timeout=0.3))
    (record,) = stream.story.result(GUEST.key).hooks
    assert record.where.startswith(f"{__file__}:")


class Method(StopMethod[StepOptions]):
    name = "odd"
    options = StepOptions

    def __init__(self, error: Exception) -> None:
        self._error = error

    def request(self, call: StopRequest[StepOptions]) -> None:
        raise self._error


class Offers:
    def __init__(self, error: Exception) -> None:
        self._error = error

    @lastcall.hookimpl
    def stop_methods(self) -> "list[Method]":
        return [Method(self._error)]


@pytest.mark.parametrize(
    ("error", "trace"), [(ValueError("boom"), "ValueError: boom"), (lastcall.HypervisorError("it refused"), "")]
)
def test_a_stop_method_that_fails_is_told_with_its_place(tmp_path: Path, error: Exception, trace: str) -> None:
    config = "defaults: {stop: [odd, acpi]}"
    report = run_shutdown(tmp_path, [FakeGuest("g")], plugins={"odd": Offers(error)}, config=config)
    attempt = by_name(report, "g").attempts[0]
    line = Method.request.__code__.co_firstlineno + 1
    assert (attempt.result, attempt.where) == ("failed", f"{__file__}:{line}")
    assert trace in attempt.traceback
    assert bool(trace) == bool(attempt.traceback)


def test_code_of_a_namespace_that_several_share_is_not_each_others(tmp_path: Path) -> None:
    for name, text in (("one", "def work(other):\n    other()\n"), ("two", "def work():\n    raise ValueError\n")):
        package = tmp_path / "shared_space" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(text)
    sys.path.insert(0, str(tmp_path))
    try:
        from shared_space import one, two  # type: ignore[import-not-found]  # pyright: ignore
    finally:
        sys.path.remove(str(tmp_path))

    class First:
        @lastcall.hookimpl
        def on_guest_stop(self) -> None:
            one.work(two.work)  # pyright: ignore

    First.on_guest_stop.__module__ = "shared_space.one"
    _, stream = fire({"first": First()}, "on_guest_stop", HookSettings())
    (record,) = stream.story.result(GUEST.key).hooks
    assert record.where == f"{tmp_path}/shared_space/one/__init__.py:2"
