"""Sample drop-in: keep what a guest that does not stop shows and says, before it meets the last resort.

Copy it to /etc/lastcall/hooks.d/ (owned by root, not writable by others). Nothing has to be set:

    plugins:
      last_words: {keep: 20, megabytes: 50, serial: 65536}

For each guest whose ladder is over and that still runs there is a folder in /var/lib/lastcall/plugins/last_words,
which is root's alone. `facts.json` is what was tried, its state, and whether its agent answers. `serial.log` is the
end of what it said on a console that goes to a file (in its `<serial>`: `<log file='…'/>`). `screen.png`, or
`screen.ppm`, is what it shows (by virsh). The oldest folders go. There are 5 s at most; what takes longer is left out.
It is for every reason. In a rehearsal it says what it would keep.
"""

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from pydantic import Field

import lastcall
from lastcall.options import Options

LARGEST_SCREEN = 32 << 20  # bytes; one of 4K is 25 MB as PPM


class Settings(Options):
    """The section `plugins.last_words`."""

    keep: int = Field(default=20, ge=1, description="How many folders are kept.")
    megabytes: int = Field(default=50, ge=1, description="How much they have together; the last one is kept anyway.")
    serial: int = Field(default=65_536, ge=0, le=1 << 24, description="Bytes from the end of the serial log.")


@lastcall.hookimpl
def plugin_options() -> lastcall.PluginOptions:
    """Declare the section."""
    return lastcall.PluginOptions(settings=Settings)


@lastcall.hookimpl
def on_guest_stuck(guest: lastcall.Guest, attempts: Sequence[lastcall.Attempt], run: lastcall.Run) -> None:
    """Fires when nothing has helped; the guest still runs."""
    if run.rehearsal:
        run.log("would keep its screen, the end of its serial log, and whether its agent answers")
        return
    settings = run.options(Settings)
    # Sorted by time; a name may be anything, and lead elsewhere.
    folder = run.folder / f"{run.id}-{re.sub(r'[^A-Za-z0-9_-]', '_', guest.name)[:40]}-{guest.file_name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lacking: dict[str, str] = {}
    facts: dict[str, lastcall.Json] = {
        "guest": guest.name, "uuid": guest.uuid, "uri": guest.uri, "run": run.id, "reason": run.reason.value,
        "attempts": [{"method": one.method, "result": str(one.result), "message": one.message} for one in attempts],
    }  # fmt: skip
    facts_file = lastcall.TextFile(folder / "facts.json")
    # The cheapest first, and what there is at once: of a guest that hangs the rest may never come.
    facts_file.write(json.dumps(facts, indent=1))
    _attempt("serial log", lacking, lambda: _keep_serial_log(guest, run, folder, settings.serial))
    _attempt("screen", lacking, lambda: _keep_screen(guest, run, folder))
    facts |= {"state": _told(lambda: run.domain(guest).state().value), "agent": _told(lambda: _agent(guest, run))}
    facts_file.write(json.dumps({**facts, "lacking": lacking}, indent=1))
    run.evidence(folder=str(folder), kept=sorted(path.name for path in folder.iterdir()), lacking=lacking)
    _make_room(folder, settings)


def _attempt(what: str, lacking: dict[str, str], work: Callable[[], None]) -> None:
    try:
        work()
    except (OSError, SyntaxError, ValueError, subprocess.SubprocessError, lastcall.LastcallError) as error:
        lacking[what] = str(error) or type(error).__name__


def _told(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except lastcall.CallExpired:
        raise
    except lastcall.LastcallError as error:
        return str(error)


def _agent(guest: lastcall.Guest, run: lastcall.Run) -> str:
    domain = run.domain(guest)
    if not domain.agent_connected():
        return "not connected"
    domain.agent("guest-ping", timeout=min(1.0, run.remaining() / 2))
    return "answers"


def _keep_serial_log(guest: lastcall.Guest, run: lastcall.Run, folder: Path, limit: int) -> None:
    """Raises OSError and ValueError where there is none."""
    if re.match(r"[^:]+://[^/]", guest.uri):
        raise ValueError("it is on another host")
    paths = _logs(run.domain(guest).xml())
    if not paths:
        raise ValueError("its domain has none")
    # A named pipe would have us wait for somebody to write to it.
    descriptor = os.open(paths[0], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as log:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError(f"{paths[0]} is no plain file")
        log.seek(max(0, facts.st_size - limit))
        words = log.read(limit).decode("utf-8", "replace")
    lastcall.TextFile(folder / "serial.log", limit=4 * limit).write(words)


def _logs(xml: str) -> list[str]:
    """The files with what the guest says on its serial ports and consoles."""
    domain = ElementTree.fromstring(xml)  # noqa: S314  libvirt's own
    devices = [one for kind in ("serial", "console") for one in domain.iterfind(f"devices/{kind}")]
    found = [_attribute(one, "log", "file") for one in devices]
    found += [_attribute(one, "source", "path") for one in devices if one.get("type") == "file"]
    return [path for path in found if path.startswith("/")]


def _attribute(element: ElementTree.Element, child: str, name: str) -> str:
    inner = element.find(child)
    return "" if inner is None else inner.get(name, "")


def _keep_screen(guest: lastcall.Guest, run: lastcall.Run, folder: Path) -> None:
    """By a process of its own, which ends in time: libvirt's call lasts for as long as a QEMU hangs.

    Raises FileNotFoundError without virsh, TimeoutExpired, and ValueError with what virsh says.
    """
    words = ["virsh", "--connect", guest.uri, "screenshot", "--domain", guest.uuid, "--file", str(folder / "screen")]
    environment = run.environment(guest)
    program = shutil.which("virsh", path=environment["PATH"])
    if not program:
        raise FileNotFoundError("there is no virsh here")
    done = subprocess.run(
        [program, *words[1:]], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        timeout=run.remaining() / 2, umask=0o077,
    )  # fmt: skip
    shot = folder / "screen"
    if done.returncode or not shot.exists():
        shot.unlink(missing_ok=True)
        raise ValueError(done.stderr.decode("utf-8", "replace").strip() or f"virsh: exit code {done.returncode}")
    if shot.stat().st_size > LARGEST_SCREEN:
        shot.unlink()
        raise ValueError(f"it has more than {LARGEST_SCREEN} bytes")
    with shot.open("rb") as file:
        shot.rename(shot.with_suffix(".png" if file.read(8).startswith(b"\x89PNG") else ".ppm"))


def _make_room(own: Path, settings: Settings) -> None:
    """Remove the oldest ones; several guests may be at it at once."""
    left, room = settings.keep - 1, settings.megabytes * 1_000_000 - _size(own)
    for folder in sorted((path for path in own.parent.iterdir() if path.is_dir() and path != own), reverse=True):
        left, room = left - 1, room - _size(folder)
        if left < 0 or room < 0:
            shutil.rmtree(folder, ignore_errors=True)


def _size(folder: Path) -> int:
    """Bytes."""
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except FileNotFoundError:  # another guest's call has removed it
        return 0
