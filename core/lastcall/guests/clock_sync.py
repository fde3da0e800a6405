"""Setting a guest's clock after its restore, or after a sleep of the host: it takes the time before for that of now."""

import asyncio

from lastcall.api.guests import Guest, Outcome
from lastcall.api.run import Run
from lastcall.config.settings import RestoreSettings
from lastcall.errors import LastcallError, Severity, in_words
from lastcall.hooks.call import HookCall, RunContext
from lastcall.hypervisor.ports import AGENT_CHANNEL
from lastcall.records.stream import Stream
from lastcall.threads.workers import Workers

# Seconds for the agent of a guest that goes on to open its channel again. Five were too few where many come back at
# once: their clocks stayed where they had stood the evening before, and nobody was told.
CONNECT_TIME = 15.0
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
        """Set it, unless the guest has no channel for an agent. `connects`: the agent may yet have to open it."""
        terms = self._context.terms
        call = HookCall(self._context, "core", expires=min(terms.clock() + TIME, terms.deadline.end))
        try:
            await self._set(guest, call, connects=connects)
        except (LastcallError, TimeoutError) as error:
            remedy = "in the guest it needs an agent that runs, and hwclock; or set restore.sync_time to never"
            message = f"its clock could not be set: {in_words(error)}"
            self._stream.problem("clock", guest.name, message, remedy, Severity.WARNING)
        finally:
            call.expire()

    async def _set(self, guest: Guest, call: HookCall, *, connects: bool) -> None:
        # The channel of a guest that goes on takes a moment to be connected again. libvirt-guests sets clocks before,
        # when no agent can answer.
        clock = self._context.terms.clock
        until = clock() + CONNECT_TIME
        while await self._workers.call(lambda: _waits_for_agent(guest, call), timeout=TIME):
            if not connects:
                return
            if clock() >= until:
                raise LastcallError(f"no guest agent has connected within {CONNECT_TIME:.0f} s")
            await asyncio.sleep(POLL)


def _waits_for_agent(guest: Guest, run: Run) -> bool:
    """Set the clock if the agent is there; True where it is not, and there is a channel by which it may come."""
    domain = run.domain(guest)
    if domain.agent_connected():
        domain.sync_time()
        return False
    return AGENT_CHANNEL in domain.xml()
