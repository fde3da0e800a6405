"""Values that plugins hand us: deep, shared, endless or of no kind we know: they cost their call, no guest."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field

import lastcall
from lastcall import Guest, Outcome, PluginOptions, Reason, Run
from lastcall.formats.bounded_text import said, shown
from lastcall.formats.plain_values import EVIDENCE_ITEMS, plain_evidence, plain_settings, plain_value
from lastcall.hypervisor.ports import GuestFacts
from lastcall.options import BY_METADATA, Options
from lastcall.testing.memory import FakeGuest, run_shutdown
from lastcall.testing.memory.workers import Hangs
from support import by_name


def shared(kind: Callable[[Any], Any], levels: int = 60) -> Any:
    """A value that holds another twice, which holds another twice, and so on: written out it has no end."""
    value: Any = kind(("end",))
    for _ in range(levels):
        value = kind((value, value))
    return value


def as_dict(pair: Any) -> dict[str, Any]:
    return {str(at): item for at, item in enumerate(pair)}


class Rows(list[Any]):
    """A list of somebody's own."""


class Endless(Mapping[str, int]):
    """A mapping that has no end."""

    def __getitem__(self, key: str) -> int:
        return 1

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            yield f"key{number}"
            number += 1


class Breaks(dict[str, Any]):
    def items(self) -> Any:
        raise SystemExit(3)


SHARED = {"list": shared(list), "tuple": shared(tuple), "mapping": shared(as_dict), "own list": shared(Rows)}
every_shared = pytest.mark.parametrize("value", SHARED.values(), ids=SHARED)


@every_shared
def test_a_value_that_shares_its_parts_is_shown_by_its_beginning(value: Any) -> None:
    began = time.thread_time()
    texts = [
        shown(value),
        said(ValueError(value)),
        said(KeyError(value)),
        said(OSError(5, value)),
        str(plain_evidence(value)),
    ]
    assert all(len(text) < 100_000 for text in texts)
    assert time.thread_time() - began < 5


@every_shared
def test_an_answer_that_shares_its_parts_costs_its_call(tmp_path: Path, value: Any) -> None:
    class Odd:
        @lastcall.hookimpl
        def guest_settings(self, guest: Guest, run: Run) -> Any:
            return {"timeout": value, "restore": False} if guest.name == "a" else value

        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest, run: Run) -> Any:
            if guest.name == "a":
                raise ValueError(value)
            return value

    report = run_shutdown(tmp_path, [FakeGuest("a"), FakeGuest("b")], plugins={"odd": Odd()})
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    assert {call.result.value for guest in report.guests for call in guest.hooks if call.hook == "on_guest_stop"} == {
        "failed"
    }


def told(tmp_path: Path, answer: Callable[[], Any], **more: Any) -> tuple[str, Any]:
    """What is said of such settings of a guest beside another, and its result."""

    class Cmdb:
        @lastcall.hookimpl
        def guest_settings(self, guest: Guest, run: Run) -> Any:
            return answer() if guest.name == "a" else {"timeout": "7s"}

    deaf = frozenset({"acpi"})
    guests = [FakeGuest(name, deaf_to=deaf) for name in ("a", "b")]
    config = "defaults: {stop: [acpi, save]}"
    report = run_shutdown(tmp_path, guests, plugins={"cmdb": Cmdb()}, config=config, **more)
    assert by_name(report, "b").attempts[0].duration == pytest.approx(7)
    (problem,) = [one for one in report.problems if one.what == "plugin"]
    assert (problem.where, report.run.exit_code) == ("a", 1)
    return problem.message, by_name(report, "a")


def test_a_wrong_key_of_a_plugins_settings_costs_only_itself(tmp_path: Path) -> None:
    message, result = told(tmp_path, lambda: {"timeout": "9s", "order": "first", "nonsense": 1})
    assert "guest_settings of cmdb: order: should be a whole number" in message
    assert "nonsense: unknown key" in message
    assert result.attempts[0].duration == pytest.approx(9)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda: {f"key{number}": number for number in range(EVIDENCE_ITEMS + 1)}, "more than 1000 values"),
        (Endless, "more than 1000 values"),
        (lambda: {"depends_on": ["x"] * EVIDENCE_ITEMS}, "more than 1000 values"),
        (lambda: {"timeout": 10**6000}, "timeout"),
        (lambda: {"timeout": float("nan")}, "timeout"),
        (lambda: {7: "x", "restore": object()}, "restore"),
        (lambda: {"\udcff": 1}, "unknown key"),
        (lambda: [("timeout", 1)], "returned"),
        (lambda: Breaks(timeout=1), "3"),
    ],
)  # fmt: skip
def test_settings_that_are_none_cost_their_guest_those_and_nobody_else(
    tmp_path: Path, answer: Callable[[], Any], says: str
) -> None:
    message, result = told(tmp_path, answer)
    assert says in message
    assert len(message) < 3000
    assert result.outcome is Outcome.SAVED


def test_what_is_plain_stays_as_it_is() -> None:
    given = {"depends_on": ["a", {"name": "b"}], "timeout": 1.5, "restore": False, "order": None}
    assert plain_settings(given) == given
    assert plain_value([[[1]]]) == [[[1]]]


def crash(text: str) -> str:
    if text == "exit":
        raise SystemExit(7)
    if text == "hang":
        raise Hangs
    if text == "error":
        raise ZeroDivisionError
    return text


class SiteOptions(Options):
    """A guest's key of a plugin, also for metadata, with a validator that has its own ideas."""

    site: Annotated[str, AfterValidator(crash)] = Field(default="", description="x", json_schema_extra=BY_METADATA)


class Sites:
    @lastcall.hookimpl
    def plugin_options(self) -> Any:
        return PluginOptions(guest=SiteOptions)


@pytest.mark.parametrize("site", ["exit", "error", "hang"])
def test_a_validator_of_a_plugin_that_fails_at_what_metadata_says_costs_that_guest_that_key(
    tmp_path: Path, site: str
) -> None:
    metadata = {"sites": f"{{site: {site}}}", "timeout": "7s"}
    deaf = frozenset({"acpi"})
    odd, other = FakeGuest("odd", deaf_to=deaf, traits=GuestFacts(metadata=metadata)), FakeGuest("other")
    config = "defaults: {stop: [acpi, save]}"
    report = run_shutdown(tmp_path, [odd, other], plugins={"sites": Sites()}, config=config, reason=Reason.POWER)
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED, Outcome.SAVED}
    assert by_name(report, "odd").attempts[0].duration == pytest.approx(7), "its other key counts"
    (problem,) = report.problems
    assert (problem.what, problem.where) == ("metadata", "odd")
    assert "site" in problem.message
