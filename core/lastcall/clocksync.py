"""Setting a guest's clock after its restore: one that was saved believes that it is still the time of the save."""

import asyncio

from lastcall.api.guests import Guest, Outcome
from lastcall.api.results import Severity
from lastcall.api.run import Run
from lastcall.config.models import RestoreSettings
from lastcall.engine import Parts
from lastcall.errors import LastcallError
from lastcall.hooks.call import HookCall

CONNECT_TIME = 5.0  # seconds for the agent of a guest that goes on to open its channel again
TIME = 20.0  # seconds for all of it
POLL = 0.25


def wanted(settings: RestoreSettings, outcome: Outcome) -> bool:
    """Say whether the clock of a guest that came back like this is to be set."""
    return settings.sync_time == "always" or (settings.sync_time == "resumed" and outcome is Outcome.RESUMED)


async def sync_clock(parts: Parts, guest: Guest) -> None:
    """Set the clock through the guest agent; a guest without one keeps its own. A failure is a problem, no more."""
    now = parts.loop.time()
    call = HookCall(parts.context, "core", expires=min(now + TIME, parts.deadline.end))
    try:
        while not await parts.workers.call(lambda: _sync(guest, call), timeout=TIME):
            if parts.loop.time() >= now + CONNECT_TIME:
                return
            await asyncio.sleep(POLL)
    except (LastcallError, TimeoutError) as error:
        remedy = "the agent needs hwclock in the guest for it; or set restore.sync_time to never"
        message = f"its clock could not be set: {error or 'no answer'}"
        parts.stream.problem("clock", guest.name, message, remedy, Severity.WARNING)
    finally:
        call.expire()


def _sync(guest: Guest, run: Run) -> bool:
    """Set the clock, if the agent is there."""
    domain = run.domain(guest)
    connected = domain.agent_connected()
    if connected:
        domain.sync_time()
    return connected
