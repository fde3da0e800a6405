"""However many problems a plugin or a guest has, they are so many: the others' are told beside them."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lastcall
from firing import fire
from lastcall import Guest, Problem, Run, Severity
from lastcall.config.settings import HookSettings
from lastcall.formats.bounded_text import MESSAGE_LIMIT, NAME_LIMIT
from lastcall.hypervisor.ports import GuestFacts
from lastcall.records.found_problems import FEW, OF_A_CALL, OF_A_RUN, OF_A_SOURCE, ProblemLimit, first_problems
from lastcall.records.records import ProblemFound, Record
from lastcall.records.stream import Stream
from lastcall.report.run_history import past_run
from lastcall.testing.memory import FakeGuest, run_shutdown

WARNING = Problem(what="w", where="here", message="wrong", severity=Severity.WARNING)
ERROR = Problem(what="w", where="here", message="wrong")


def never(_: object = None) -> bool:
    return False


def endless() -> Iterator[Problem]:
    for number in itertools.count():
        yield Problem(what="w", where="here", message=f"wrong {number}")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (endless, "and at least 10000 more"),
        (lambda: [ERROR] * 1_000_000, "and at least 10000 more"),
        (lambda: [ERROR] * 105, "and 5 more"),
    ],
    ids=["a generator that never ends", "a million", "five too many"],
)
def test_of_what_a_check_returns_a_hundred_are_told_and_how_many_more_there_are(
    answer: Callable[[], Any], told: str
) -> None:
    class Finds:
        @lastcall.hookimpl
        def check_guest(self, guest: Guest, run: Run) -> Any:
            return answer()

    fired, _ = fire({"finds": Finds()}, "check_guest", HookSettings())
    ((plugin, found),) = fired.answers
    assert plugin == "finds"
    assert len(found) == OF_A_CALL + 1
    assert found[-1].message == told
    assert "look again" in found[-1].remedy


def test_a_hundred_problems_are_all_told() -> None:
    assert first_problems([ERROR] * OF_A_CALL, never) == [ERROR] * OF_A_CALL
    assert first_problems([], never) == []


def test_what_is_not_told_is_an_error_where_one_of_it_is() -> None:
    found = first_problems([*[WARNING] * (OF_A_CALL + 3), ERROR, WARNING], never)
    assert [one.severity for one in found] == [Severity.WARNING] * OF_A_CALL + [Severity.ERROR]
    assert first_problems([WARNING] * (OF_A_CALL + 3), never)[-1].severity is Severity.WARNING


class Words(str):
    """A text whose methods are somebody else's."""

    __slots__ = ()

    def __len__(self) -> int:
        raise ZeroDivisionError

    __str__: Any = __len__


@pytest.mark.parametrize(
    "odd", [7, None, b"x", ["x"] * 10**6, "x" * 10**7, Words("x"), object()], ids=lambda one: type(one).__name__
)
def test_whatever_the_fields_of_a_problem_are_they_become_texts_in_bounds(odd: Any) -> None:
    (found,) = first_problems([Problem(what=odd, where=odd, message=odd, remedy=odd, severity=odd)], never)
    assert {type(text) for text in (found.what, found.where, found.message, found.remedy)} == {str}
    assert len(found.what) <= NAME_LIMIT
    assert max(map(len, (found.where, found.message, found.remedy))) <= MESSAGE_LIMIT
    assert found.severity is Severity.ERROR


def test_a_problem_with_properties_of_its_own_costs_its_words() -> None:
    class Odd(Problem):
        message: Any = property(lambda _: 1 / 0)

        def __init__(self) -> None:
            pass

    assert first_problems([Odd()], never)[0].message == ""


def test_what_is_no_problem_is_a_failure_that_shows_it_in_bounds() -> None:
    with pytest.raises(TypeError, match="returned 'xxx") as caught:
        first_problems([ERROR, "x" * 10**6], never)
    assert len(str(caught.value)) < MESSAGE_LIMIT + 100


def test_a_check_that_goes_on_after_its_time_box_ends_with_it() -> None:
    ended = threading.Event()

    class Finds:
        @lastcall.hookimpl
        def check(self, run: Run) -> Iterator[Problem]:
            try:
                while True:
                    threading.Event().wait(0.01)
                    yield ERROR
            finally:
                ended.set()

    _, stream = fire({"finds": Finds()}, "check", HookSettings(timeout=0.2), guest=None)
    assert ended.wait(600)
    assert [call.result.value for call in stream.story.result(("fake:///system", "u")).hooks] == []


def told(stream: Callable[[Stream], object]) -> list[Problem]:
    heard: list[Record] = []
    stream(Stream(lambda: 0.0, [("heard", heard.append)]))
    return [record.problem for record in heard if isinstance(record, ProblemFound)]


def test_one_source_does_not_bury_the_problems_of_the_others() -> None:
    def emit(stream: Stream) -> None:
        for _ in range(10):
            stream.problems([ERROR] * 500, source="loud")
        stream.problems([WARNING], source="quiet")

    found = told(emit)
    assert len(found) == OF_A_SOURCE + 2
    assert found[OF_A_SOURCE].message == "there are more of these, which are left out"
    assert found[-1] == WARNING


def test_an_error_is_told_however_many_warnings_there_were() -> None:
    found = told(lambda stream: stream.problems([*[WARNING] * 500, ERROR]))
    assert found[-1] == ERROR


def test_many_sources_have_a_few_problems_each() -> None:
    limit, sources = ProblemLimit(), 500
    found = [one for number in range(sources) for _ in range(150) if (one := limit.admit(ERROR, f"source {number}"))]
    assert OF_A_RUN <= len(found) <= OF_A_RUN + sources * (FEW + 1)


def test_a_guest_whose_metadata_is_wrong_everywhere_leaves_room_for_the_others(tmp_path: Path) -> None:
    wrong = {f"key-{number}": "x" for number in range(90)} | dict.fromkeys(
        ("stop", "commands"), "[" + "x, " * 900 + "x]"
    )
    facts = {"hostile": GuestFacts(metadata=wrong), "wrong": GuestFacts(metadata={"timeout": "soon"})}
    guests = [FakeGuest(name, traits=traits) for name, traits in facts.items()]
    report = run_shutdown(tmp_path, guests)
    by_guest = {name: [one for one in report.problems if one.where == name] for name in ("hostile", "wrong")}
    assert len(by_guest["hostile"]) <= OF_A_SOURCE + 1
    assert len(by_guest["wrong"]) == 1
    (log,) = (tmp_path / "runs").iterdir()
    assert past_run(log).report == report


@pytest.mark.parametrize("hook", ["stop_methods", "guest_shells"])
def test_a_plugin_that_offers_without_end_offers_nothing_and_costs_nobody_else(tmp_path: Path, hook: str) -> None:
    class Offers:
        pass

    def offer(self: object) -> Iterator[object]:
        yield from itertools.count()

    setattr(Offers, hook, lastcall.hookimpl(offer, specname=hook))
    report = run_shutdown(tmp_path, [FakeGuest("a")], plugins={"offers": Offers()})
    assert report.guests[0].outcome == "stopped"
    (found,) = [one for one in report.problems if "offers" in one.where]
    assert found.message.startswith(f"{hook}: offers more than 100, {__file__}:")


def test_what_a_plugin_offers_shows_itself_in_the_time_box(tmp_path: Path) -> None:
    shown_in: list[threading.Thread] = []

    class Odd:
        def __repr__(self) -> str:
            shown_in.append(threading.current_thread())
            return "x" * 10**6

    class Offers:
        @lastcall.hookimpl
        def stop_methods(self) -> list[Any]:
            return [Odd()]

    report = run_shutdown(tmp_path, [FakeGuest("a")], plugins={"offers": Offers()})
    (found,) = [one for one in report.problems if "offers" in one.where]
    assert "no StopMethod with a name" in found.message or "cut" in found.message
    assert shown_in
    assert threading.main_thread() not in shown_in
