"""Whom a run tells what happens, and what it tells them first."""

import math
import socket
import sys
from datetime import UTC, datetime, timedelta

from lastcall.api.guests import Reason, RunKind
from lastcall.formats.version import __version__
from lastcall.hooks.call import RunContext
from lastcall.records.held_back import HeldBack
from lastcall.records.log_limit import LogLimit
from lastcall.records.records import RunStarted, Sink
from lastcall.records.run_log import RunLog
from lastcall.records.stream import Stream
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.loading import Loaded
from lastcall.runs.request import RunRequest


def sinks_of(loaded: Loaded, request: RunRequest, outside: Outside, ends: float) -> list[tuple[str, Sink]]:
    """Those that were asked for, and the run log, which has to have it by `ends` of the monotonic clock."""
    sinks = list(request.sinks)
    if not request.rehearsal:
        runs = loaded.settings.runs
        log = RunLog(loaded.settings.paths.state / "runs", keep=runs.keep, together=runs.size)
        take = LogLimit(outside.log(log, ends), runs.size).take
        # A computer that sleeps ten times a day would have the logs of nothing push out those of its host stops.
        sinks.append(("run log", HeldBack(take).take if request.reason is Reason.SLEEP else take))
    return sinks


def open_stream(
    stream: Stream, context: RunContext, loaded: Loaded, request: RunRequest, limit: float | None, boot: str
) -> None:
    """Say that the run has begun, and what was found on the way to it. `boot`: the id of this boot."""
    # The run began when the process did: imports and reading the configuration are part of its deadline.
    began = datetime.now(UTC) - timedelta(seconds=stream.now())
    deadline, asks = (
        context.terms.deadline,
        request.kind is RunKind.SHUTDOWN,
    )  # a restore asks nobody, and has no last resort
    stream.emit(
        RunStarted(
            at=stream.now(),
            id=context.id,
            kind=request.kind,
            reason=request.reason,
            started=began.isoformat(timespec="milliseconds"),
            deadline=None if limit is None or limit == math.inf else limit,
            boot_id=boot,
            host=socket.gethostname(),
            config=loaded.origin,
            versions={"lastcall": __version__, "python": ".".join(map(str, sys.version_info[:3]))},
            last_ask=deadline.last_ask_after(stream.start) if asks else None,
            last_resort=deadline.last_resort_after(stream.start) if asks else None,
        )
    )
    stream.problems(loaded.problems, source="configuration")
    stream.problems(loaded.plugins.registry.problems)
    if not request.rehearsal:  # `check` and its like tell them with their places in the file
        stream.problems(loaded.plugins.registry.stray_names())
