"""Guests that others need which stay: as they are to be shed, and as the host sleeps."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from lastcall import Guest
from lastcall.checks.power.sheds_otherwise import sheds_otherwise
from lastcall.checks.power.sleeps_apart import sleeps_apart
from lastcall.config.compose import Vocabulary
from lastcall.config.load import parse
from lastcall.config.policies import Policies
from lastcall.errors import Problem
from lastcall.testing.memory import FakeGuest

Look = Callable[[Sequence[Guest], Policies], Iterator[Problem]]


def found(look: Look, config: str, *names: str) -> dict[str, str]:
    policies = Policies(parse(f"guests: [{config}]").settings(Vocabulary()))
    return {one.where: one.message for one in look([FakeGuest(name).guest for name in names], policies)}


WEB = "{match: web, depends_on: app, shed: 5min}, {match: app, depends_on: db, shed: %s}, {match: db, shed: %s}"


@pytest.mark.parametrize(
    ("app", "db", "early"),
    [
        ("5min", "5min", {}),
        ("{below: 40%}", "20min", {}),
        ("5min", "1min", {"db": "after 60s on battery it stays all the same: web needs it, and is shed after 5min"}),
        ("{below: 30%}", "{below: 60%}", {"db": "below 60% of charge it stays all the same: app needs it"}),
        ("{runtime_below: 5min}", "{runtime_below: 10min}", {"db": "below 10min of runtime it stays"}),
        ("{below: 60%}", "{below: 30%}", {}),
        ("8min", "1min", {"db": "after 60s on battery it stays all the same: app needs it, and is shed after 8min"}),
        ("never", "1min", {"db": "has no effect: app needs it and is never shed"}),
    ],
    ids=[
        "together",
        "by another measure",
        "by others",
        "by charge",
        "by runtime",
        "in time",
        "the last of them counts",
        "never, and that alone is told",
    ],
)
def test_a_stage_before_that_of_a_guest_which_needs_it_is_told_where_it_is_before_it_for_certain(
    app: str, db: str, early: dict[str, str]
) -> None:
    told = found(sheds_otherwise, WEB % (app, db), "web", "app", "db")
    assert told.keys() == early.keys()
    assert all(told[name].startswith(words) for name, words in early.items())
    assert found(sheds_otherwise, WEB % (app, db), "db") == {}, "nobody who needs it runs"


@pytest.mark.parametrize(
    ("web", "told"),
    [
        ("", "is paused for a sleep of the host while web, which needs it, runs on"),
        ("sleep: pause", ""), ("sleep: save", ""),
        ("sleep: pause, manage: false", "is paused for a sleep of the host while web, which needs it, runs on"),
    ],
)  # fmt: skip
def test_a_guest_that_sleeps_with_the_host_while_one_that_needs_it_runs_on_is_told(web: str, told: str) -> None:
    needed = "{match: app, depends_on: db, sleep: save}, {match: db, sleep: pause}"
    config = f"{{match: web, depends_on: app, {web}}}, {needed}"
    messages = found(sleeps_apart, config, "web", "app", "db")
    assert messages.get("db", "") == told
    assert ("app" in messages) == bool(told), "saved, and needed as well"
    assert found(sleeps_apart, config, "app", "db") == {}


def test_who_does_not_sleep_is_not_told_of() -> None:
    assert (
        found(sleeps_apart, "{match: web, depends_on: db}, {match: db, manage: false, sleep: save}", "web", "db") == {}
    )
