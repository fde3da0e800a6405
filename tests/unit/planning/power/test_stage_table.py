"""The stages in their order, as `plan --reason shed` shows them."""

from lastcall.config.compose import Vocabulary
from lastcall.config.load import parse
from lastcall.config.policies import Policies
from lastcall.ordering.graph import make_graph
from lastcall.planning.power.stage_table import stage_lines, stage_table
from lastcall.planning.power.stages import SheddingOrder, sheddings
from lastcall.testing.memory import FakeGuest


def lines(config: str, *names: str) -> list[str]:
    policies, guests = Policies(parse(config).settings(Vocabulary())), [FakeGuest(name).guest for name in names]
    return list(
        stage_lines(stage_table(SheddingOrder(sheddings(guests, policies), make_graph(guests, policies, ())), guests))
    )


def test_those_by_time_come_first_then_those_by_charge_and_by_runtime_in_the_order_in_which_they_come() -> None:
    config = """
guests:
  - {match: "web-*", shed: {runtime_below: 5min, after: 5min}}
  - {match: build, shed: 0s}
  - {match: mail, shed: {below: 30%, runtime_below: 15min}}
  - {match: db, shed: {below: 60%}}
"""
    assert lines(config, "db", "web-1", "mail", "web-2", "build", "other") == [
        "after 0s on battery: build",
        "after 5min on battery: web-1, web-2",
        "below 60% of charge: db",
        "below 30% of charge: mail",
        "below 15min of runtime: mail",
        "below 5min of runtime: web-1, web-2",
    ]


def test_whom_a_guest_waits_for_and_who_keeps_it_for_good_is_said() -> None:
    config = """
guests:
  - {match: web, depends_on: db, shed: 20min}
  - {match: db, depends_on: storage, shed: 5min}
  - {match: storage, shed: 1h}
  - {match: cache, shed: 5min}
  - {match: app, depends_on: cache}
"""
    assert lines(config, "web", "db", "storage", "cache", "app") == [
        "after 5min on battery: db (not before web), cache (never, as long as app needs it)",
        "after 20min on battery: web",
        "after 1h on battery: storage",
    ]
    assert lines(config, "db", "storage")[0] == "after 5min on battery: db", "of those that run"


def test_where_nobody_is_shed_there_is_no_stage() -> None:
    assert lines("{}", "web", "db") == []
