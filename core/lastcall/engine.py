"""What the two runs have in common: their parts, connecting, and writing down the state."""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lastcall.api.results import Report
from lastcall.asking import Asker
from lastcall.config.models import Settings
from lastcall.deadline import Deadline
from lastcall.errors import NoPermission, NotPermitted
from lastcall.hooks.call import RunContext
from lastcall.hooks.dispatch import Hooks
from lastcall.ports import Connected, Hypervisor, Target
from lastcall.presence import Presence
from lastcall.records import RunEnded
from lastcall.state import StateFile
from lastcall.stream import Stream
from lastcall.workers import Workers

CONNECT_TIMEOUT = 10.0  # seconds, for a connection that is not configured (any more)
WRITE_TIMEOUT = 10.0  # seconds for a few kilobytes; longer is a disk that hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything a run is put together from; see `lastcall.assembly`."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
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


async def connect(parts: Parts, extra: Iterable[str] = ()) -> list[str]:
    """Open the configured connections (and `extra` URIs); report those that fail; return the URIs that are open."""
    most = share(parts)
    targets = [
        Target(uri=one.uri, timeout=min(one.timeout, most), optional=one.optional) for one in parts.settings.connections
    ]
    known = {target.uri for target in targets}
    targets += [Target(uri=uri, timeout=min(CONNECT_TIMEOUT, most)) for uri in dict.fromkeys(extra) if uri not in known]
    found = await parts.hypervisor.connect(targets, parts.presence.take)
    for one in found:
        _report(parts, one)
    return list(dict.fromkeys(one.uri for one in found if one.uri))


def share(parts: Parts) -> float:
    """The most that one step before or after the guests may take of the time that is left: a quarter."""
    left = parts.deadline.remaining(parts.loop.time())
    return math.inf if left is None else left / 4


def _report(parts: Parts, one: Connected) -> None:
    if one.error is None or one.target.optional:
        return
    what = "permission" if isinstance(one.error, NotPermitted) else "connection"
    parts.stream.problem(what, one.target.uri, str(one.error), one.error.remedy)


async def keep(parts: Parts, *, begun: bool = True) -> None:
    """Write the list of guests. A disk that refuses or hangs is a problem of the report, not the end of the run.

    Raises NoPermission in a voluntary run that has not begun, and had better not.
    """
    content, why = parts.state.render(), ""
    try:
        limit = min(WRITE_TIMEOUT, max(1.0, share(parts)))
        await parts.workers.call(lambda: parts.state.write(content), timeout=limit)
    except PermissionError:
        if parts.context.reason.voluntary and not begun:
            raise NoPermission(
                f"no permission to write {parts.state.path}", "run as root, or set paths.state"
            ) from None
        why = "no permission"
    except OSError as error:
        why = (error.strerror or str(error) or "no answer from the disk").lower()
    if why:
        message = f"{why}; the list of guests to restore was not kept"
        parts.stream.problem("state", str(parts.state.path), message, "is the disk full or read-only?")


def conclude(parts: Parts) -> Report:
    """End the run's record; returns the report."""
    parts.stream.emit(RunEnded(at=parts.stream.now(), exit_code=parts.stream.story.exit_code.value))
    parts.hypervisor.close()
    return parts.stream.story.report()
