"""How the next stop of this host would go: looked at anew, and kept for `status`, which has no time for that."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Report
from lastcall.cli.dry_run.look import PlanSeen, look_at_plan
from lastcall.cli.invocation import Invocation
from lastcall.errors import LastcallError
from lastcall.planning.last_outlook import KeptForecast, LastOutlook, signature
from lastcall.planning.selection import EVERYBODY
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.loading import Loaded
from lastcall.runs.request import RunRequest

Assembled = Callable[[Loaded, RunRequest], Parts]

PATIENCE = 5.0  # seconds that the end of a command waits for it
_POLL = 0.05  # seconds between two looks for signals


async def foresee_stop(
    loaded: Loaded, assembled: Assembled, reason: Reason = Reason.POWEROFF
) -> tuple[Parts, PlanSeen] | None:
    """Plan the stop of this host, in parts of its own, which `assembled` makes: its milestones and its problems are not
    those of what is under way. None where not every libvirt tells of its guests: nobody would have to stop there, and
    the plan would look the better the less is known. Raises LastcallError.
    """
    request = RunRequest(kind=RunKind.SHUTDOWN, reason=reason, rehearsal=True)
    parts = assembled(loaded.for_reason(reason), request)
    seen = await look_at_plan(parts, EVERYBODY, Invocation())
    return (parts, seen) if parts.connections.all_listed else None


async def foresee_next_stop(loaded: Loaded, assembled: Assembled) -> PlanSeen | None:
    """Plan the next poweroff, and keep what comes of it; None where no plan can be made."""
    try:
        found = await foresee_stop(loaded, assembled)
    except LastcallError:
        return None
    if found is None:
        return None
    keep_for_status(*found, loaded)
    return found[1]


def keep_for_status(parts: Parts, seen: PlanSeen, loaded: Loaded) -> None:
    """Keep a plan, where everybody was asked who is there; blocks."""
    if not parts.connections.all_listed:
        return
    kept = KeptForecast(
        # When the configuration was read, and not now: whoever has changed it since then is to be told.
        at=datetime.fromtimestamp(loaded.document.read_at, UTC).isoformat(timespec="microseconds"),
        reason=parts.context.terms.reason,
        forecast=seen.outlook.in_short,
        who=signature(guest.key for guest in parts.context.guests),
        files=tuple(map(str, loaded.document.files)),
    )
    LastOutlook(parts.settings.paths.state).keep(kept)


def refresh_next_stop(
    report: Report,
    loaded: Loaded,
    invocation: Invocation,
    assembled: Callable[[Loaded, RunRequest, asyncio.AbstractEventLoop], Parts] = assemble,
    patience: float = PATIENCE,
) -> None:
    """Look again after a run, by what it has taught; `loaded` for no reason in particular.

    Not after a host stop, nor where one is about to come: a signal ends the waiting at once. What goes wrong here goes
    unsaid, as the run is over, and `status` says how old the last plan is.
    """
    if not report.run.reason.voluntary or any(problem.what == "signal" for problem in report.problems):
        return
    done = threading.Event()

    def look() -> None:
        try:
            with contextlib.closing(asyncio.new_event_loop()) as loop:
                loop.run_until_complete(foresee_next_stop(loaded, lambda other, ahead: assembled(other, ahead, loop)))
        except Exception:  # noqa: BLE001, S110  no bug in a plan may change what is said of a run
            pass
        finally:
            done.set()

    # A thread that nobody has to wait for: libvirt or the disk may hang by now.
    threading.Thread(target=look, name="lastcall-next-stop", daemon=True).start()
    ends = time.monotonic() + patience
    while not invocation.signals.waiting and time.monotonic() < ends and not done.wait(_POLL):
        pass
