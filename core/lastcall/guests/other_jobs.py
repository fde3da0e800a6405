"""What somebody else does with a guest when its turn has come, a save or a backup: waited for, ended or put up with."""

import asyncio
import math

from lastcall.api.guests import Guest
from lastcall.errors import LastcallError, OperationInvalid, Severity, in_words
from lastcall.formats.durations import format_duration
from lastcall.formats.values import value
from lastcall.guests.sight import Sight
from lastcall.hypervisor.guest_facts import OtherJob
from lastcall.planning.plan import PlannedGuest
from lastcall.records.records import GuestHeld
from lastcall.records.stream import Stream
from lastcall.timing.budget import ABORT
from lastcall.timing.moment import Moment
from lastcall.timing.phases import Phases

POLL = 1.0  # seconds between two looks at a job that is waited for
ABORT_POLL = 0.2  # seconds, once it was aborted: 0.06 s passed until a backup was gone
NOTABLE = 1.0  # seconds of waiting that a report speaks of
_BY_SETTING = frozenset({OtherJob.BACKUP, OtherJob.DUMP, OtherJob.SNAPSHOT})


@value
class OtherJobs:
    """Waits for jobs on guests, and ends them. A guest whose job is not known of is not waited for."""

    sight: Sight
    phases: Phases
    stream: Stream

    async def wait_for(self, planned: PlannedGuest, job: OtherJob) -> OtherJob | None:
        """Wait for a job until it is over, or its guest has to be asked; returns the job if it goes on.

        A migration is ended then, as others are where the guest's setting says so; a save never is.
        """
        guest, began = planned.guest, self.sight.loop.time()
        self.stream.emit(GuestHeld(at=self.stream.now(), guest=guest.key, by=job.value))
        # A request beside somebody else's save or migration waits for the domain's job and fails after 30 s (error 68);
        # beside a backup it arrives, and the guest takes the backup with it.
        if await self._until_asking(planned, job):
            self._tell(guest, job, began)
            return None
        # Who hears nothing can only be saved, and the host that goes down takes the backup in any case.
        ends = planned.ends_jobs or (self.phases.forces and not planned.hears)
        if job is not OtherJob.MIGRATION and not (ends and job in _BY_SETTING):
            self._tell(guest, job, began, ", which goes on")
            return job
        why = await self.end(guest, self.phases.last_resort)
        self._tell(guest, job, began, f", which could not be ended: {why}" if why else ", and ended it", bad=bool(why))
        return job if why else None

    async def end(self, guest: Guest, until: Moment) -> str:
        """Abort the job and wait for its end, for a share of the time to a milestone; returns why it goes on, if so."""
        left = None if until.at == math.inf else max(0.0, until.at - self.sight.loop.time())
        why = "it has not ended in its time"
        try:
            async with asyncio.timeout(ABORT.of(left)):
                try:
                    # The guest goes on where its migration is ended before it is complete, and can be asked.
                    await self.sight.hypervisor.abort_job(guest)
                except OperationInvalid as error:
                    why = in_words(error)  # a job of a kind that cannot be aborted, or none any more
                await self._until_idle(guest, ABORT_POLL)
        except TimeoutError:
            return why
        except LastcallError as error:
            return in_words(error)
        return ""

    async def _until_asking(self, planned: PlannedGuest, job: OtherJob) -> bool:
        """Until the job is over (True), or the latest moment for asking: everybody's, or where others wait for this
        guest, or no last resort ends the run, that of its own time."""
        # Without it, an export that a backup tool has forgotten would hold up all that the guest needs until everybody
        # is asked at once; and a run without a deadline for ever.
        alone = not planned.awaited and self.phases.forces and self.phases.last_ask.at != math.inf
        try:
            async with asyncio.timeout(None if alone or job not in _BY_SETTING else planned.timeout):
                return await self.phases.last_ask.bounds(self._until_idle(planned.guest, POLL))
        except TimeoutError:
            return False

    async def _until_idle(self, guest: Guest, pause: float) -> None:
        """Until nobody's job holds the guest, it is off, or nobody is to be asked any more."""
        status = self.sight.status
        while status.ended(guest.key) is None and status.lost(guest.uri) is None and not self.phases.asks_no_more:
            try:
                found = await self.sight.hypervisor.facts(guest.uri, [guest])
                if guest.key in found and found[guest.key].job is None:
                    return
            except (LastcallError, TimeoutError):
                pass  # asked again: who waits here waits for the last moment anyway
            await asyncio.sleep(pause)

    def _tell(self, guest: Guest, job: OtherJob, began: float, and_then: str = "", *, bad: bool = False) -> None:
        """Say in the report what the guest's time went by; of one that is off by it, its outcome does."""
        waited = self.sight.loop.time() - began
        over = self.sight.status.ended(guest.key) is not None or self.phases.asks_no_more
        if not over and (and_then or waited >= NOTABLE):
            message = f"waited {format_duration(round(waited, 1))} for {job.value}{and_then}"
            severity = Severity.ERROR if bad else Severity.WARNING
            self.stream.problem("job", guest.name, message, severity=severity)
