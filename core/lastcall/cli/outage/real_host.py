"""The host as it is: systemd's job queue, the list of guests, the lock, and commands of lastcall as processes."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from lastcall.cli.power.noting import MAINS_BACK
from lastcall.config.paths import Places
from lastcall.persistence.boot_stamp import BootStamp
from lastcall.runs.lock import RunLock
from lastcall.runs.shedding.shed_guests import shed_guests
from lastcall.systemd.jobs import reason_of
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed, booted
from lastcall.systemd.units import program_path

ANSWERING = 10.0  # seconds for a disk, for systemd, and for a run under way
T = TypeVar("T")


class RealHost:
    """Implements `WatchedHost`. `config`: the file that was named, for the commands, too."""

    def __init__(self, places: Places, config: Path | None) -> None:
        self._places, self._config = places, config

    async def stops(self) -> bool:
        """By the note of the run that goes with it, and by what systemd is about to do."""
        return await _within(self._stops) or False

    def _stops(self) -> bool:
        if BootStamp(self._places.run).left:
            return True
        # What systemd does not tell is no stop: to end now would leave guests off for good.
        with contextlib.suppress(SystemctlFailed):
            jobs = Systemctl().ask("list-jobs", "--no-legend", "--plain", "--full") if booted() else ""
            return reason_of(jobs) is not None
        return False

    async def shed(self) -> Sequence[str] | None:
        """Those on the list who were shed. Who is parked is started by name only."""
        found = await _within(partial(shed_guests, self._places.state))
        return None if found is None else sorted(entry.name for entry in found)

    async def busy(self) -> bool:
        """Whether a shutdown holds the lock."""
        holder = await _within(RunLock(self._places.run).under_way)
        return holder is not None and holder.kind == "shutdown"

    async def tell_back(self) -> bool:
        """By the mailbox of the run."""
        told = await _within(partial(RunLock(self._places.run).tell, MAINS_BACK))
        return told is not None and told.accepted

    async def start(self, *words: str) -> "RealProcess":
        """Start it, in a session of its own: Ctrl-C at a terminal is for the watch, which tells the others."""
        named = ("--config", str(self._config)) if self._config else ()
        return RealProcess(
            await asyncio.create_subprocess_exec(
                str(program_path()), *named, *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        )  # fmt: skip


class RealProcess:
    """Implements `CommandProcess`; what it says on standard error goes where ours goes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def wait(self) -> tuple[int, str]:
        """A process that a signal has ended has its number, negative."""
        output, _ = await self._process.communicate()
        return self._process.returncode or 0, output.decode(errors="replace")

    def interrupt(self) -> None:
        """By SIGTERM, which a run takes as it takes Ctrl-C."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)


async def _within(work: Callable[[], T]) -> T | None:
    """What it says, in a thread; None where a disk or a daemon does not answer, or refuses."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(work), ANSWERING)
    except (TimeoutError, OSError):
        return None
