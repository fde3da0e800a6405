"""Brings guests back that were moved to another host: by migration where they run, by their definition where not.

A guest never runs twice: it is started here only when every host that it may be at has said that it is off there.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from lastcall.api.guests import Guest, GuestState, host_of
from lastcall.config.policies import Policies
from lastcall.config.settings import RestoreSettings
from lastcall.errors import LastcallError, Severity, in_words
from lastcall.formats.values import value
from lastcall.guests.returning.found_guest import FoundGuest
from lastcall.guests.start_waits import POLL, StartWaits
from lastcall.guests.starter import NotStarted, Starter
from lastcall.hypervisor.moving.other_hosts import MOVING, FarGuest, Journey, OtherHosts
from lastcall.hypervisor.ports import PLAIN, Condition, OtherJob
from lastcall.persistence.waiting.entry import Entry
from lastcall.records.records import GuestAsked
from lastcall.records.report_builder import RETURN
from lastcall.records.stream import Stream

# Looks that have to agree before a guest is said to run twice: one host may have been asked before a migration ended
# and the other after it, and while a QEMU is busy with one, libvirt tells of no job.
LOOKS = 3


@value
class WayBack:
    """The way back of the guests of one restore."""

    hosts: OtherHosts
    starter: Starter
    waits: StartWaits
    policies: Policies
    settings: RestoreSettings
    stream: Stream

    async def find(self, entry: Entry) -> FoundGuest:
        """Find out where a guest is, and wait for the hosts that say nothing, where that matters.

        Raises LastcallError or TimeoutError where libvirt here says nothing.
        """
        found = await self._look(entry, attempts=self.settings.attempts)
        for _ in range(LOOKS - 1):
            if not found.runs_twice:
                break
            await asyncio.sleep(POLL)
            found = await self._look(entry)
        if not found.lacks:
            return found
        latest = [found]

        async def look() -> str:
            latest.append(await self._look(entry))
            return latest[-1].lacks

        lacks = await self.waits.until_there(entry.guest, found.lacks, look)
        # Whoever has waited for a slot since may be late; where a host still says nothing, no time is left for more.
        return latest[-1] if lacks else await self._look(entry)

    async def _look(self, entry: Entry, *, attempts: int = 1) -> FoundGuest:
        guest = entry.guest
        # Here first: who is seen off there, and then here, may have arrived in between.
        standing = self.starter.first_standing if attempts > 1 else self.starter.standing
        here = await standing(guest)
        answers = await asyncio.gather(*(self._ask(uri, guest) for uri in entry.where))
        told = dict(zip(entry.where, answers, strict=True))
        there = {uri: answer for uri, answer in told.items() if isinstance(answer, FarGuest)}
        silent = {uri: why for uri, why in told.items() if isinstance(why, str)}
        # Somebody else's migration, or that of a restore which was killed: libvirt ends it a moment later. Taken for
        # a guest that runs twice, one of its halves was to be destroyed by hand.
        facts = PLAIN if here.state is GuestState.OFF else await self.starter.facts(replace(guest, state=here.state))
        travels = facts.condition is Condition.ARRIVING or any(far.leaves for far in there.values())
        return FoundGuest(here, there, silent, travels, departs=facts.job is OtherJob.MIGRATION)

    async def _ask(self, uri: str, guest: Guest) -> FarGuest | str:
        try:
            return await self.hosts.ask(uri, guest)
        except (LastcallError, TimeoutError) as error:
            return in_words(error)

    def tell_of_two(self, guest: Guest, found: FoundGuest) -> str:
        """Somebody has to look after a guest that runs on several hosts; returns what is told of it."""
        here = ["here"] if found.runs_here else []
        told = f"it runs {' and '.join([*here, *(f'at {host_of(uri)}' for uri in found.runs_at)])}"
        remedy = "find out which of them has the data that counts, and end the other one by `virsh destroy`"
        self.stream.problem("guest", guest.name, f"{told}: nothing was touched", remedy)
        return told

    async def put_back_autostart(self, entry: Entry) -> None:
        """Let libvirt start it at boot, if it did before it was moved."""
        if not entry.autostart:
            return
        try:
            await self.hosts.autostart(entry.guest)
        except (LastcallError, TimeoutError) as error:
            message = f"its autostart, which it had before it was moved, cannot be set: {in_words(error)}"
            remedy = f"`virsh autostart {entry.name}`"
            self.stream.problem("autostart", entry.name, message, remedy, Severity.WARNING)

    async def fetch(self, entry: Entry, uri: str) -> NotStarted | None:
        """Migrate it from there to here; returns why it is still there, if so."""
        guest, host, why = entry.guest, host_of(uri), ""
        journey = self._journey(entry, uri)
        for attempt in range(1, self.settings.attempts + 1):
            if attempt > 1:
                await asyncio.sleep(self.settings.retry)
            self.stream.emit(GuestAsked(at=self.stream.now(), guest=guest.key, method=RETURN, attempt=attempt))
            try:
                lacks = await self._lacks(uri, guest, journey)
                if lacks:
                    return NotStarted(f"{lacks} is not there; it goes on at {host}", parked=False, lacks=lacks)
                await self.hosts.fetch(uri, guest, journey)
            except TimeoutError:
                # It may still be under way: whoever looks now sees half a guest here.
                return NotStarted(f"it was not back in time; it stays at {host} and on the list", parked=False)
            except LastcallError as error:
                why = in_words(error)
                if await self._has_come(entry):
                    return None  # the answer was lost
            else:
                return None
        return NotStarted(f"{why}; it goes on at {host}, and stays on the list", parked=False)

    async def _lacks(self, uri: str, guest: Guest, journey: Journey) -> str:
        missing = await self.hosts.supply(uri, guest, journey)
        return missing[0] if missing else ""

    async def still_lacks(self, entry: Entry, uri: str) -> str:
        """What it needs here and that is missing; nothing, where nobody says."""
        try:
            return await self._lacks(uri, entry.guest, self._journey(entry, uri))
        except (LastcallError, TimeoutError):
            return ""

    async def _has_come(self, entry: Entry) -> bool:
        try:
            found = await self._look(entry)
        except (LastcallError, TimeoutError):
            return False
        return found.runs_here and not found.runs_at and not found.silent

    def saved_elsewhere(self, entry: Entry, found: FoundGuest) -> NotStarted | None:
        """Why one is not started here whose memory is in an image there, if so: begun anew here, that image would be
        older than its disks, and whoever started it there would spoil them.
        """
        uri = next((uri for uri, far in found.there.items() if far.saved), None)
        if uri is None:
            return None
        remedy = f"`virsh -c {uri} start {entry.name}` lets it go on there, and `lastcall restore` brings it back"
        why = f"it is saved at {host_of(uri)}, and what is in its memory is there: {remedy}; --fresh gives that up"
        return NotStarted(f"{why}; it stays on the list", parked=False)

    async def adopt(self, entry: Entry, found: FoundGuest, *, fresh: bool) -> NotStarted | None:
        """Define one here that is off there; returns why it could not be. `fresh`: without what is saved there."""
        uri = found.defined_at[0]
        try:
            await self.hosts.adopt(uri, entry.guest, drop_image=fresh)
        except (LastcallError, TimeoutError) as error:
            host = host_of(uri)
            return NotStarted(
                f"it cannot be taken over from {host}: {in_words(error)}; it stays on the list", parked=False
            )
        return None

    def warn_of_definitions(self, entry: Entry, found: FoundGuest, uris: Sequence[str]) -> None:
        """Defined on several hosts, it can be started on several: by a person, or by an autostart."""
        for uri in uris:
            message, flag = f"it is defined at {host_of(uri)} as well, where it is off", ""
            if found.there[uri].saved:
                message, flag = (
                    f"{message}, with a saved image that is older than its disks from now on",
                    " --managed-save",
                )
            remedy = f"`virsh -c {uri} undefine {entry.name}{flag}`, unless that is meant so"
            self.stream.problem("guest", entry.name, message, remedy, Severity.WARNING)

    def _journey(self, entry: Entry, uri: str) -> Journey:
        """As it went: by the rung of its ladder that names that host. With none, libvirt decides what is safe."""
        goes_on = entry.state is GuestState.RUNNING
        for step in self.policies.of(entry.guest).stop:
            options = step.chosen[1]
            if uri in getattr(options, "to", ()):
                return Journey(
                    storage=getattr(options, "storage", "shared"),
                    bandwidth=getattr(options, "bandwidth", 0),
                    converge=getattr(options, "converge", "none"),
                    timeout=getattr(options, "timeout", None) or MOVING,
                    goes_on=goes_on,
                )
        return Journey(goes_on=goes_on)
