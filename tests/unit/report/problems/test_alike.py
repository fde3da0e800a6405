"""Problems that many guests have alike are told as one, and nothing that differs is lost in it."""

import time
from dataclasses import replace

import pytest

from lastcall.errors import Problem, Severity
from lastcall.formats.layout.cells import cell_width
from lastcall.formats.layout.screen import PLAIN, Screen
from lastcall.report.problems.alike import alike_as_one
from lastcall.report.text import all_problem_lines

SCREEN, WHOLE = Screen(width=80), Screen(width=80, whole=True)
WEB = [f"web-{one}" for one in range(1, 41)]
NO_AGENT = Problem(
    what="agent", where="", message="no agent answers", remedy="install qemu-guest-agent", severity=Severity.WARNING
)


def of(name: str, **changes: str) -> Problem:
    return replace(NO_AGENT, **{"where": name, **changes})  # pyright: ignore[reportArgumentType]


def told(problems: list[Problem], names: list[str], screen: Screen = SCREEN) -> list[str]:
    return list(all_problem_lines(problems, names, screen))


def test_what_many_guests_have_alike_is_one_problem_where_the_first_of_them_stood() -> None:
    other = Problem(what="disk", where="/var", message="is full")
    problems = [other, of("web-12"), of("db", message="its agent hangs"), of("mail"), of("web-2"), other]
    assert [(one.where, one.message) for one in alike_as_one(problems, ["db", "mail", "web-2", "web-12"], SCREEN)] == [
        ("/var", "is full"),
        ("/var", "is full"),
        ("mail, web-2, web-12", "no agent answers"),
        ("db", "its agent hangs"),
    ]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_on_a_terminal_the_names_are_the_beginning_of_a_line_and_say_how_many_they_are(width: int) -> None:
    names = [f"{letter * 7}-vm" for letter in "zyxwvutsrqponmlkjihgfedcba"]
    first, *rest = told([of(name) for name in names], names, Screen(width=width))
    assert cell_width(first) <= width
    assert first.startswith("! agent aaaaaaa-vm")
    if width < 200:
        assert "… (26): no agent" in " ".join((first, *rest))
    assert told([of(name) for name in [*WEB, "db"]], [*WEB, "db"])[0] == "! agent db, web-* (40): no agent answers"


def test_in_a_pipe_each_guest_has_a_line_of_its_own() -> None:
    problems = [of(name) for name in WEB]
    assert alike_as_one(problems, WEB, PLAIN) == problems
    assert f"! agent {WEB[7]}: no agent answers" in told(problems, WEB, PLAIN)


def test_with_v_every_name_is_told_as_people_count() -> None:
    lines = told([of(name) for name in reversed(WEB)], WEB, WHOLE)
    assert " ".join(" ".join(lines).split()).startswith(f"! agent {', '.join(WEB)}: no agent answers")


@pytest.mark.parametrize(
    "other",
    [{"what": "ssh"}, {"message": "its agent hangs"}, {"remedy": "wait"}, {"severity": Severity.ERROR}],
    ids=["what", "message", "remedy", "severity"],
)
def test_whatever_else_differs_keeps_problems_apart(other: dict[str, str]) -> None:
    problems = [of("a"), of("b", **other)]
    assert alike_as_one(problems, ["a", "b"], SCREEN) == problems


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (
            {"remedy": "`lastcall ssh enroll {}` asks for it"},
            ["! agent db-1, db-2: no agent answers", "    → `lastcall ssh enroll GUEST` asks for it"],
        ),
        (
            {"where": "agent of {}", "message": "{} hangs", "remedy": ""},
            ["! agent agent of db-1, db-2: GUEST hangs"],
        ),
        (
            {"where": "{} by ssh", "remedy": ""},
            ["! agent db-1, db-2 by ssh: no agent answers"],
        ),
        (
            {"where": "10-own (/etc/own.py)", "message": "check_guest of {} failed: no way", "remedy": "mend {}."},
            ["! agent 10-own (/etc/own.py): check_guest of db-1, db-2 failed: no way", "    → mend GUEST."],
        ),
    ],
    ids=["remedy", "where", "shell", "message"],
)  # fmt: skip
def test_a_guest_that_is_named_in_the_words_is_no_difference(kind: dict[str, str], lines: list[str]) -> None:
    names = ["db-1", "db-2"]
    problems = [of(name, **{key: text.replace("{}", name) for key, text in kind.items()}) for name in names]
    assert told(problems, names) == lines


def test_a_name_that_is_part_of_a_word_or_of_a_longer_name_is_none() -> None:
    names = ["db", "db-1", "db.example.org", "a", "b"]
    problems = [of("/etc/db.yaml", message="odd"), of("/etc/db-1.yaml", message="odd")]
    assert alike_as_one(problems, names, SCREEN) == problems
    sentences = [of("x", message="is a rung of db-1"), of("x", message="is a rung of db.example.org")]
    assert [one.message for one in alike_as_one(sentences, names[:3], SCREEN)] == ["is a rung of db-1, db.example.org"]
    short = [of(name, message="a rung is b") for name in ("a", "b", "db")]
    assert [one.where for one in alike_as_one(short, names, SCREEN)] == ["a, b, db"]
    assert {one.message for one in alike_as_one(short, names, SCREEN)} == {"a rung is b"}


def test_places_that_are_no_guests_and_guests_of_the_same_name_stay_as_they_are() -> None:
    places = [of(f"config.yaml:{line}:3") for line in range(9)]
    assert alike_as_one(places, ["config", "yaml", ""], SCREEN) == places
    twins = [of("db"), of("db")]
    assert alike_as_one(twins, ["db"], SCREEN) == twins
    assert alike_as_one([of("a"), of("b")], [], SCREEN) == [of("a"), of("b")]


def test_odd_names_do_no_harm() -> None:
    names = [r"a.*(", "b\x1b[31m", "\ue000", "数据库-1", "c" * 200, "\\1"]
    lines = told([of(name, message=f"of {name}", remedy="") for name in names], names, Screen(width=2000, whole=True))
    assert all(name in lines[0] for name in (r"a.*(", r"b\x1b[31m", "数据库-1", "c" * 200, "\\1"))
    assert len(lines) == 1
    assert cell_width(told([of(name) for name in names], names)[0]) <= 80


def test_two_thousand_problems_of_a_thousand_guests_take_no_time_that_somebody_would_notice() -> None:
    names = [f"guest-{one}" for one in range(1000)]
    began = time.process_time()
    assert len(told([of(name, what=what) for what in ("agent", "ssh") for name in names], names)) == 4
    assert time.process_time() - began < 1.0
