"""Two guests of one name on two connections: whoever is told of them is told which is which, and whoever is told of
guests whose names differ is told what he was always told.
"""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from lastcall import Guest, GuestNames, Reason, Report, RunKind
from lastcall.cli.dry_run.facts import plan_json
from lastcall.cli.dry_run.look import PlanSeen, look_at_plan
from lastcall.cli.invocation import Invocation
from lastcall.cli.live.area import Area
from lastcall.cli.live.paint import Paint
from lastcall.cli.live.watched_run import WatchedRun
from lastcall.config.settings import PathSettings
from lastcall.formats.layout.screen import PLAIN, Screen
from lastcall.persistence.motd import Motd
from lastcall.persistence.state import StateFile
from lastcall.planning.selection import Selection
from lastcall.records.records import Record
from lastcall.report import timetable
from lastcall.report.drills.drilled_guests import drill_table, drilled_guests
from lastcall.report.narrator import Narrator
from lastcall.report.page.html_report import run_stories
from lastcall.report.page.web_page import as_page
from lastcall.report.run_comparison import comparison_text
from lastcall.report.run_history import PastRun
from lastcall.report.text import as_text, report_json
from lastcall.report.unseen import SeenRuns, login_words
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.request import RunRequest
from lastcall.systemd.status_lines import StatusLines
from lastcall.testing.memory import FakeGuest, FakeHypervisor, InlineWorkers, VirtualLoop, run_shutdown
from lastcall.testing.memory.runs import load_in_memory, own_places
from lastcall_plugins.notify.wording import facts_of

HERE, THERE = "fake:///system", "fake+ssh://root@hb/system"
ALIKE, APART = ("web", "web"), (f"web ({HERE})", "web (hb)")
LONG = "a-database-of-the-accounts-department-in-frankfurt"
DEAF = frozenset({"acpi", "agent"})
NARROW = Screen(width=80)
Told: TypeAlias = Callable[[Path, Sequence[str]], str]


def guests(names: Sequence[str]) -> list[FakeGuest]:
    """One here that obeys, one over there that is deaf, and one more, whose name nobody else has."""
    return [
        FakeGuest(names[0], uri=HERE, uuid="11111111-2222-3333-4444-555555555555"),
        FakeGuest(names[1], uri=THERE, uuid="21111111-2222-3333-4444-555555555555", deaf_to=DEAF),
        FakeGuest("db", uri=HERE, uuid="31111111-2222-3333-4444-555555555555", takes=2),
    ]


def stopped(folder: Path, names: Sequence[str], sink: Callable[[Record], None] | None = None) -> Report:
    def take(record: Record) -> None:
        if sink:
            sink(record)

    return run_shutdown(folder, guests(names), reason=Reason.POWEROFF, sink=take)


def report(folder: Path, names: Sequence[str]) -> str:
    return as_text(stopped(folder, names))


def report_on_a_screen(folder: Path, names: Sequence[str]) -> str:
    return as_text(stopped(folder, names), NARROW)


def lines_meanwhile(folder: Path, names: Sequence[str]) -> str:
    narrator, lines = Narrator(verbose=True), list[str | None]()
    stopped(folder, names, lambda record: lines.append(narrator.line(record)))
    return "\n".join(filter(None, lines))


def status_of_the_unit(folder: Path, names: Sequence[str]) -> str:
    status, lines = StatusLines(None, None), list[str]()

    def take(record: Record) -> None:
        status.take(record)
        lines.append(status.line(0.0))

    stopped(folder, names, take)
    return "\n".join(lines)


def live_view(folder: Path, names: Sequence[str]) -> str:
    run, area, lines = WatchedRun(), Area(Paint.of("utf-8")), list[str]()

    def take(record: Record) -> None:
        run.take(record)
        lines.extend(area.lines(run, 1.0, 79, 20))

    stopped(folder, names, take)
    return "\n".join(lines)


def unseen_at_login(folder: Path, names: Sequence[str]) -> str:
    stopped(folder, names)
    return re.sub(r"of \d{4}-\d\d-\d\d \d\d:\d\d", "", login_words(SeenRuns(folder).unseen()))


def difference(folder: Path, names: Sequence[str]) -> str:
    first, second = stopped(folder / "first", names), run_shutdown(folder / "second", guests(names))
    lines = comparison_text(PastRun(first, True), PastRun(second, True)).splitlines()
    return "\n".join(lines[2:])  # not when they were


def drill(folder: Path, names: Sequence[str]) -> str:
    done = stopped(folder, names)
    return "\n".join(drill_table(list(drilled_guests([one.guest for one in guests(names)], {}, done, None, {}))))


def plan(folder: Path, names: Sequence[str]) -> str:
    return _planned(folder, names, PLAIN)[0]


def plan_with_bars(folder: Path, names: Sequence[str]) -> str:
    return _planned(folder, names, NARROW)[0]


def _planned(folder: Path, names: Sequence[str], screen: Screen) -> tuple[str, Any]:
    ones = guests(names)
    config = f"guests: [{{match: {{uuid: {ones[1].uuid}}}, depends_on: {{uuid: {ones[0].uuid}}}}}]"
    texts = {Path("<memory>"): own_places(folder, (HERE, THERE)), Path("<text>"): config}
    loaded = load_in_memory(texts).for_reason(Reason.POWEROFF)

    async def look(parts: Parts) -> PlanSeen:
        return await look_at_plan(parts, Selection(()), Invocation())

    with closing(VirtualLoop()) as loop:
        hypervisor = FakeHypervisor(ones, loop)
        outside = Outside(InlineWorkers(), hypervisor, lambda log, _ends: log.take, wait=lambda _event, _seconds: None)
        request = RunRequest(kind=RunKind.SHUTDOWN, reason=Reason.POWEROFF, rehearsal=True, started=0.0)
        parts = assemble(loaded, request, loop, outside)
        seen = loop.run_until_complete(look(parts))
    lines = timetable.as_lines(
        seen.lines, seen.plan.called, seen.outlook, screen, forced=True, whence=False, shed=False
    )
    return "\n".join(lines), json.loads(plan_json(parts, loaded, seen, ()))


def notification(folder: Path, names: Sequence[str]) -> str:
    done = stopped(folder, names)
    run: Any = SimpleNamespace(reason=Reason.POWEROFF, guests=[one.guest for one in guests(names)])
    before, after = facts_of("stopping", "host", run, None), facts_of("forced", "host", run, done)
    return "\n".join([before["names"], after["names"], after["forced"]])


def login(folder: Path, names: Sequence[str]) -> str:
    paths = PathSettings(state=folder, run=folder)
    state = StateFile(folder)
    state.add([one.guest for one in guests(names)], run="r", boot_id="before", cause="host", due=True)
    state.save()
    Motd(paths).refresh(unseen="")
    return re.sub(r"As of .*", "", (folder / "motd").read_text())


TOLD = (
    report, report_on_a_screen, lines_meanwhile, status_of_the_unit, live_view, unseen_at_login, difference, drill,
    plan, plan_with_bars, notification, login,
)  # fmt: skip


@pytest.mark.parametrize("told", TOLD)
def test_who_shares_a_name_is_told_as_if_it_were_called_by_its_name_and_its_host(tmp_path: Path, told: Told) -> None:
    alike, apart = told(tmp_path / "alike", ALIKE), told(tmp_path / "apart", APART)
    assert alike == apart
    assert "web (hb)" in alike


@pytest.mark.parametrize("told", TOLD)
def test_who_has_a_name_for_itself_is_told_by_it_alone_wherever_it_is(tmp_path: Path, told: Told) -> None:
    text = told(tmp_path, ("web", "mail"))
    assert "mail" in text
    assert "(hb)" not in text
    assert f"({HERE})" not in text


@pytest.mark.parametrize("told", [report_on_a_screen, plan_with_bars, live_view])
def test_on_a_narrow_screen_a_name_is_cut_and_where_it_is_is_not(tmp_path: Path, told: Told) -> None:
    text = told(tmp_path, (LONG, LONG))
    assert LONG not in text
    assert "… (hb)" in re.sub(r"(?<=…)\S+", "", text)
    assert f"… ({HERE})" in re.sub(r"(?<=…)\S+", "", text)


def test_of_two_of_one_name_the_one_that_was_forced_off_is_unseen_and_told_apart_from_the_other(tmp_path: Path) -> None:
    stopped(tmp_path, ALIKE)
    (one,) = SeenRuns(tmp_path).unseen()
    assert one.line.endswith(": 1 forced (web (hb))")
    assert [guest.name for guest in one.run.guests] == ["web"], "what programs read is as it was"


def test_on_the_page_a_fault_a_path_and_a_heading_say_which_of_two_it_was(tmp_path: Path) -> None:
    text = as_page(list(run_stories([PastRun(stopped(tmp_path, ALIKE), True)], [])))
    assert "<bdi>web (hb)</bdi></a> was forced off" in text
    assert '<summary><bdi class="name">web (hb)</bdi>' in text
    assert f'<summary><bdi class="name">web ({HERE})</bdi>' in text


def test_what_programs_read_has_the_names_as_they_are(tmp_path: Path) -> None:
    done = json.loads(report_json(stopped(tmp_path, ALIKE)))
    assert [guest["name"] for guest in done["guests"]] == ["db", "web", "web"]
    planned = _planned(tmp_path, ALIKE, PLAIN)[1]
    assert sorted(guest["name"] for guest in planned["guests"]) == ["db", "web", "web"]
    assert [guest["waits_for"] for guest in planned["guests"] if guest["waits_for"]] == [["web"]]
    assert set(planned["run"]["worst"]["path"]) <= {"web", "db"}


def one(name: str, uri: str, uuid: str = "1") -> Guest:
    return Guest(uri=uri, uuid=uuid, name=name)


@pytest.mark.parametrize(
    ("there", "called"),
    [
        ([one("web", "qemu:///system"), one("db", "qemu:///system", "2")], ["web", "db"]),
        ([one("web", "qemu+tls://ha/system"), one("web", "qemu+ssh://me@hb/system")], ["web (ha)", "web (hb)"]),
        ([one("web", "qemu:///system"), one("web", "lxc:///system")], ["web (qemu:///system)", "web (lxc:///system)"]),
        (
            [one("web", "qemu+ssh://hb/system"), one("web", "lxc+ssh://hb/system"), one("web", "qemu+ssh://hc/system")],
            ["web (qemu+ssh://hb/system)", "web (lxc+ssh://hb/system)", "web (qemu+ssh://hc/system)"],
        ),
        (
            [one("web", "qemu:///system"), one("web", "qemu:///system", "2")],
            ["web (qemu:///system, 1)", "web (qemu:///system, 2)"],
        ),
        (
            [one("web", "qemu+tls://ha/s"), one("web", "qemu+tls://hb/s"), one("web (hb)", "qemu+tls://ha/s", "2")],
            ["web (qemu+tls://ha/s)", "web (qemu+tls://hb/s)", "web (hb)"],
        ),
    ],
    ids=["none alike", "hosts", "drivers", "one host twice", "made anew", "called like another one's place"],
)
def test_namesakes_are_told_apart_by_as_little_as_does(there: list[Guest], called: list[str]) -> None:
    assert list(GuestNames(there).values()) == called
    assert len(set(called)) == len(there)


def test_from_the_moment_at_which_a_second_one_is_known_both_are_told_apart() -> None:
    first, second = one("web", "qemu+tls://ha/s"), one("web", "qemu+tls://hb/s")
    names = GuestNames([first])
    assert (names.of(first), names.place(first)) == ("web", "")
    names.add(second)
    assert (names.of(first), names.place(first)) == ("web (ha)", " (ha)")
    names.add(one("mail", second.uri))  # renamed
    assert (names.of(first), names[second.key], len(names)) == ("web", "mail", 2)


def test_nobody_was_told_apart_who_is_not_there() -> None:
    with pytest.raises(KeyError):
        GuestNames().of(one("web", HERE))
