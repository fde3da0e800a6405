"""What a failed test leaves behind ends with it: programs that it began, files and sockets that it had open.

Its traceback holds them, and lets go of them while some other test runs: that one failed by their warnings, and the
programs ran on.
"""

import gc
import subprocess
import traceback
import warnings
from collections.abc import Generator, Iterator
from typing import Any, cast

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[Any]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Once the failure is written down, nobody needs what its frames hold; but for a debugger."""
    report = yield
    if call.excinfo is not None and not item.config.getoption("usepdb"):
        given = list(getattr(item, "funcargs", {}).values())  # whoever has begun these ends them
        _end(call.excinfo.value, given)
    return report


def _end(error: BaseException, given: list[Any]) -> None:
    errors = list(_all(error, set()))
    for process in {process for one in errors for process in _programs(one) if not _among(process, given)}:
        with process:  # closes its pipes, and waits for it
            process.kill()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the failure is told already
        for one in errors:
            traceback.clear_frames(one.__traceback__)
            for frame, _ in traceback.walk_tb(one.__traceback__):
                len(frame.f_locals)  # up to Python 3.12 that is a copy, which is renewed when somebody asks for it
        gc.collect()


def _all(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """The error, and those that it came of or that came together."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    parts: Any = getattr(error, "exceptions", ())  # of a group
    for other in (error.__cause__, error.__context__, *parts):
        yield from _all(other, seen)


def _programs(error: BaseException) -> "Iterator[subprocess.Popen[Any]]":
    for frame, _ in traceback.walk_tb(error.__traceback__):
        held: list[Any] = list(frame.f_locals.values())
        held += [one for value in held for one in _parts(value)]
        yield from (one for one in held if isinstance(one, subprocess.Popen))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(cast("dict[Any, Any]", value).values())
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, list | tuple) else []


def _among(process: "subprocess.Popen[Any]", given: list[Any]) -> bool:
    return any(process is one for one in given)
