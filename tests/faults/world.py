"""A libvirtd with a few guests for many runs, each with the guests as they were before it."""

import json
import shutil
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import libvirt

from lab.daemon import Daemon, daemon
from lab.guests import driver_guests, opened, states
from support import write_config

RUN = ("app", "db", "web")
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

    def reset(self, *, running: bool, entries: str | None = None) -> None:
        """Begin anew: guests on or off, and on the list what `entries`, the content of a state file, says."""
        for path in (self.state, self.folder / "run"):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(mode=0o755)
        if entries is not None:
            (self.state / "state.json").write_text(entries)
        with opened(self.lab.test) as connection:
            for domain in connection.listAllDomains():
                wanted = running and domain.name() != RESTS
                if domain.name() not in {*RUN, RESTS}:  # libvirt's own, where the daemon was killed
                    _remove(domain)
                elif bool(domain.isActive()) != wanted:
                    _ = domain.create() if wanted else domain.destroy()

    def states(self) -> dict[str, str]:
        """What the guests do, by a client that goes to the daemon directly."""
        with opened(self.lab.test) as connection:
            return states(connection)

    def listed(self) -> dict[str, bool]:
        """Who is on the list of guests to restore, and whether parked; nobody where there is no list."""
        path = self.state / "state.json"
        entries = json.loads(path.read_text())["guests"] if path.exists() else []
        return {entry["name"]: entry["parked"] for entry in entries}

    def records(self) -> list[Mapping[str, object]]:
        """The log of the last run; nothing where it has none."""
        logs = sorted((self.state / "runs").glob("*.jsonl"))
        return [json.loads(line) for line in logs[-1].read_text().splitlines()] if logs else []


def _remove(domain: libvirt.virDomain) -> None:
    if domain.isActive():
        domain.destroy()
    domain.undefine()


@contextmanager
def world() -> Generator[World]:
    """Start one, and leave nothing of it behind."""
    with ExitStack() as stack:
        lab = stack.enter_context(daemon())
        stack.enter_context(driver_guests(lab, (*RUN, RESTS)))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lastcall-faults-"))
        yield World(lab, Path(folder))


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
