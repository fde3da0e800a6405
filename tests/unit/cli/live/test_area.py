"""The lines of the live view: for every size of a terminal, in every encoding, and true."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from lastcall import Outcome, Reason, RunKind
from lastcall.cli.live.area import Area
from lastcall.cli.live.cells import cells_of, cut, cut_in_the_middle, filled
from lastcall.cli.live.interruption import ctrl_c_line
from lastcall.cli.live.paint import Paint
from lastcall.records.records import (
    GuestAsked,
    GuestBegun,
    GuestEnded,
    GuestPlanned,
    HookBegun,
    Record,
    RunInterrupted,
    RunJoined,
)
from unit.cli.live.test_watched_run import begun, guest, run_of

NAMES = (
    "db-1",
    "数据库-主服务器-一号-备用",
    "🦊 fox",
    "x" * 87,
    "[bold]web[/bold]",
    "evil\x1b[2J\x9b",
    "c\u0327e\u0301dille",
)


def crowd(count: int) -> list[Record]:
    names = [f"web-{number}" for number in range(count)]
    return [
        *(GuestPlanned(at=0.4, guest=guest(name)) for name in names),
        *(GuestAsked(at=1.0, guest=guest(name).key, method="acpi", until=500.0 - number)
          for number, name in enumerate(names)),
    ]  # fmt: skip


def plain(lines: Sequence[str]) -> list[str]:
    return [re.sub(r"\033\[\d+m", "", line) for line in lines]


def lines_of(records: Sequence[Record], now: float = 10.0, width: int = 79, height: int = 22, **how: bool) -> list[str]:
    return plain(Area(Paint.of("utf-8"), **how).lines(run_of(*records), now, width, height))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "no-such-encoding"])
@pytest.mark.parametrize(("width", "height"), [(79, 22), (119, 38), (39, 8), (20, 3), (5, 1), (199, 60)])
def test_it_has_room_wherever_it_is_drawn_and_nothing_in_it_moves_the_cursor(
    width: int, height: int, encoding: str
) -> None:
    if encoding == "no-such-encoding":
        with pytest.raises(LookupError):
            Paint.of(encoding).text("a")
        return
    moving = [
        record
        for name in NAMES
        for record in (
            GuestPlanned(at=0.4, guest=guest(name)),
            HookBegun(at=1.0, guest=guest(name).key, hook="on_guest_stop", plugin=name, until=9.0),
        )
    ]
    lines = plain(Area(Paint.of(encoding)).lines(run_of(*moving, *crowd(50)), 3.0, width, height))
    assert 0 < len(lines) <= height
    assert [line for line in lines if cells_of(line) > width] == []
    assert [line for line in lines if not line.isprintable() and "\u0327" not in line] == []
    for line in lines:
        line.encode(encoding)


def test_each_row_has_its_columns_in_the_same_cells() -> None:
    records = [
        one
        for name in NAMES
        for one in (GuestPlanned(at=0.4, guest=guest(name)), GuestBegun(at=1.0, guest=guest(name).key))
    ]
    rows = lines_of(records)[: len(NAMES)]
    assert {cells_of(row[: row.index("to be asked")]) for row in rows} == {2 + 79 // 3 + 2}
    assert {cells_of(row) for row in rows} == {79}
    assert "[bold]web[/bold]" in "".join(rows)
    assert "evil\\x1b[2J\\x9b" in "".join(rows)
    assert any(re.search(r"  x{13}…x{12}  ", row) for row in rows)


def test_of_too_many_those_nearest_their_end_are_shown_and_the_others_counted() -> None:
    lines = lines_of(crowd(50), height=10)
    assert [line.split()[0] for line in lines[:5]] == ["web-49", "web-48", "web-47", "web-46", "web-45"]
    assert lines[5:7] == ["  … and 45 more", "shutdown: 0 of 50 done · 50 moving"]
    assert re.fullmatch(r"  web-49  acpi +9s +7min21s left", lines[0])
    assert len(lines) == 10


def test_what_is_done_is_counted_and_the_time_stands_beside_its_moments() -> None:
    ended = [GuestEnded(at=2.0, guest=guest("web-0").key, outcome=Outcome.STOPPED)]
    waits = [GuestPlanned(at=0.4, guest=guest("late"))]
    lines = lines_of([*crowd(2), *waits, *ended], now=300.2)
    assert lines[1] == "shutdown: 1 of 3 done (1 stopped) · 1 moving · 1 to come"
    assert re.fullmatch(r"█{31,33}░+┃░+┃░+ 5min of 10min", lines[2])
    assert lines[3] == "everybody is asked in 4min · last resort in 4min30s"


@pytest.mark.parametrize(
    ("reason", "forces", "interrupted", "now", "words"),
    [
        (Reason.POWEROFF, False, 0, 10.0, "everybody is asked in 8min50s · last resort in 9min20s"),
        (Reason.MANUAL, False, 0, 10.0, "everybody is asked in 8min50s · who still runs is left in 9min20s"),
        (Reason.MANUAL, True, 0, 10.0, "everybody is asked in 8min50s · last resort in 9min20s"),
        (Reason.MANUAL, False, 1, 10.0, "who still runs is left in 9min20s"),
        (Reason.POWEROFF, False, 0, 545.0, "last resort in 25s"),
        (Reason.POWEROFF, False, 0, 580.0, "the last resort is taken"),
    ],
)
def test_the_moments_to_come_are_those_of_this_run(
    reason: Reason, forces: bool, interrupted: int, now: float, words: str
) -> None:
    run = run_of(*crowd(1), first=begun(reason=reason))
    if interrupted:
        run.take(RunInterrupted(at=5.0, times=1, last_ask=540.0, last_resort=570.0))
    assert words in plain(Area(Paint.of("utf-8"), forces=forces).lines(run, now, 119, 20))


def test_a_run_without_a_deadline_has_no_bar() -> None:
    first = begun(reason=Reason.MANUAL, deadline=None, last_ask=None, last_resort=None)
    moving = [GuestPlanned(at=0.4, guest=guest("a")), GuestBegun(at=1.0, guest=guest("a").key)]
    lines = plain(Area(Paint.of("utf-8")).lines(run_of(*moving, first=first), 70.0, 79, 20))
    assert lines[2] == "70s, and as long as it takes"
    assert "left" not in lines[0]
    assert len(lines) == 4


RESTORE: dict[str, Any] = {"kind": RunKind.RESTORE, "last_ask": None, "last_resort": None}
INTERRUPTED = [RunInterrupted(at=1.0, times=times, last_ask=540.0, last_resort=570.0) for times in range(3)]


@pytest.mark.parametrize(
    ("first", "records", "now", "line"),
    [
        (begun(), [], 10.0, "Ctrl-C: everybody is asked now, the last resort taken 5s later"),
        (begun(last_ask=568.0), [], 10.0, "Ctrl-C: everybody is asked now, the last resort taken 2s later"),
        (begun(), [], 569.0, "Ctrl-C: everybody is asked now, the last resort taken 1s later"),
        (begun(), INTERRUPTED[1:2], 10.0, "Ctrl-C again: the last resort at once"),
        (begun(), INTERRUPTED[2:], 10.0, "Ctrl-C changes nothing any more"),
        (begun(), [], 571.0, "Last resort: Ctrl-C leaves 5s at most to those that are asked late"),
        (begun(), INTERRUPTED[1:2], 571.0, "Last resort: Ctrl-C again leaves no time to those that are asked late"),
        (begun(), [HookBegun(at=9.0, guest=None, hook="post_shutdown", plugin="p")], 10.0,
         "Ctrl-C changes nothing any more"),
        (begun(), [HookBegun(at=9.0, guest=None, hook="pre_shutdown", plugin="p")], 10.0,
         "Ctrl-C: everybody is asked now, the last resort taken 5s later"),
        (begun(reason=Reason.MANUAL), [], 10.0, "Ctrl-C: nobody else is asked, those that were asked are waited for"),
        (begun(reason=Reason.MANUAL), INTERRUPTED[1:2], 10.0,
         "Ctrl-C again: nobody is waited for; who still runs is left running"),
        (begun(reason=Reason.MANUAL), INTERRUPTED[2:], 10.0, "Ctrl-C changes nothing any more"),
        (begun(reason=Reason.MANUAL),
         [*INTERRUPTED[1:2], RunJoined(at=2.0, reason=Reason.POWER, deadline=90.0, last_ask=60.0, last_resort=70.0)],
         10.0, "Ctrl-C: everybody is asked now, the last resort taken 5s later"),
        (begun(reason=Reason.MANUAL, **RESTORE), [], 10.0,
         "Ctrl-C: nobody else is started, those that are being started are waited for"),
        (begun(reason=Reason.MANUAL, **RESTORE), INTERRUPTED[1:2], 10.0,
         "Ctrl-C again: nobody is waited for; the rest stays on the list"),
        (begun(reason=Reason.BOOT, **RESTORE), [], 10.0, "Ctrl-C: nobody else is started, and nobody waited for"),
        (begun(reason=Reason.BOOT, **RESTORE), INTERRUPTED[1:2], 10.0, "Ctrl-C changes nothing any more"),
    ],
)  # fmt: skip
def test_the_last_line_says_what_ctrl_c_does_just_now(
    first: Record, records: list[Record], now: float, line: str
) -> None:
    run = run_of(*crowd(1), *records, first=first)  # pyright: ignore[reportArgumentType]
    assert ctrl_c_line(run, now) == line
    assert plain(Area(Paint.of("utf-8")).lines(run, now, 79, 20))[-1] == line
    assert len(line) < 79
    assert line not in plain(Area(Paint.of("utf-8"), heeds=False).lines(run, now, 79, 20)), "where it is ignored"


def test_colours_are_for_those_who_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = Area(Paint.of("utf-8")).lines(run_of(*crowd(1)), 10.0, 79, 20)
    assert any("\033[" in line for line in coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    assert Area(Paint.of("utf-8")).lines(run_of(*crowd(1)), 10.0, 79, 20) == plain(coloured)


def test_a_terminal_that_knows_ascii_alone_gets_a_bar_as_well() -> None:
    lines = plain(Area(Paint.of("ascii")).lines(run_of(*crowd(50)), 300.0, 79, 9))
    assert lines[4:6] == ["  ... and 46 more", "shutdown: 0 of 50 done, 50 moving"]
    assert re.fullmatch(r"#+\.+\|\.+\|\.+ 5min of 10min", lines[6])


def test_letters_take_the_cells_that_terminals_give_them() -> None:
    assert [cells_of(text) for text in ("db-1", "数据库", "🦊", "c\u0327a", "")] == [4, 6, 2, 2, 0]
    assert cut_in_the_middle("数据库主服务器", 9) == "数据…务器"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [1, 2, 5, 10, 26])
def test_a_name_that_is_cut_keeps_both_its_ends_and_takes_no_more_cells_than_it_may(name: str, width: int) -> None:
    short, head = cut_in_the_middle(name, width), cut(name, width)
    assert max(cells_of(short), cells_of(head)) <= width
    assert cells_of(filled(short, width)) == width
    if cells_of(name) <= width:
        assert short == head == name
    elif width >= 5:
        before, _, after = short.partition("…")
        assert name.startswith(before)
        assert name.endswith(after)
        assert head == cut(name, width)
