"""A libvirtd with a few guests for many runs, each with the guests as they were before it."""

import json
import shutil
import tempfile
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import libvirt

from lab.daemon import Daemon, daemon
from lab.guests import driver_guests, reached, states
from support import write_config

RUN: tuple[str, ...] = ("app", "db", "web")
"""The guests that run before a shutdown and that a restore brings back. `app` depends on `db`."""
RESTS = "rests"
"""A guest that is off all the time, on no list."""
_RULES = """\
restore: {attempts: 2, retry: 1s}
guests: [{match: app, depends_on: db}]
"""


class World:
    """One libvirtd of its own with its guests; `socket` is where the proxy stands, and `config` leads there."""

    def __init__(self, lab: Daemon, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.socket = folder / "proxy-sock"
        self.config = write_config(folder, f"test+unix:///default?socket={self.socket}", more=_RULES)
        self.state = folder / "state"
        self.entries: str | None = None
        """A state file with all the guests that run, once a shutdown without a fault has written one here."""
        self._guests = ExitStack()
        self._judge: libvirt.virConnect | None = None

    def reset(self, *, running: bool) -> None:
        """Begin anew: guests on and an empty list, or guests off and on the list."""
        for path in (self.state, self.folder / "run"):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(mode=0o755)
        judge = self._connected()
        if not running and self.entries is not None:
            (self.state / "state.json").write_text(self.entries)
        for domain in judge.listAllDomains():
            wanted = running and domain.name() != RESTS
            if bool(domain.isActive()) != wanted:
                _ = domain.create() if wanted else domain.destroy()

    def states(self) -> dict[str, str]:
        """What the guests do, by a client that goes to the daemon directly."""
        with reached(self.lab, self.lab.test) as connection:
            return states(connection)

    def listed(self) -> dict[str, bool]:
        """Who is on the list of guests to restore, and whether parked; nobody where there is no list."""
        path = self.state / "state.json"
        entries: list[Any] = json.loads(path.read_text())["guests"] if path.exists() else []
        return {entry["name"]: entry["parked"] for entry in entries}

    def close(self) -> None:
        """Let the guests go."""
        self._guests.close()

    def _connected(self) -> libvirt.virConnect:
        """The connection that keeps the guests; they and their UUIDs are new where the daemon was killed."""
        if self._judge is None or not _lives(self._judge):
            self._guests.close()
            self._judge = self._guests.enter_context(driver_guests(self.lab, (*RUN, RESTS)))
            self.entries = None
        return self._judge


def _lives(connection: libvirt.virConnect) -> bool:
    """Asked by a call, as without an event loop nobody notices before that the daemon is gone."""
    try:
        return connection.numOfDomains() >= 0
    except libvirt.libvirtError:
        return False


@contextmanager
def world() -> Generator[World]:
    """Start one, and leave nothing of it behind."""
    with daemon() as lab, tempfile.TemporaryDirectory(prefix="lastcall-faults-") as folder:
        made = World(lab, Path(folder))
        try:
            yield made
        finally:
            made.close()


class Worlds:
    """Several, for runs side by side, most of whose time is waiting."""

    def __init__(self, made: list[World]) -> None:
        self._free = made
        self.count = len(made)
        self._changed = threading.Condition()

    @contextmanager
    def borrow(self) -> Generator[World]:
        """One that nobody else uses."""
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            found = self._free.pop()
        try:
            yield found
        finally:
            with self._changed:
                self._free.append(found)
                self._changed.notify()


@contextmanager
def worlds(count: int) -> Generator[Worlds]:
    """Start several."""
    with ExitStack() as stack:
        yield Worlds([stack.enter_context(world()) for _ in range(count)])
