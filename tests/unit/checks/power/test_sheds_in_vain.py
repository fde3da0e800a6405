"""A `shed` without effect: whoever needs the guest is never shed."""

import pytest

from lastcall.checks.power.sheds_otherwise import sheds_otherwise
from lastcall.config.compose import Vocabulary
from lastcall.config.load import parse
from lastcall.config.policies import Policies
from lastcall.errors import Severity
from lastcall.testing.memory import FakeGuest


def in_vain(config: str, *names: str) -> dict[str, tuple[str, str]]:
    policies = Policies(parse(config).settings(Vocabulary()))
    found = list(sheds_otherwise([FakeGuest(name).guest for name in names], policies))
    assert all((one.what, one.severity) == ("shed", Severity.WARNING) for one in found)
    return {one.where: (one.message, one.remedy) for one in found}


@pytest.mark.parametrize(
    "needing",
    ["{match: web, depends_on: app}, {match: app, depends_on: db, shed: 1min}", "{match: db, order: 1}",
     "{match: web, depends_on: db, manage: false, shed: 1min}"],
    ids=["by others", "by its order", "not ours"],
)  # fmt: skip
def test_a_shed_of_a_guest_that_others_need_which_are_never_shed_is_told_with_them_and_a_remedy(needing: str) -> None:
    config = f"guests: [{{match: db, shed: {{below: 60%}}}}, {needing}]"
    message, remedy = in_vain(config, "db", "app", "web")["db"]
    assert message.startswith("has no effect: ")
    assert "web" in message
    assert "`shed: never` for db" in remedy


def test_a_shed_has_its_effect_where_others_are_shed_later_or_only_guests_that_are_off_are_in_the_way() -> None:
    config = "guests: [{match: db, shed: 1min}, {match: web, depends_on: db, shed: {runtime_below: 5min}}]"
    assert in_vain(config, "db", "web") == {}
    assert in_vain("guests: [{match: db, shed: 1min}, {match: web, depends_on: db}]", "db", "other") == {}


def test_of_many_that_are_in_the_way_some_are_named() -> None:
    config = "guests: [{match: db, shed: 1min}, {match: 'web-*', depends_on: db}]"
    message, _ = in_vain(config, "db", *(f"web-{number}" for number in range(5)))["db"]
    assert message == "has no effect: web-0, web-1, web-2 and 2 more need it and are never shed"
