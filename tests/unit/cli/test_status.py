"""What `lastcall status` shows: duty, who waits, who is there, how the last run went, what the next stop is like."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lastcall.api.guests import GuestState, Outcome, Reason
from lastcall.api.results import StopForecast
from lastcall.cli.status.facts import StatusFacts, gather
from lastcall.cli.status.lines import status_lines
from lastcall.config.paths import Places
from lastcall.errors import Problem
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.screen import PLAIN, Screen
from lastcall.persistence.boot_stamp import BootStamp, boot_id
from lastcall.persistence.state import StateFile
from lastcall.planning.last_outlook import KeptForecast, LastOutlook, signature
from lastcall.presence.roll_call import Census, RollCall
from lastcall.testing.memory import FakeGuest, run_shutdown

URI = "qemu:///system"
LONG = "a-virtual-machine-whose-name-somebody-has-made-of-all-that-is-known-of-it-and-more-than-that"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path / "run", connections=(URI, "lxc:///system"))


def planned(ago: float = 3.1 * 86400, **changes: object) -> KeptForecast:
    at = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    found = StopForecast(guests=60, unknown=0, usual=80.0, worst=300.0, last_resort=570.0, deadline=600.0, fits=True)
    forecast = replace(found, **changes)  # pyright: ignore[reportArgumentType]
    return KeptForecast(at=at, reason=Reason.POWEROFF, forecast=forecast, who=signature([]), files=())


def facts(places: Places, **changes: object) -> StatusFacts:
    states = {str(number): GuestState.RUNNING for number in range(58)}
    states |= {"a": GuestState.PAUSED, "b": GuestState.PAUSED, "c": GuestState.OFF}
    found = StatusFacts(
        places=places, on_duty=True, doubts=(), state=StateFile(places.state), waiting=(),
        roll=RollCall(frozenset(), frozenset(), {}), census=Census({URI: states, "lxc:///system": {}}, {}),
        last_runs=(), next_stop=planned(), outdated="", unseen=(), seen=None, last_drill=None, asleep=(),
    )  # fmt: skip
    return replace(found, **changes)  # pyright: ignore[reportArgumentType]


def shown(found: StatusFacts, screen: Screen = PLAIN) -> list[str]:
    return list(status_lines(found, screen))


def waiting(places: Places, *names: str) -> StateFile:
    state = StateFile(places.state)
    guests = [FakeGuest(name) for name in names]
    run_shutdown(places.state, guests, reason=Reason.POWEROFF)
    state.load()
    entries = {key: replace(entry, since=datetime.now(UTC).isoformat()) for key, entry in state.entries.items()}
    state.entries = entries
    return state


def test_a_host_where_all_is_well_takes_a_line_each(places: Places) -> None:
    assert shown(facts(places)) == [
        "on duty",
        "no guest waits to be restored",
        "guests now  58 running, 2 paused, 1 off on qemu:///system",
        "guests now  none on lxc:///system",
        "next stop   60 guests: usually 80s, at worst 5min of 10min; planned 3 days ago",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"guests": 1, "deadline": None}, "1 guest: usually 80s, at worst 5min; planned 3 days ago"),
        (
            {"unknown": 2},
            "60 guests: usually 80s, at worst 5min of 10min; without 2 that no run has stopped yet; planned",
        ),
        (
            {"unknown": 60, "usual": None},
            "60 guests: usually not known yet, at worst 5min of 10min; planned 3 days ago",
        ),
        ({"fits": False, "worst": 900.0}, "usually 80s, at worst 15min of 10min; the worst case does not fit; planned"),
        ({"ago": 3.0}, "10min; planned just now"),
        ({"ago": 3700.0}, "10min; planned 1 hour ago"),
        ({"ago": 150.0}, "10min; planned 2 minutes ago"),
    ],
)
def test_of_the_next_stop_it_says_no_more_than_is_known(places: Places, changes: dict[str, Any], words: str) -> None:
    assert words in shown(facts(places, next_stop=planned(**changes)))[-1]


def test_a_plan_that_may_not_hold_any_more_says_so(places: Places) -> None:
    told = shown(facts(places, outdated="the configuration was changed"))[-1]
    assert told.endswith("; planned 3 days ago, and since then the configuration was changed: `lastcall plan`")
    assert shown(facts(places, next_stop=None))[-1].startswith("next stop   not planned yet: `lastcall plan` tells")


def test_off_duty_it_says_why_and_what_helps(places: Places) -> None:
    doubt = Problem(what="unit", where="lastcall.service", message="is masked", remedy="`systemctl unmask it`")
    told = shown(facts(places, on_duty=False, doubts=(doubt,)))
    assert told[:3] == [
        "not on duty: guests are not stopped with this host",
        "! lastcall.service is masked",
        "  → `systemctl unmask it`",
    ]
    assert shown(facts(places, on_duty=False))[0].endswith("with this host; see `lastcall install`")


def test_a_libvirt_that_does_not_answer_is_named_and_its_guests_are_not_counted(places: Places) -> None:
    silent = Census({"lxc:///system": {"1": GuestState.RUNNING}}, {URI: "no answer within 4 s"})
    told = shown(facts(places, census=silent))
    assert told[2:4] == [
        "guests now  libvirt does not answer for qemu:///system: no answer within 4 s",
        "guests now  1 running on lxc:///system",
    ]


def test_who_waits_is_told_in_the_order_in_which_people_count_and_in_columns(places: Places) -> None:
    state = waiting(places, "db-12", "db-2", "web")
    told = shown(facts(places, state=state, waiting=tuple(state.entries.values())))
    uri = next(iter(state.entries))[0]
    assert [line.partition("  ")[0] for line in told[1:4]] == ["db-2", "db-12", "web"]
    assert [line.index(f"was running on {uri}") for line in told[1:4]] == [7, 7, 7]
    assert all("waits to be restored at the next boot" in line for line in told[1:4])


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (["qemu+tls://hb.example/system"], "moved to hb.example"),
        (["qemu+ssh://root@hb:22/system?no_tty=1"], "moved to hb"),
        (["qemu+tcp://[fd00::7]:16509/system"], "moved to fd00::7"),
        (["qemu+tls://hb/system", "qemu+tls://hc/system"], "may be at hb or hc"),
    ],
)
def test_of_who_was_moved_it_says_where_it_is(places: Places, where: list[str], words: str) -> None:
    state = waiting(places, "web")
    (key,) = state.entries
    state.note_place(key, where)
    roll = RollCall(frozenset(), frozenset([key]), {})
    found = facts(places, state=state, waiting=tuple(state.entries.values()), roll=roll)
    (told,) = [line for line in shown(found) if line.startswith("web")]
    assert f", {words}  " in told
    assert "  away for " in told
    assert json.loads(to_json(found.document()))["guests"][0]["where"] == where


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("coloured", [False, True])
def test_no_line_is_wider_than_the_terminal_and_colours_change_nothing_else(
    places: Places,
    width: int,
    coloured: bool,
) -> None:
    state = waiting(places, LONG, "数据库-1", *(f"db-{number}" for number in range(60)))
    found = facts(
        places, state=state, waiting=tuple(state.entries.values()), next_stop=planned(unknown=3), on_duty=False,
        outdated="the configuration was changed", unseen=(),
    )  # fmt: skip
    lines = shown(found, Screen(width=width, coloured=coloured))
    bare = shown(found, Screen(width=width))
    stripped = [line.replace("\x1b[0m", "") for line in lines]
    for code in ("31", "32", "33", "2"):
        stripped = [line.replace(f"\x1b[{code}m", "") for line in stripped]
    assert stripped == bare
    assert max(map(len, bare)) <= width
    assert any("…" in line for line in bare), "the long name is cut"
    assert any(line.startswith("\x1b[31mnot on duty") for line in lines) == coloured
    assert LONG in "\n".join(shown(found, Screen(width=width, whole=True)))


def test_the_last_run_is_told_with_its_outcome_and_as_json(places: Places) -> None:
    run_shutdown(
        places.state, [FakeGuest("web"), FakeGuest("db", deaf_to=frozenset({"acpi", "agent"}))], reason=Reason.POWEROFF
    )
    found = gather(replace(places, connections=()), StateFile(places.state), ask_systemd=False)
    (told,) = [line for line in shown(found) if line.startswith("last run")]
    assert "shutdown (poweroff) of " in told
    assert told.endswith(": 1 stopped, 1 forced; not everything as planned")
    document = json.loads(to_json(found.document()))
    assert document["last_runs"][0]["outcomes"] == {Outcome.STOPPED.value: 1, Outcome.FORCED.value: 1}
    assert (document["on_duty"], document["next_stop"], document["connections"]) == (False, None, [])
    BootStamp(places.run).begin()
    LastOutlook(places.state).keep(planned())
    again = json.loads(to_json(gather(places, StateFile(places.state), ask_systemd=False).document()))
    assert (again["on_duty"], again["next_stop"]["forecast"]["worst"]) == (True, 300.0)


def test_of_those_that_were_shed_it_says_that_they_come_back_with_the_mains(places: Places) -> None:
    run_shutdown(places.state, [FakeGuest("web"), FakeGuest("db")], reason=Reason.SHED, names=["web"])
    state = StateFile(places.state)
    state.load()
    state.entries = {key: replace(entry, boot_id=boot_id()) for key, entry in state.entries.items()}
    told = shown(facts(places, state=state, waiting=tuple(state.entries.values())))
    assert told[1].startswith("web ")
    assert told[1].endswith("was shed: comes back with the mains, or at the next boot")


def test_that_a_power_off_ends_in_a_reboot_is_said_while_the_host_goes_down(places: Places) -> None:
    assert "this host reboots instead of powering off: the mains are back" in shown(facts(places, reboots=True))
    assert not any("reboots" in line for line in shown(facts(places)))
