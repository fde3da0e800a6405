"""A run as somebody in front of a terminal sees it; and what becomes of it where the terminal hangs, or goes away."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.patience import LONGEST
from lab.screen import Screen
from lastcall.cli.live.cells import cells_of
from support import PROGRAM, by_name_in, run_lastcall, write_config

WORLD = "test:///default"
BAR = re.compile(r"^█*┃?░.* \d+s of 60s$", re.MULTILINE)
DROPIN = """\
import lastcall, time
from pathlib import Path
from lastcall.hypervisor.bare_connection import make_world
HERE, WORLD = Path({folder!r}), make_world({names!r})

def wait(name, run):
    while not (HERE / name).exists():
        run.sleep(0.05)

@lastcall.hookimpl
def pre_shutdown(run):
    wait("begin", run)
@lastcall.hookimpl
def on_guest_stop(guest, run):
    run.log(f"goodbye {{guest.name[:9]}}")
    wait("stop-" + guest.name if (HERE / ("alone-" + guest.name)).exists() else "stop", run)
@lastcall.hookimpl
def on_guest_start(guest, run):
    wait("start", run)
"""
"""Makes guests in libvirt's test driver, and has them wait for files."""
AND_OFF = """
guest = WORLD.lookupByName("db-1")
guest.destroy()
guest.undefine()
WORLD.defineXML(
    "<domain type='test'><name>db-1</name><uuid>{}</uuid><memory>1</memory><os><type>hvm</type></os></domain>"
)
"""
BUG = """
from lastcall.runs.shutdown import Shutdown
async def broken(run, stopping):
    raise RuntimeError("a bug")
Shutdown._stop_everybody = broken
"""
MANY = [f"web-{number:02}" for number in range(60)]
LONG = "a-guest-whose-name-somebody-has-made-long-to-tell-it-from-all-others-in-rack-12-unit-34"
ODD = ["数据库-主", "[bold]web[bold]", LONG]


def world(folder: Path, names: Sequence[str], more: str = "") -> Path:
    config = write_config(folder, WORLD, more=f"shutdown: {{deadline: 60s}}\nrestore: {{deadline: 60s}}\n{more}")
    (folder / "hooks.d" / "10-world.py").write_text(DROPIN.format(folder=str(folder), names=[*names]))
    return config


def go(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).touch()


def on_screen(
    config: Path, *words: str, size: tuple[int, int] = (80, 24), env: Mapping[str, str] | None = None
) -> Screen:
    return Screen([PROGRAM, "--config", config, *words], *size, env=env)


def last_report(config: Path) -> Any:
    return json.loads(run_lastcall(config, "report", "--json").stdout)["runs"][0]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_a_shutdown_shows_who_moves_and_folds_away_who_is_done(tmp_path: Path, size: tuple[int, int]) -> None:
    config = world(tmp_path, ["db-1", *ODD])
    go(tmp_path, "alone-db-1")
    screen = on_screen(config, "shutdown", "--yes", size=size)
    screen.shows("this run")
    screen.until(
        lambda: bool(re.search(r"^  this run +pre_shutdown of world +\d+s +\d+s left$", screen.text, re.M)), "a hook"
    )
    screen.shows("shutdown: 0 of 4 done · 4 to come")
    go(tmp_path, "begin")
    screen.shows("shutdown: 0 of 4 done · 4 moving")
    rows = {row.split("  ")[1]: row for row in screen.rows if "on_guest_stop of world" in row}
    assert set(rows) >= {"db-1", "数据库-主", "[bold]web[bold]"}
    assert any(re.fullmatch(r"a-guest-who.*….*12-unit-34", name) for name in rows)
    assert {cells_of(row) for row in rows.values()} == {size[0] - 1}, "columns end where they end"
    assert "world: goodbye [bold]web" in screen.text
    assert BAR.search(screen.text)
    assert screen.rows.index(next(row for row in screen.rows if row.startswith("  db-1"))) > 0
    assert "Ctrl-C: nobody else is asked" in screen.text
    go(tmp_path, "stop")
    screen.shows("shutdown: 3 of 4 done (3 stopped) · 1 moving")
    screen.read(2.2)
    assert screen.text.count("\n\n") == 1, "it stands where it stood"
    assert "数据库-主" not in "".join(row for row in screen.rows if "on_guest_stop of" in row)
    go(tmp_path, "stop-db-1")
    assert screen.end() == 0
    assert "✓ db-1" in screen.text
    assert "moving" not in screen.text
    assert not BAR.search(screen.text)
    assert "Ctrl-C" not in screen.text
    assert screen.text.splitlines()[-1].startswith("shutdown: 4 stopped; as planned")
    assert not screen.seen.cursor.hidden
    assert screen.seen.cursor.x == 0
    assert screen.rows[screen.seen.cursor.y] == ""


def test_of_more_guests_than_the_screen_has_lines_the_rest_is_counted(tmp_path: Path) -> None:
    config = world(tmp_path, MANY)
    go(tmp_path, "begin")
    screen = on_screen(config, "shutdown", "--yes", "--reason", "power")
    screen.shows("shutdown: 0 of 60 done · 60 moving")
    screen.shows("everybody is asked now, the last resort taken 5s later")  # its last line: all of it has arrived
    shown = [row for row in screen.rows if row.startswith("  web-")]
    assert len(shown) == 17
    assert f"  … and {60 - 17} more" in screen.rows
    go(tmp_path, "stop")
    assert screen.end() == 0
    assert "more" not in "".join(screen.rows[-3:])


def fits(screen: Screen, size: tuple[int, int]) -> bool:
    """Whether the area stands there once, as a whole."""
    narrow = all(len(row) < size[0] for row in screen.rows)
    return narrow and [row.startswith("shutdown: 0 of 60") for row in screen.rows].count(True) == 1


def test_it_is_drawn_anew_for_another_size_and_leaves_nothing_behind(tmp_path: Path) -> None:
    config = world(tmp_path, MANY)
    go(tmp_path, "begin")
    screen = on_screen(config, "shutdown", "--yes", size=(120, 40))
    screen.shows("… and 27 more")
    for size in ((80, 24), (50, 12), (30, 6), (132, 43)):
        screen.resize(*size)
        screen.read(1.5)
        screen.until(lambda size=size: fits(screen, size), f"it fits into {size}")
    go(tmp_path, "stop")
    assert screen.end() == 0
    assert "moving" not in screen.text


def test_what_others_print_and_type_is_above_it_a_second_later(tmp_path: Path) -> None:
    config = world(tmp_path, ["db-1"])
    (tmp_path / "hooks.d" / "20-prints.py").write_text(
        "import lastcall, os, subprocess\n@lastcall.hookimpl\ndef pre_shutdown(run):\n"
        "    os.write(2, b'straight to the terminal\\n')\n    subprocess.run(['echo', 'by a program'])\n"
    )
    go(tmp_path, "begin")
    screen = on_screen(config, "shutdown", "--yes")
    screen.shows("on_guest_stop of world")
    screen.type("\n\nwho is there?\n")
    screen.read(2.5)
    screen.type("\n")
    screen.read(2.5)
    assert [row.count("of 1 done") for row in screen.rows].count(1) == 1, screen.text
    go(tmp_path, "stop")
    assert screen.end() == 0
    assert "straight to the terminal" in screen.text
    assert "by a program" in screen.text
    assert "of 1 done" not in screen.text


def test_ctrl_c_does_what_the_screen_says_that_it_does(tmp_path: Path) -> None:
    config = world(tmp_path, ["db-1"])
    go(tmp_path, "begin")
    screen = on_screen(config, "shutdown", "--yes")
    screen.shows("Ctrl-C: nobody else is asked, those that were asked are waited for")
    screen.type("\x03")
    screen.shows("Ctrl-C again: nobody is waited for; who still runs is left running")
    assert "✗ signal this run: interrupted" in screen.text
    screen.type("\x03")
    assert screen.end() == 1
    assert by_name_in(last_report(config), "db-1")["outcome"] in {"skipped", "left"}
    assert "Ctrl-C" not in screen.text
    assert not screen.seen.cursor.hidden


def test_a_restore_shows_who_is_started_and_its_own_ctrl_c(tmp_path: Path) -> None:
    config = world(tmp_path, ["db-1"])
    go(tmp_path, "begin", "stop")
    assert run_lastcall(config, "-q", "shutdown", "--yes").returncode == 0
    # The next process has a world of its own, in which the guest is off.
    uuid = json.loads((tmp_path / "state/state.json").read_text())["guests"][0]["uuid"]
    with (tmp_path / "hooks.d/10-world.py").open("a") as file:
        file.write(AND_OFF.format(uuid))
    screen = on_screen(config, "restore")
    screen.shows("restore: 0 of 1 done · 1 moving")
    assert re.search(r"^  db-1  on_guest_start of world +\d+s +\d+s left$", screen.text, re.M)
    assert "Ctrl-C: nobody else is started" in screen.text
    assert "asked" not in screen.text
    go(tmp_path, "start")
    assert screen.end() == 0
    assert screen.text.splitlines()[-1].startswith("restore: 1 started; as planned")
    assert "Ctrl-C" not in screen.text


def seconds_to_the_end(folder: Path, how: str, *options: str) -> tuple[int, float, Any]:
    """Exit code, seconds from the last guest's leave to the end of the program, and the report of a host stop."""
    folder.mkdir()
    config = world(folder, MANY)
    go(folder, "begin")
    screen = on_screen(config, *options, "shutdown", "--reason", "power")
    logs = (folder / "state/runs").glob
    screen.until(lambda: any("on_guest_stop" in log.read_text() for log in logs("*")), "hooks have begun")
    screen.read(0.5)
    if how == "is gone":
        os.close(screen.terminal)
    else:
        screen.type("\x13")  # Ctrl-S, which many a person presses by mistake
        time.sleep(2)
    go(folder, "stop")
    began = time.monotonic()
    code = screen.wait()
    return code, time.monotonic() - began, last_report(config)


@pytest.mark.parametrize("how", ["hangs", "is gone"])
def test_a_terminal_that_hangs_or_is_gone_costs_the_run_nothing(tmp_path: Path, how: str) -> None:
    without, quiet, _ = seconds_to_the_end(tmp_path / "quiet", how, "-q")
    for options in ([], ["-v"]):
        code, seconds, told = seconds_to_the_end(tmp_path / f"live{len(options)}", how, *options)
        assert (code, told["problems"], told["run"]["exit_code"]) == (without, [], 0)
        assert {guest["outcome"] for guest in told["guests"]} == {"stopped"}
        assert seconds < quiet + 3, "a busy machine needs some"


def test_a_terminal_that_goes_on_shows_what_it_has_missed(tmp_path: Path) -> None:
    config = world(tmp_path, MANY)
    go(tmp_path, "begin")
    screen = on_screen(config, "shutdown", "--yes")
    screen.shows("0 of 60 done")
    screen.type("\x13")
    screen.read(3)
    screen.type("\x11")
    screen.until(lambda: fits(screen, (81, 24)), "it is drawn anew")
    go(tmp_path, "stop")
    assert screen.end() == 0
    assert "moving" not in screen.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    config = world(tmp_path, ["db-1"])
    go(tmp_path, "begin")
    screen = on_screen(config, "shutdown", "--reason", "power")
    screen.shows("on_guest_stop of world")
    os.kill(screen.process, number)
    assert screen.end() == 1
    assert "of 1 done" not in screen.text
    assert screen.bytes.rindex(b"\033[?7h") > screen.bytes.rindex(b"\033[?7l")
    assert b"\033[?25l" not in screen.bytes, "a cursor that is never hidden need not be restored"


def test_it_is_not_drawn_over_a_password_and_not_from_behind(tmp_path: Path) -> None:
    config = world(tmp_path, ["db-1"])
    (tmp_path / "hooks.d" / "20-asks.py").write_text(
        "import getpass, lastcall\n@lastcall.hookimpl\ndef on_guest_stop(guest, run):\n"
        "    assert getpass.getpass('Password of the box: ') == 'secret'\n"
    )
    go(tmp_path, "begin", "stop")
    screen = on_screen(config, "shutdown", "--yes")
    screen.shows("Password of the box:")
    drawn = len(screen.bytes)
    screen.read(3)
    assert len(screen.bytes) == drawn
    screen.type("secret\n")
    assert screen.end() == 0


def test_an_error_before_the_end_of_a_run_stands_alone(tmp_path: Path) -> None:
    config = world(tmp_path, ["db-1"])
    screen = on_screen(config, "shutdown", "nobody", "--yes")
    assert screen.end() == 2
    assert screen.text.startswith("lastcall: "), screen.text
    assert "done" not in screen.text


def test_a_bug_in_the_middle_of_a_run_is_told_below_it_and_not_within(tmp_path: Path) -> None:
    config = world(tmp_path, ["db-1"])
    with (tmp_path / "hooks.d/10-world.py").open("a") as file:
        file.write(BUG)
    screen = on_screen(config, "shutdown", "--yes")
    screen.shows("0 of 1 done")
    go(tmp_path, "begin")
    assert screen.end() == 70
    before, told = screen.bytes.split(b"Traceback (most recent call last)")
    assert before.endswith(b"\r\033[J"), "it was removed first"
    assert b"\033" not in told
    assert "RuntimeError: a bug" in screen.text
    assert screen.text.splitlines()[-1].startswith("lastcall: internal error")


LINES = re.compile(r"^ +\d+\.\d\ds  ", re.MULTILINE)
MOVES = re.compile(rb"\033(?!\[[0-9;]*m)|\r(?!\n)")  # what is no colour, of the closing report, moves the cursor


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"LASTCALL_TRACE": "1"}, {"TERM": ""}])
def test_a_terminal_that_cannot_be_drawn_on_gets_the_lines(tmp_path: Path, env: dict[str, str]) -> None:
    config = world(tmp_path, ["db-1"])
    go(tmp_path, "begin", "stop")
    screen = on_screen(config, "shutdown", "--yes", env=env)
    assert screen.end() == 0
    assert not MOVES.search(screen.bytes)
    assert len(LINES.findall(screen.text)) >= 3
    assert "db-1: acpi" in screen.text


def test_whoever_wants_quiet_has_it_on_a_terminal_too(tmp_path: Path) -> None:
    config = world(tmp_path, ["db-1"])
    go(tmp_path, "begin", "stop")
    screen = on_screen(config, "-q", "shutdown", "--yes")
    assert screen.end() == 0
    assert not MOVES.search(screen.bytes)
    assert not LINES.search(screen.text)


def test_a_pipe_gets_the_lines_that_it_always_got_and_loads_no_more_for_it(tmp_path: Path) -> None:
    config = world(tmp_path, ["db-1", "bad"], "guests: [{match: bad, stop: [{acpi: {timeout: 1s}}]}]\n")
    go(tmp_path, "begin", "stop")
    done = run_lastcall(config, "shutdown", "--yes", env={"TERM": "xterm-256color", "PYTHONPROFILEIMPORTTIME": "1"})
    said = re.sub(r"^ +\d\.\d\ds", "T", re.sub(r"^import time:.*\n", "", done.stderr, flags=re.M), flags=re.M)
    assert sorted(said.splitlines()) == sorted([
        "T  db-1: world: goodbye db-1", "T  bad: world: goodbye bad", "T  db-1: acpi", "T  bad: acpi",
        "T  db-1: stopped", "T  bad: stopped",
    ])  # fmt: skip
    assert "rich" not in done.stderr
    assert "lastcall.cli.live.area" not in done.stderr


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "no_SUCH.locale"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
    ],
)
def test_a_broken_locale_costs_letters_and_nothing_else(tmp_path: Path, env: dict[str, str]) -> None:
    config = world(tmp_path, ODD)
    go(tmp_path, "begin")
    screen = on_screen(config, "shutdown", "--yes", env=env)
    screen.shows("0 of 3 done")
    if "PYTHONIOENCODING" in env or "PYTHONUTF8" in env:
        assert re.search(r"^#*\|?\.+\|\.+\|\.+ \d+s of 60s$", screen.text, re.M)
        assert "\\u6570" in screen.text
        assert "█" not in screen.text
    go(tmp_path, "stop")
    assert screen.end() == 0
    assert "Traceback" not in screen.text
    assert "3 stopped; as planned" in screen.text


@pytest.mark.parametrize("to", ["/dev/full", "/dev/null", "a closed pipe"])
def test_a_standard_error_that_takes_nothing_costs_nothing(tmp_path: Path, to: str) -> None:
    config = world(tmp_path, ["db-1"])
    go(tmp_path, "begin", "stop")
    if to == "a closed pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(to, os.O_WRONLY)
    command = [PROGRAM, "--config", config, "shutdown", "--yes"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writer, text=True, timeout=LONGEST)
    os.close(writer)
    assert done.returncode == 0
    assert "db-1" in done.stdout
    assert "Traceback" not in done.stdout
    assert last_report(config)["problems"] == []


def test_rich_is_loaded_where_a_name_needs_it_and_nothing_of_it_but_its_cells(tmp_path: Path) -> None:
    loaded: list[bool] = []
    for number, name in enumerate(("db-1", "数据库")):
        folder = tmp_path / str(number)
        folder.mkdir()
        config = world(folder, [name])
        go(folder, "begin")
        screen = on_screen(config, "shutdown", "--yes", size=(200, 60), env={"PYTHONPROFILEIMPORTTIME": "1"})
        screen.shows("0 of 1 done")
        screen.read(1.2)
        go(folder, "stop")
        assert screen.end() == 0
        loaded.append(b" rich.cells" in screen.bytes)
        assert b" rich.console" not in screen.bytes
    assert loaded == [False, True]
