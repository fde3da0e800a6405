"""What somebody else does with a guest when its turn has come, a save or a backup: waited for, ended or put up with."""

import asyncio
import math

from lastcall.api.guests import Guest
from lastcall.errors import LastcallError, OperationInvalid, Severity, in_words
from lastcall.formats.quantities import format_duration
from lastcall.hypervisor.ports import OtherJob
from lastcall.planning.plan import PlannedGuest
from lastcall.presence.sight import Sight
from lastcall.records.records import GuestHeld
from lastcall.records.stream import Stream
from lastcall.timing.budget import ABORT, PREPARATION
from lastcall.timing.moment import Moment
from lastcall.timing.phases import Phases

POLL = 1.0  # seconds between two looks at a job that is waited for
ABORT_POLL = 0.2  # seconds, once it was aborted: 0.06 s passed until a backup was gone
NOTABLE = 1.0  # seconds of waiting that a report speaks of
_BY_SETTING = frozenset({OtherJob.BACKUP, OtherJob.DUMP, OtherJob.SNAPSHOT})


class OtherJobs:
    """Waits for the jobs that hold one guest, and ends them. A guest whose job is not known of is not waited for."""

    def __init__(self, sight: Sight, phases: Phases, stream: Stream) -> None:
        self._sight, self._phases, self._stream = sight, phases, stream
        self._goes_on: OtherJob | None = None
        self._held_by: OtherJob | None = None
        self._began = 0.0

    async def wait_for(self, planned: PlannedGuest, job: OtherJob, hooks: float = 0.0) -> None:
        """Wait for a job until it is over, or its guest has to be asked; to be called again when hooks have fired.

        `hooks` are the seconds that these may take, between the job and the request. A migration is ended in time, as
        others are where the guest's setting says so; a save never is.
        """
        guest = planned.guest
        if job is self._goes_on:
            return
        if job is not self._held_by:
            self._held_by, self._began = job, self._sight.loop.time()
            until = self._stream.by(min(self._phases.last_ask.at, self._own_end(planned, job) or math.inf))
            self._stream.emit(GuestHeld(at=self._stream.now(), guest=guest.key, by=job.value, until=until))
        # A request beside somebody else's save or migration waits for the domain's job and fails after 30 s (error 68);
        # beside a backup it arrives, and the guest takes the backup with it.
        if await self._until_asking(planned, job, hooks):
            self._tell(guest, job)
        elif not hooks:
            self._goes_on = await self._end_or_leave(planned, job)

    async def _end_or_leave(self, planned: PlannedGuest, job: OtherJob) -> OtherJob | None:
        """Returns the job if it goes on."""
        # Who hears nothing can only be saved, and the host that goes down takes the backup in any case.
        ends = planned.ends_jobs or (self._phases.forces and not planned.hears)
        if job is not OtherJob.MIGRATION and not (ends and job in _BY_SETTING):
            self._tell(planned.guest, job, ", which goes on")
            return job
        why = await self.end(planned.guest, self._phases.last_resort)
        and_then = f", which could not be ended: {why}" if why else ", and ended it"
        self._tell(planned.guest, job, and_then, bad=bool(why))
        return job if why else None

    async def end(self, guest: Guest, until: Moment) -> str:
        """Abort the job and wait for its end, for a share of the time to a milestone; returns why it goes on, if so."""
        left = None if until.at == math.inf else max(0.0, until.at - self._sight.loop.time())
        why = "it has not ended in its time"
        try:
            async with asyncio.timeout(ABORT.of(left)):
                try:
                    # The guest goes on where its migration is ended before it is complete, and can be asked.
                    await self._sight.hypervisor.abort_job(guest)
                except OperationInvalid as error:
                    why = in_words(error)  # a job of a kind that cannot be aborted, or none any more
                await self._until_idle(guest, ABORT_POLL)
        except TimeoutError:
            return why
        except LastcallError as error:
            return in_words(error)
        return ""

    async def _until_asking(self, planned: PlannedGuest, job: OtherJob, hooks: float) -> bool:
        """Until the job is over (True), or the latest moment for asking: everybody's, or where others wait for this
        guest, or no last resort ends the run, that of its own time."""
        last_ask = self._phases.last_ask
        spared = min(hooks, PREPARATION.of(max(0.0, last_ask.at - self._sight.loop.time())))
        try:
            async with asyncio.timeout_at(self._own_end(planned, job)):
                return await last_ask.bounds(self._until_idle(planned.guest, POLL, spared))
        except TimeoutError:
            return False

    def _own_end(self, planned: PlannedGuest, job: OtherJob) -> float | None:
        """When it is waited for no longer, although there is time; on the loop's clock."""
        # Without it, an export that a backup tool has forgotten would hold up all that the guest needs until everybody
        # is asked at once; and a run without a deadline for ever.
        alone = not planned.awaited and self._phases.forces and self._phases.last_ask.at != math.inf
        return None if alone or job not in _BY_SETTING or planned.timeout is None else self._began + planned.timeout

    async def _until_idle(self, guest: Guest, pause: float, spared: float = 0.0) -> None:
        """Until nobody's job holds the guest, it is off, or nobody is to be asked any more.

        Raises TimeoutError when there are only the spared seconds until everybody is asked.
        """
        status = self._sight.status
        while status.ended(guest.key) is None and status.lost(guest.uri) is None and not self._phases.asks_no_more:
            try:
                found = await self._sight.hypervisor.facts(guest.uri, [guest])
                if guest.key in found and found[guest.key].job is None:
                    return
            except (LastcallError, TimeoutError):
                pass  # asked again: who waits here waits for the last moment anyway
            if spared and self._sight.loop.time() >= self._phases.last_ask.at - spared:
                raise TimeoutError
            await asyncio.sleep(pause)

    def _tell(self, guest: Guest, job: OtherJob, and_then: str = "", *, bad: bool = False) -> None:
        """Say in the report what the guest's time went by; of one that is off by it, its outcome does."""
        waited = self._sight.loop.time() - self._began
        over = self._sight.status.ended(guest.key) is not None or self._phases.asks_no_more
        if not over and (and_then or waited >= NOTABLE):
            message = f"waited {format_duration(round(waited, 1))} for {job.value}{and_then}"
            severity = Severity.ERROR if bad else Severity.WARNING
            self._stream.problem("job", guest.name, message, severity=severity)
