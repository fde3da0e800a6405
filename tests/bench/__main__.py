"""Run every measurement, print what it gives, and write it into docs/performance.md between its marks.

`OLD=/path/to/bin/lastcall` in the environment has another installation measured beside this one.
"""

import json
import os
import platform
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench import fleet, live_view, start
from lab import replaced
from lab.daemon import Daemon, daemon
from lab.guests import driver_guests, linux_guests
from lab.host import host, host_image
from lab.libvirt_guests import LibvirtGuests, Measured, measure
from support import PROGRAM, dependencies, write_config

REPEATS = 3


PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- measured: written by `make bench` -->", "<!-- end of what was measured -->"


class Sheet:
    """Shows each line when it is known, and keeps all of them."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str = "") -> None:
        """Add a line."""
        self.lines.append(line)
        print(line, flush=True)

    def write(self, page: Path) -> None:
        """Put the lines between the page's marks."""
        before, _, rest = page.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        text = "\n".join(self.lines).strip()
        page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main() -> None:
    """Measure, print and write."""
    sheet, old = Sheet(), os.environ.get("OLD")
    sheet.add(f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}\n")
    with daemon() as lab, tempfile.TemporaryDirectory(prefix="lastcall-bench-") as name:
        for line in start.rows(lab, Path(old) if old else None):
            sheet.add(line)
        sheet.add()
        for line in live_view.rows():
            sheet.add(line)
        sheet.add()
        _compare(sheet, lab, Path(name))
        for line in fleet.rows():
            sheet.add(line)
    sheet.write(PAGE)


def _compare(sheet: Sheet, lab: Daemon, folder: Path) -> None:
    """Beside libvirt-guests."""
    sheet.add("| what | libvirt-guests.sh | lastcall | ratio | CPU theirs / ours | peak theirs / ours |")
    sheet.add("| --- | ---: | ---: | ---: | ---: | ---: |")
    for count in (100, 400):
        sheet.add(_row(f"{count} instant guests", _theirs(lab, folder, count), _ours(lab, folder, count)))
    half, whole = _ours(lab, folder, 500), _ours(lab, folder, 1000)
    sheet.add(_row("500 instant guests", None, half))
    sheet.add(_row("1000 instant guests", None, whole))
    planned, ordered = _with_dependencies(lab, folder)
    sheet.add(_row("1000 guests with 3000 dependencies", None, ordered))
    sheet.add(_row("the plan for these", None, planned))
    with linux_guests(lab, **{f"slow-{number}": f"slow={number}" for number in range(2, 8)}):
        theirs = LibvirtGuests(folder / "real", lab.qemu).stop()
    with linux_guests(lab, **{f"slow-{number}": f"slow={number}" for number in range(2, 8)}):
        ours = _shutdown(folder, lab.qemu)
        over = _after_the_slowest(ours)
    sheet.add(_row("six real guests with agents, 2…7 s", theirs, ours))
    last = _event_to_exit(lab, folder)
    theirs_off, ours_off = _whole_hosts()
    cells = f"{_seconds(theirs_off)} | {_seconds(ours_off)} | {theirs_off / ours_off:.1f} | — | — |"
    sheet.add(f"| a host with six guests of 2…7 s, from `poweroff` to off | {cells}")
    version = min(_timed([str(PROGRAM), "--version"]) for _ in range(10))
    sheet.add(f"\n- 1000 guests take {whole.seconds / half.seconds:.2f} times as long as 500")
    sheet.add(f"- six real guests: over {over:.2f} s after the slowest guest")
    sheet.add(f"- from the last guest's stop event to the end of the process: {last * 1000:.0f} ms")
    sheet.add(f"- `lastcall --version`: {version * 1000:.0f} ms")


def _machine() -> str:
    cpus = Path("/proc/cpuinfo").read_text().count("processor\t")
    libvirt = subprocess.run(["libvirtd", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return f"{cpus} cores, Python {platform.python_version()}, libvirt {libvirt}, QEMU under TCG"


def _theirs(lab: Daemon, folder: Path, count: int) -> Measured:
    with driver_guests(lab, _names(count)):
        return LibvirtGuests(folder / f"theirs-{count}", lab.test).stop()


def _ours(lab: Daemon, folder: Path, count: int) -> Measured:
    best: list[Measured] = []
    for _ in range(REPEATS):
        with driver_guests(lab, _names(count)):
            best.append(_shutdown(folder, lab.test))
    return min(best, key=lambda one: one.seconds)


def _with_dependencies(lab: Daemon, folder: Path) -> tuple[Measured, Measured]:
    """The best of several plans and shutdowns."""
    config = write_config(folder, lab.test, more=dependencies(_names(1000), 3000))
    plans: list[Measured] = []
    runs: list[Measured] = []
    for _ in range(REPEATS):
        with driver_guests(lab, _names(1000)):
            plans.append(measure([str(PROGRAM), "--config", str(config), "plan", "--json"]))
            runs.append(measure([str(PROGRAM), "--config", str(config), "-q", "shutdown", "--json"]))
    return min(plans, key=lambda one: one.seconds), min(runs, key=lambda one: one.seconds)


def _shutdown(folder: Path, uri: str) -> Measured:
    config = write_config(folder, uri)
    return measure([str(PROGRAM), "--config", str(config), "-q", "shutdown", "--json"])


def _after_the_slowest(measured: Measured) -> float:
    report = json.loads(measured.output)
    return report["run"]["duration"] - max(guest["started"] + guest["duration"] for guest in report["guests"])


def _event_to_exit(lab: Daemon, folder: Path) -> float:
    """Seconds from the record that the last guest went off to the end of the process, at best."""
    found: list[float] = []
    for _ in range(5):
        with driver_guests(lab, _names(100)):
            config = write_config(folder, lab.test)
            command = [str(PROGRAM), "--config", str(config), "-q", "shutdown", "--json"]
            done = subprocess.run(command, capture_output=True, check=True)
            ended = time.time()
            run = json.loads(done.stdout)["run"]
            log = folder / "state" / "runs" / f"{run['id']}.jsonl"
            records = [json.loads(line) for line in log.read_text().splitlines()]
            last = max(record["at"] for record in records if record["type"] == "GuestWentOff")
            found.append(ended - datetime.fromisoformat(run["started"]).timestamp() - last)
    return min(found)


def _whole_hosts() -> tuple[float, float]:
    """Seconds from `poweroff` to off: with libvirt-guests and a graceful-shutdown.service beside it, and with us."""
    guests = {f"slow-{number}": f"slow={number}" for number in range(2, 8)}
    with host_image("bookworm") as image, host(image) as theirs, host(image) as ours:
        theirs.boot()
        replaced.set_up(theirs)
        needed = replaced.time_to_off(theirs, **guests)
        ours.boot()
        ours.run("lastcall install")
        return needed, replaced.time_to_off(ours, **guests)


def _row(what: str, theirs: Measured | None, ours: Measured) -> str:
    if theirs is None:
        cells = ["—", _seconds(ours.seconds), "—", f"— / {_seconds(ours.cpu)}", f"— / {ours.peak / 1024:.0f} MB"]
    else:
        cpu, peak = (
            f"{_seconds(theirs.cpu)} / {_seconds(ours.cpu)}",
            f"{theirs.peak / 1024:.0f} / {ours.peak / 1024:.0f} MB",
        )
        cells = [_seconds(theirs.seconds), _seconds(ours.seconds), f"{theirs.seconds / ours.seconds:.0f}", cpu, peak]
    return f"| {what} | {' | '.join(cells)} |"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _timed(command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, capture_output=True, check=True)
    return time.monotonic() - began


def _names(count: int) -> list[str]:
    return [f"guest-{number:04}" for number in range(count)]


if __name__ == "__main__":
    main()
