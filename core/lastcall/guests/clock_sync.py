"""Setting a guest's clock after its restore, or after a sleep of the host: it takes the time before for that of now."""

import asyncio

from lastcall.api.guests import Guest, Outcome
from lastcall.api.run import Run
from lastcall.config.settings import RestoreSettings
from lastcall.errors import LastcallError, Severity, in_words
from lastcall.hooks.call import HookCall, RunContext
from lastcall.records.stream import Stream
from lastcall.threads.workers import Workers

CONNECT_TIME = 5.0  # seconds for the agent of a guest that goes on to open its channel again
TIME = 20.0  # seconds for all of it
POLL = 0.25


class ClockSync:
    """Sets clocks through the guest agent; a guest without one keeps its own. A failure is a problem, no more."""

    def __init__(self, settings: RestoreSettings, context: RunContext, workers: Workers, stream: Stream) -> None:
        self._settings = settings
        self._context = context
        self._workers = workers
        self._stream = stream

    def wanted(self, outcome: Outcome) -> bool:
        """Say whether the clock of a guest that came back like this is to be set."""
        policy = self._settings.sync_time
        return policy == "always" or (policy == "resumed" and outcome is Outcome.RESUMED)

    @property
    def wanted_after_sleep(self) -> bool:
        """Whether clocks are set when the host has slept: all guests have missed that."""
        return self._settings.sync_time != "never"

    async def set_clock(self, guest: Guest, *, connects: bool = True) -> None:
        """Set it. `connects`: the agent may yet have to open its channel."""
        terms = self._context.terms
        now = terms.clock()
        call = HookCall(self._context, "core", expires=min(now + TIME, terms.deadline.end))
        try:
            # The channel of a guest that goes on takes a moment to be connected again. libvirt-guests sets
            # clocks before, when no agent can answer.
            while not await self._workers.call(lambda: _sync(guest, call), timeout=TIME):
                if not connects or terms.clock() >= now + CONNECT_TIME:
                    return
                await asyncio.sleep(POLL)
        except (LastcallError, TimeoutError) as error:
            remedy = "the agent needs hwclock in the guest for it; or set restore.sync_time to never"
            message = f"its clock could not be set: {in_words(error)}"
            self._stream.problem("clock", guest.name, message, remedy, Severity.WARNING)
        finally:
            call.expire()


def _sync(guest: Guest, run: Run) -> bool:
    """Set the clock, if the agent is there."""
    domain = run.domain(guest)
    connected = domain.agent_connected()
    if connected:
        domain.sync_time()
    return connected
