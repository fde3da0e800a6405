"""Whose a guest is: `manage` has three answers, and nobody may take one that is watched for ours."""

import re
from pathlib import Path

import pytest

import lastcall
from lastcall.checks.moving.travellers import travellers
from lastcall.checks.power.sleeps_apart import sleeps_apart
from lastcall.config.compose import Vocabulary
from lastcall.config.load import parse
from lastcall.config.policies import Policies
from lastcall.config.policy.management import is_ours, is_watched
from lastcall.testing.memory import FakeGuest
from lastcall_plugins.migrate import Migrate

CORE = Path(lastcall.__file__).parent
RULES = """
- {match: db, sleep: pause}
- {match: web, depends_on: db, sleep: pause, manage: %s, stop: [{migrate: {to: "qemu+tls://hb/system"}}]}
"""


def rules(manage: str) -> Policies:
    return Policies(parse(f"guests:{RULES % manage}").settings(Vocabulary(methods={"migrate": Migrate()})))


@pytest.mark.parametrize(
    ("manage", "ours", "watched"), [("true", True, False), ("false", False, False), ("watch", False, True)]
)
def test_who_is_watched_is_not_ours_wherever_that_is_asked(manage: str, ours: bool, watched: bool) -> None:
    policies, (db, web) = rules(manage), (FakeGuest("db").guest, FakeGuest("web").guest)
    assert (is_ours(policies.of(web)), is_watched(policies.of(web))) == (ours, watched)
    assert [one.guest.name for one in travellers([db, web], policies)] == (["web"] if ours else [])
    assert [one.where for one in sleeps_apart([db, web], policies)] == ([] if ours else ["db"]), "web runs on"


def test_nobody_asks_for_it_in_another_way() -> None:
    asking = re.compile(r"\.manage\b")
    found = {str(path.relative_to(CORE)) for path in CORE.rglob("*.py") if asking.search(path.read_text())}
    assert found == {"config/policy/management.py"}
