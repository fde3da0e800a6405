"""What the two runs have in common: their parts, and writing down the state."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lastcall.api.results import Report, Severity
from lastcall.asking import Asker
from lastcall.config.models import Settings
from lastcall.config.policies import Policies
from lastcall.deadline import Deadline
from lastcall.errors import NoPermission
from lastcall.files import LAST_MOMENT
from lastcall.history import History
from lastcall.hooks.call import RunContext
from lastcall.hooks.dispatch import Hooks
from lastcall.ports import Hypervisor
from lastcall.presence import Presence
from lastcall.records import RunEnded
from lastcall.state import StateFile
from lastcall.stream import Stream
from lastcall.workers import Workers

WRITE_TIMEOUT = 10.0  # seconds for a few kilobytes; longer is a disk that hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything a run is put together from; see `lastcall.assembly`."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
    policies: Policies
    context: RunContext
    workers: Workers
    hypervisor: Hypervisor
    hooks: Hooks
    asker: Asker
    methods: Mapping[str, Any]
    presence: Presence
    stream: Stream
    state: StateFile
    boot_id: str

    @property
    def deadline(self) -> Deadline:
        """The run's milestones."""
        return self.context.deadline


def share(parts: Parts) -> float:
    """The most that one step before or after the guests may take of the time that is left: a quarter."""
    left = parts.deadline.remaining(parts.loop.time())
    return math.inf if left is None else left / 4


async def keep(parts: Parts, *, begun: bool = True) -> None:
    """Write the list of guests. A disk that refuses or hangs is a problem of the report, not the end of the run.

    Raises NoPermission in a voluntary run that has not begun, and had better not.
    """
    state, write = parts.state, parts.state.snapshot()
    try:
        await _write(parts, write)
    except PermissionError:
        if parts.context.reason.voluntary and not begun:
            raise NoPermission(f"no permission to write {state.path}", "run as root, or set paths.state") from None
        _not_kept(parts, "no permission")
    except OSError as error:
        _not_kept(parts, (error.strerror or str(error) or "no answer from the disk").lower())


def _not_kept(parts: Parts, why: str) -> None:
    message = f"{why}; the list of guests to restore was not kept"
    parts.stream.problem("state", str(parts.state.path), message, "is the disk full or read-only?")


async def remember_times(parts: Parts) -> None:
    """Add how long the guests took to what `plan` knows. Where that cannot be written, only estimates are lost."""
    history = History(parts.settings.paths.state)

    def learn() -> None:
        history.load()
        history.learn(parts.stream.story.report().guests)
        history.write(history.render())

    try:
        await _write(parts, learn)
    except OSError as error:
        why = (error.strerror or str(error) or "no answer from the disk").lower()
        message = f"{why}; how long the guests took was not kept"
        parts.stream.problem("history", str(history.path), message, severity=Severity.WARNING)


async def _write(parts: Parts, work: Callable[[], None]) -> None:
    limit = min(WRITE_TIMEOUT, max(LAST_MOMENT, share(parts)))
    await parts.workers.call(work, timeout=limit)


def conclude(parts: Parts) -> Report:
    """End the run's record; returns the report."""
    parts.stream.emit(RunEnded(at=parts.stream.now(), exit_code=parts.stream.story.exit_code.value))
    parts.hypervisor.close()
    return parts.stream.story.report()
