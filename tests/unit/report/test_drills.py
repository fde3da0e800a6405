"""What is told of drills, and what is kept of the last one."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Guest, HookFailed, Reason
from lastcall.planning.forecast import Forecast
from lastcall.planning.history import Usual
from lastcall.planning.hook_times import HookTimes
from lastcall.planning.worst_case import Outlook
from lastcall.report.drills.drilled_guests import drill_table, drilled_guests
from lastcall.report.drills.last_drill import LastDrill, drill_words, last_drill, note_drill
from lastcall.report.drills.power_cut import PowerCut, power_cut_line
from lastcall.testing.memory import FakeGuest, run_restore, run_shutdown
from lastcall.timing.deadline import Deadline

URI = "fake:///system"
WELL = LastDrill(
    started="2026-11-27T05:40:00+00:00", shutdown="a", restore="b", complete=True, as_planned=True, guests=3, failed=()
)


def outlook(usual: Mapping[str, float], unknown: tuple[str, ...] = (), *, deadline: float = 600) -> Outlook:
    """Guests that all go at once, and take so many seconds as a rule and ten times that at worst."""
    keys = {(URI, name): time for name, time in usual.items()}
    worst = {key: 10 * time for key, time in keys.items()} | {(URI, name): 90.0 for name in unknown}
    longest = max(worst, key=lambda key: worst[key])
    return Outlook(
        usual=Forecast(dict.fromkeys(keys, 0.0), keys, tuple(keys)),
        worst=Forecast(dict.fromkeys(worst, 0.0), worst, (longest,)),
        hooks=HookTimes(),
        own={key: Usual(time, time, 3) for key, time in keys.items()},
        unknown=frozenset((URI, name) for name in unknown),
        endless=frozenset(),
        deadline=Deadline.after(0.0, deadline, reserve=30, grace=30, heard=False),
    )


def line(found: Outlook) -> str:
    unknown = tuple(sorted(name for _, name in found.unknown))
    return power_cut_line(PowerCut(found.in_short, unknown, unknown))


def test_a_power_cut_takes_as_long_as_guests_take_as_a_rule_and_whom_nobody_knows_is_named() -> None:
    assert line(outlook({"db": 220})) == "tonight's power cut would take 3min40s; the deadline is 10min"
    assert line(outlook({"db": 12.2}, ("web", "mail"))) == (
        "tonight's power cut would take at least 13s; the deadline is 10min "
        "(no run has seen mail, web go; at worst 2min2s)"
    )
    many = tuple(f"web-{number}" for number in range(9))
    assert line(outlook({}, many)) == (
        "how long tonight's power cut would take is not known; the deadline is 10min "
        "(no run has seen web-0, web-1, web-2 and 6 more go; at worst 90s)"
    )


def test_where_guests_take_longer_than_there_is_it_says_from_when_they_are_forced_off() -> None:
    assert line(outlook({"db": 565}, deadline=600)).endswith("the deadline is 10min")
    assert line(outlook({"db": 575}, deadline=600)).endswith(
        "the deadline is 10min, and who still runs after 9min30s is forced off"
    )


def test_a_guest_whose_hook_failed_did_not_go_as_planned_and_it_says_which(tmp_path: Path) -> None:
    class Flush:
        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest) -> None:
            if guest.name == "db":
                raise HookFailed("no proof")

    guests = [FakeGuest("db"), FakeGuest("web")]
    stopped = run_shutdown(tmp_path, guests, plugins={"flush": Flush()}, reason=Reason.DRILL)
    restored = run_restore(tmp_path, guests)
    db, web = drilled_guests([one.guest for one in guests], {}, stopped, restored, {})
    assert (db.as_planned, db.failed_hooks, web.as_planned) == (False, ("on_guest_stop of flush",), True)
    (line,) = (line for line in drill_table([db, web]) if line.startswith("✗"))
    assert line.endswith("stopped, started: on_guest_stop of flush failed")


def test_what_is_kept_of_a_drill_is_what_is_read(tmp_path: Path) -> None:
    assert last_drill(tmp_path) is None
    note_drill(tmp_path, WELL)
    assert last_drill(tmp_path) == WELL
    assert (tmp_path / "drill.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "7", '{"version": 1}', "\x00", "{" * 40, '{"version": 2, ', "é" * 70000]
)
def test_a_file_that_says_nothing_of_a_drill_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "drill.json").write_text(content)
    assert last_drill(tmp_path) is None


@pytest.mark.parametrize(
    ("field", "odd"), [("started", "yesterday"), ("started", 7), ("guests", "many"), ("failed", "db"), ("version", 2)]
)
def test_neither_does_one_with_a_field_that_says_something_else(tmp_path: Path, field: str, odd: object) -> None:
    note_drill(tmp_path, WELL)
    file = tmp_path / "drill.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: odd}))
    assert last_drill(tmp_path) is None


@pytest.mark.parametrize(
    ("drill", "told"),
    [
        ({}, "3 guests: all went and came back as planned"),
        ({"guests": 1}, "1 guest: all went and came back as planned"),
        ({"as_planned": False, "failed": ("db left", "web-1 stopped, unready")}, "db left, web-1 stopped, unready"),
        ({"as_planned": False, "failed": tuple(f"g-{number} left" for number in range(9))}, "g-4 left and 4 more"),
        ({"as_planned": False}, "3 guests: not as planned"),
        ({"complete": False, "as_planned": False}, "did not come to its end"),
    ],
)
def test_the_line_of_a_drill_says_how_it_ended(drill: dict[str, Any], told: str) -> None:
    fields = {one.name: getattr(WELL, one.name) for one in dataclasses.fields(WELL)}
    assert told in drill_words(LastDrill(**{**fields, **drill}))
