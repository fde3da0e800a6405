"""A rule that is for no guest there is: a warning with its place and the nearest name."""

import pytest

from lastcall import Guest, GuestState
from lastcall.checks.idle_rules import idle_rules
from lastcall.config.compose import Vocabulary
from lastcall.config.load import parse
from lastcall.errors import Severity

GUESTS = [
    Guest(uri="qemu:///system", uuid="11111111-0000-0000-0000-000000000000", name="db-1"),
    Guest(uri="qemu:///system", uuid="22222222-0000-0000-0000-000000000000", name="web", state=GuestState.OFF),
    Guest(uri="lxc:///", uuid="33333333-0000-0000-0000-000000000000", name="db[2]"),
]


def idle(rules: str) -> list[str]:
    document = parse(f"guests:\n{rules}", "c.yaml")
    found = list(idle_rules(document.node, document.settings(Vocabulary()).guests, GUESTS))
    assert all(problem.severity is Severity.WARNING for problem in found)
    return [f"{problem.where}: {problem.message}" for problem in found]


@pytest.mark.parametrize(
    "match",
    ["db-1", "web", "'db*'", "'*'", "'db[2]'", "{uuid: 22222222-0000-0000-0000-000000000000}", "{uri: 'lxc:*'}",
     "{name: web, uri: 'qemu:*'}", "{state: paused}", "{name: web, state: crashed}"],
)  # fmt: skip
def test_a_rule_for_a_guest_that_is_there_running_or_off_whatever_it_does_now_is_none(match: str) -> None:
    assert idle(f"  - {{match: {match}}}") == []


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("db1", "is called 'db1'; did you mean 'db-1'?"),
        ("'wep*'", "is called 'wep*'; did you mean 'web'?"),
        ("'*-dp[0-9]'", "is called '*-dp[0-9]'"),
        ("nothing-like-it", "is called 'nothing-like-it'"),
        ("{name: web, uri: 'lxc:*'}", "is called 'web' and is on 'lxc:*'; did you mean 'lxc:///'?"),
        ("{uri: 'qemu:///sytem'}", "is on 'qemu:///sytem'; did you mean 'qemu:///system'?"),
        ("{uuid: 11111111-0000-0000-0000-000000000001}",
         f"has the UUID '{GUESTS[0].uuid[:-1]}1'; did you mean '{GUESTS[0].uuid}'?"),
    ],
)  # fmt: skip
def test_a_rule_for_no_guest_is_told_with_its_place_and_the_nearest_there_is(match: str, message: str) -> None:
    assert idle(f"  - {{match: web}}\n  - {{match: {match}}}") == [
        f"c.yaml:3:6: guests[1].match: no guest, running or defined, {message}"
    ]
