"""Errors that are a plugin's own code: their words may raise, be no words, or never come. It costs that call only."""

import asyncio
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Guest, GuestShell, HookFailed, LastcallError, Outcome, Run, ShellUnreachable, StopMethod, Verdict
from lastcall.config.settings import HookSettings
from lastcall.errors import in_words, with_remedy, worded
from lastcall.formats.bounded_text import kind_name, said, shown
from lastcall.guest_shell.shell import ChosenShell
from lastcall.hooks.dispatch import Dispatcher
from lastcall.hooks.registry import Registry
from lastcall.hooks.sources import Origin, Source
from lastcall.options import StepOptions
from lastcall.records.stream import Stream
from lastcall.testing.memory import FakeGuest, run_shutdown
from lastcall.threads.answers import Raised, outcome_of
from lastcall.threads.workers import ThreadWorkers
from support import by_name, run_context

GUEST = Guest(uri="fake:///system", uuid="u", name="g")


def crash(*_: object) -> Any:
    raise ZeroDivisionError("in the middle of its words")


def leave(*_: object) -> Any:
    raise SystemExit(3)


def always(answer: object) -> Callable[[object], Any]:
    return lambda _: answer


class Words(str):
    """What a text may be: a class of its own, whose methods raise."""

    __slots__ = ()
    split: Any = crash
    strip: Any = crash
    splitlines: Any = crash


def foreign(kind: type[Exception], name: str, body: dict[str, Any]) -> Exception:
    made: Any = type(name, (kind,), body)
    return made.__new__(made)


BODIES: dict[str, dict[str, Any]] = {
    "raises": {"__str__": crash, "__repr__": crash},
    "exits": {"__str__": leave, "__repr__": leave},
    "is a number": {"__str__": always(7), "__repr__": always(None)},
    "is a text of its own": {"__str__": always(Words("odd")), "__repr__": always(Words("odd"))},
    "denies its class": {"__class__": property(crash), "__str__": crash},
    "has no remedy": {"remedy": property(crash), "on_failure": property(leave), "__str__": crash},
    "has a number for a remedy": {"remedy": 7, "on_failure": [1], "__str__": crash},
    "breaks the traceback": {"__notes__": property(crash), "__cause__": property(crash), "__str__": crash},
}
KINDS: list[type[Exception]] = [ValueError, TimeoutError, LastcallError, HookFailed, lastcall.Skip, SyntaxError]
every_body = pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_body
@every_kind
def test_an_error_without_words_of_use_is_told_by_its_type(kind: type[Exception], body: dict[str, Any]) -> None:
    error = foreign(kind, "Odd", body)
    for words in (in_words(error), with_remedy(error) if issubclass(kind, LastcallError) else "x"):  # pyright: ignore[reportArgumentType]
        assert type(words) is str
        assert words
        assert "\n" not in words
    assert type(said(error)) is str
    assert type(shown(error)) is str
    assert kind_name(error) == "Odd"
    plain = worded(error)
    assert type(plain) in {LastcallError, TimeoutError}
    assert str(plain) in {"", "Odd", "odd", "Odd: odd", "no answer in time"}


def test_an_error_of_ours_stays_what_it_is() -> None:
    for error in (lastcall.HypervisorError("busy", "wait", 68), TimeoutError("late"), lastcall.Skip("nothing to do")):
        assert worded(error) is error
    assert str(worded(ValueError("x"))) == "ValueError: x"
    words: Any = foreign(ValueError, "Odd", BODIES["raises"])
    assert str(worded(LastcallError(words))) == "LastcallError"


@every_body
@every_kind
def test_a_hook_that_fails_with_such_an_error_costs_its_call_and_no_guest(
    tmp_path: Path, kind: type[Exception], body: dict[str, Any]
) -> None:
    class Odd:
        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest, run: Run) -> None:
            if guest.name == "a":
                raise foreign(kind, "Odd", body)

        @lastcall.hookimpl
        def guest_settings(self, guest: Guest, run: Run) -> None:
            raise foreign(kind, "Odd", body)

    report = run_shutdown(tmp_path, [FakeGuest("a"), FakeGuest("b")], plugins={"odd": Odd()})
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    failed = next(call for call in by_name(report, "a").hooks if call.hook == "on_guest_stop")
    verdicts: dict[type[Exception], Verdict] = {TimeoutError: Verdict.TIMEOUT, lastcall.Skip: Verdict.SKIPPED}
    expected = verdicts.get(kind, Verdict.FAILED)
    assert failed.result is expected
    if expected is Verdict.FAILED:
        assert failed.message.startswith(("Odd", "odd"))


@every_body
@every_kind
def test_a_stop_method_that_fails_with_such_an_error_costs_its_rung(
    tmp_path: Path, kind: type[Exception], body: dict[str, Any]
) -> None:
    class Method(StopMethod[StepOptions]):
        name = "odd"
        options = StepOptions

        def request(self, call: Any) -> None:
            raise foreign(kind, "Odd", body)

    class Odd:
        @lastcall.hookimpl
        def stop_methods(self) -> list[Any]:
            return [Method()]

    config = "defaults: {stop: [odd, acpi]}"
    report = run_shutdown(tmp_path, [FakeGuest("a"), FakeGuest("b")], plugins={"odd": Odd()}, config=config)
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    first, *_ = by_name(report, "a").attempts
    assert first.method == "odd"
    assert first.message


def test_the_words_of_a_stop_method_are_made_where_it_was_called(tmp_path: Path) -> None:
    made_in: list[str] = []

    def note(_: object) -> str:
        made_in.append("".join(traceback.format_stack()))
        return "slowly"

    class Method(StopMethod[StepOptions]):
        name = "odd"
        options = StepOptions

        def request(self, call: Any) -> None:
            raise foreign(ValueError, "Odd", {"__str__": note})

    class Odd:
        @lastcall.hookimpl
        def stop_methods(self) -> list[Any]:
            return [Method()]

    config = "defaults: {stop: [odd, acpi]}"
    report = run_shutdown(tmp_path, [FakeGuest("a")], plugins={"odd": Odd()}, config=config)
    assert by_name(report, "a").attempts[0].message == "Odd: slowly"
    assert made_in
    assert all("outcome_of" in stack or "workers.py" in stack for stack in made_in), "in a worker"


def test_words_that_never_come_are_the_time_of_their_call_and_not_of_the_run() -> None:
    """On the loop's thread they would keep every other guest from being stopped."""
    made_in: list[threading.Thread] = []

    def note(_: object) -> str:
        made_in.append(threading.current_thread())
        return "slowly"

    class Odd:
        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest, run: Run) -> None:
            raise foreign(ValueError, "Odd", {"__str__": note, "__repr__": note})

    async def story() -> Stream:
        loop = asyncio.get_running_loop()
        registry, stream = Registry(HookSettings()), Stream(loop.time)
        registry.add(Source(name="odd", origin=Origin.PACKAGE, where="test", sort_key="odd"), Odd())
        stream.story.plan(GUEST)
        workers = ThreadWorkers(loop)
        await Dispatcher(registry, HookSettings(), run_context(loop.time), workers, stream, loop).fire(
            "on_guest_stop", GUEST
        )
        return stream

    (call,) = asyncio.run(story()).story.result(GUEST.key).hooks
    assert call.message == "Odd: slowly"
    assert made_in
    assert threading.main_thread() not in made_in


@pytest.mark.parametrize("work", [crash, leave], ids=["raises", "exits"])
def test_an_exit_of_a_worker_is_told_whatever_its_words_do(work: Callable[..., Any]) -> None:
    class Leaves(SystemExit):
        __str__: Any = work

    def go() -> None:
        raise Leaves

    outcome = outcome_of(go)
    assert isinstance(outcome, Raised)
    assert str(outcome.error) == "Leaves"


def test_a_guest_shell_that_refuses_in_a_way_of_its_own_leaves_the_guest_to_the_next() -> None:
    class Refuses(ShellUnreachable):
        def __init__(self, guest: Guest, why: int) -> None:
            self.remedy = ""

        __str__: Any = crash

    class Odd(GuestShell):
        def connect(self, guest: Guest, run: Run) -> Any:
            raise Refuses(guest, 7)

    class View:
        def remaining(self) -> float:
            return 10.0

    def view(_plugin: str) -> Any:
        return View()

    guest, shells = Guest(uri="fake:///", uuid="u", name="g"), {"odd": ("odd", Odd()), "two": ("two", Odd())}
    with pytest.raises(ShellUnreachable, match=r"^odd: Refuses; two: Refuses$"):
        ChosenShell(guest, ["odd", "two"], shells, view).run("true")
