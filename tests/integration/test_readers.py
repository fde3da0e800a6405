"""Whoever does not read what a run says, or goes away, holds up no guest."""

import json
import os
import pty
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.patience import LONGEST, wait_until
from lastcall.formats.plain_values import EVIDENCE_TEXT
from support import PROGRAM, by_name_in, report_of, run_lastcall, write_config

WORLD = "test:///default"
LIMIT = 120.0
"""Seconds: what hangs would hang for ever."""
CHATTY = """\
import lastcall, os, time
@lastcall.hookimpl
def pre_shutdown(run):
    for number in range({first}, {end}):
        run.log(f"line {{number}} " + 60 * "x")
    while not os.path.exists({until!r}):
        run.sleep(0.05)
@lastcall.hookimpl
def pre_restore(run):
    pre_shutdown(run)
"""
AT_ONCE = 450
"""Lines that one call may say at once, and a few that are to spare."""
BIG = "import lastcall\n@lastcall.hookimpl\ndef pre_shutdown(run):\n    run.evidence(big=300 * [1000 * 'x'])\n"


def chatty(folder: Path, count: int) -> None:
    """Plugins that say so many lines, one after the other; the last of them waits for `go`."""
    for first in range(0, count, AT_ONCE):
        end = min(count, first + AT_ONCE)
        until = folder / "go" if end == count else folder
        text = CHATTY.format(first=first, end=end, until=str(until))
        (folder / "hooks.d" / f"10-chatty-{first:05}.py").write_text(text)


@pytest.mark.parametrize("words", [["shutdown", "--reason", "power"], ["shutdown", "--yes"], ["-v", "shutdown"]])
def test_a_standard_error_that_nobody_reads_holds_up_nothing(tmp_path: Path, words: list[str]) -> None:
    config = write_config(tmp_path, WORLD)
    chatty(tmp_path, 2000)
    (tmp_path / "go").touch()
    with (tmp_path / "report").open("w") as report:
        process = subprocess.Popen(
            [PROGRAM, "--config", config, *words, "--json"], stdout=report, stderr=subprocess.PIPE
        )
    assert process.wait(timeout=LIMIT) == 0
    process.communicate()
    told = json.loads((tmp_path / "report").read_text())
    assert by_name_in(told, "test")["outcome"] == "stopped"
    assert told["problems"] == []


def test_lines_that_nobody_has_read_in_time_are_counted(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    chatty(tmp_path, 9000)
    process = subprocess.Popen(
        [PROGRAM, "--config", config, "shutdown"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    logged = (tmp_path / "state" / "runs").glob
    wait_until(lambda: any("line 8999" in log.read_text() for log in logged("*")), "all was said", process=process.pid)
    (tmp_path / "go").touch()
    _, said = process.communicate(timeout=LONGEST)
    dropped = sum(map(int, re.findall(r"\((\d+) lines were dropped here", said)))
    shown = re.findall(r"line (\d+) ", said)
    assert dropped > 0
    assert len(shown) + dropped == 9000
    assert shown[-1] == "8999", "the latest lines are the ones that are kept"
    assert "test: stopped" in said
    assert process.returncode == 0


def test_a_report_that_nobody_reads_does_not_hold_up_the_end_of_a_host_stop(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    (tmp_path / "hooks.d" / "10-big.py").write_text(BIG)
    command = [PROGRAM, "--config", config, "-q", "shutdown", "--json", "--reason", "power"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.wait(timeout=LIMIT) == 1, "half a report is not the whole"
    process.communicate()
    (log,) = (tmp_path / "state" / "runs").glob("*.jsonl")
    assert '"exit_code":0' in log.read_text().splitlines()[-1]


def test_a_report_by_hand_waits_for_a_slow_reader(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    (tmp_path / "hooks.d" / "10-big.py").write_text(BIG)
    command = [PROGRAM, "--config", config, "-q", "shutdown", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: list((tmp_path / "state").glob("history.json")), "the run is over", process=process.pid)
    time.sleep(8)
    out, _ = process.communicate(timeout=LONGEST)
    shown = json.loads(out)["hooks"][0]["evidence"]["big"]
    assert sum(map(len, shown)) > EVIDENCE_TEXT - 1000, "all that a report has, and more than a pipe takes"
    assert process.returncode == 0


def test_a_terminal_that_goes_away_costs_a_host_stop_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    chatty(tmp_path, 100)
    process, terminal = pty.fork()
    if process == 0:
        os.execv(PROGRAM, [str(PROGRAM), "--config", str(config), "-v", "shutdown", "--reason", "power"])  # noqa: S606
    said = b""
    while b"line 99 " not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)  # the process, whose session it led, is sent SIGHUP
    (tmp_path / "go").touch()
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    report = json.loads(run_lastcall(config, "report", "--json").stdout)["runs"][0]
    assert by_name_in(report, "test")["outcome"] == "stopped"
    assert report["problems"] == []


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["shutdown --reason power", "shutdown --json --yes"])
def test_standard_streams_that_are_closed_cost_nothing(tmp_path: Path, closed: str, words: str) -> None:
    config = write_config(tmp_path, WORLD)
    script = f"exec {PROGRAM} --config {config} {words} {closed}"
    done = subprocess.run(["sh", "-c", script], check=False, timeout=LONGEST, capture_output=True)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    for file in ("run/lock", "state/state.json"):
        assert b"stopped" not in (tmp_path / file).read_bytes()


def test_a_standard_error_that_never_waits_gets_every_line(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    chatty(tmp_path, 3000)
    (tmp_path / "go").touch()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen(
        [PROGRAM, "--config", config, "shutdown", "--json"], stdout=subprocess.PIPE, stderr=writer, text=True
    )
    os.close(writer)
    with os.fdopen(reader) as said:
        lines = said.read().splitlines()
    out, _ = process.communicate(timeout=LONGEST)
    assert sum("line " in line for line in lines) == 3000
    assert json.loads(out)["problems"] == []


def test_progress_on_a_full_disk_is_no_matter_of_the_run(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    with Path("/dev/full").open("w") as full:
        command = [PROGRAM, "--config", config, "shutdown", "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, check=False, timeout=LONGEST)
        assert (report_of(done)["problems"], done.returncode) == ([], 0)
        told = subprocess.run([*command[:-1]], stdout=full, stderr=subprocess.PIPE, check=False, timeout=LONGEST)
        assert told.returncode == 1, "half a report is not the whole"
        assert b"Traceback" not in told.stderr


PRINTS = (
    ("--help",), ("--version",), ("plan", "--help"), ("plan",), ("plan", "--json"), ("status",), ("report",),
    ("plugins",), ("config", "show"), ("config", "schema"), ("config", "check"), ("hook", "pre_shutdown"), ("check",),
    ("demo",),
)  # fmt: skip


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def gone_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def gone_terminal() -> int:
    primary, secondary = pty.openpty()
    os.close(primary)
    return secondary


@pytest.mark.parametrize(
    ("words", "nowhere"),
    [
        *((words, full_disk) for words in PRINTS),
        *((words, nowhere) for words in PRINTS[::4] for nowhere in (gone_reader, gone_terminal)),
    ],
)
def test_output_that_nobody_takes_is_told_in_a_line_and_is_no_bug(
    words: tuple[str, ...], nowhere: Callable[[], int], tmp_path: Path
) -> None:
    config, writer = write_config(tmp_path, WORLD), nowhere()
    done = subprocess.run(
        [PROGRAM, "--config", config, *words], stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
        timeout=LONGEST,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("lastcall: standard output does not take")]
    assert len(told) == (0 if nowhere is gone_reader else 1), done.stderr


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "xx_YY"}])
def test_a_terminal_without_a_letter_is_shown_what_it_can_show(env: dict[str, str], tmp_path: Path) -> None:
    command = [PROGRAM, "--config", write_config(tmp_path, WORLD), "plan"]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, check=False, timeout=LONGEST)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"acpi" in done.stdout
