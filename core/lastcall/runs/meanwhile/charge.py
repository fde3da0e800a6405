"""Waiting, before guests are started at a boot, until the battery can carry the host through a second outage."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Protocol

from lastcall.api.power import PowerPolicy, Supply
from lastcall.errors import Severity
from lastcall.formats.quantities import format_duration
from lastcall.persistence.power.awaited_charge import ChargeNote
from lastcall.records.records import ChargeAwaited
from lastcall.records.stream import Stream
from lastcall.threads.workers import Workers
from lastcall.timing.moment import Moment

POLL = 10.0  # seconds between two questions to the UPSes
# Seconds in which one that says nothing may still be starting: after a boot systemd counts NUT's server as started, and
# it answers a second later.
SILENT, SOON = 30.0, 1.0
USUAL = 900.0  # seconds for a restore whose time nothing limits: it waits no longer than others
NOTING = 2.0  # seconds for the note that `status` reads


class Questions(Protocol):
    """What a site wants, and what its UPSes say."""

    async def policy(self) -> PowerPolicy:
        """Answer the first."""
        ...

    async def supplies(self) -> tuple[Supply, ...]:
        """Answer the second; never raises."""
        ...


class ChargeWait:
    """Waits once, before a restore. `limit`: its deadline in seconds, None = none; `bound`: the longest wait."""

    def __init__(
        self,
        questions: Questions,
        stream: Stream,
        workers: Workers,
        note: ChargeNote,
        loop: asyncio.AbstractEventLoop,
        limit: float | None,
    ) -> None:
        self._questions, self._stream, self._workers, self._note = questions, stream, workers, note
        self._loop = loop
        self._limit, self.bound = limit, limit or USUAL
        self._told: float | None = None

    async def wait(self, halt: Moment) -> float:
        """Wait for the charge, for the deadline of the restore at most, or until `halt` passes; returns the seconds
        that it took, which are none of the restore's time."""
        policy = await self._questions.policy()
        if policy.restore_charge <= 0:
            return 0.0
        began = self._loop.time()
        try:
            await halt.bounds(self._until(policy, began + self.bound))
        finally:
            if self._told is not None:
                await self._keep(self._note.remove)
        waited = self._loop.time() - began
        if self._told is not None:
            self._emit(self._told, policy.restore_charge, waited, over=True)
        return waited

    async def _until(self, policy: PowerPolicy, until: float) -> None:
        wanted = policy.restore_charge
        silent = min(self._loop.time() + SILENT, until)
        while True:
            charge = charge_of(await self._questions.supplies(), policy.supplies)
            if charge is None and self._loop.time() < silent:
                await asyncio.sleep(SOON)
                continue
            if charge is None:
                # Better back with an empty battery than off for a cable that is loose.
                self._problem(f"no UPS tells its charge, of which {wanted:.0f} % is to be there: nobody waits for it")
                return
            if charge >= wanted:
                return
            if self._loop.time() >= until:
                waited = format_duration(round(self.bound))
                self._problem(
                    f"{charge:.0f} % charge after {waited}, and {wanted:.0f} % is to be there: restored anyway"
                )
                return
            await self._tell(charge, wanted)
            await asyncio.sleep(min(POLL, max(0.0, until - self._loop.time())))

    async def _tell(self, charge: float, wanted: float) -> None:
        await self._keep(lambda: self._note.put(charge, wanted))
        if charge != self._told:
            self._told = charge
            self._emit(charge, wanted, self.bound)

    def _emit(self, charge: float, wanted: float, waited: float, *, over: bool = False) -> None:
        deadline = None if self._limit is None else round(self._limit + waited, 3)
        self._stream.emit(
            ChargeAwaited(at=self._stream.now(), charge=charge, wanted=wanted, over=over, deadline=deadline)
        )

    async def _keep(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(OSError, TimeoutError):  # it costs `status` a line
            await self._workers.call(work, timeout=NOTING)

    def _problem(self, message: str) -> None:
        self._stream.problem(
            "power", "restore_charge", message, "see plugins.power in the configuration", Severity.WARNING
        )


def charge_of(supplies: Iterable[Supply], needed: int) -> float | None:
    """The charge (per cent) that the host can count on, which lives by so many of these; None where none tells it."""
    told = sorted((one.charge for one in supplies if one.charge is not None), reverse=True)
    return told[min(max(needed, 1), len(told)) - 1] if told else None
