"""What a shutdown is told while it goes on: that the host stops, that the power comes and goes, and signals."""

import asyncio
from collections.abc import Callable

from lastcall.api.guests import Reason
from lastcall.guests.busy.busy_guests import BusyGuests
from lastcall.presence.connections import Connections
from lastcall.runs.bookkeeping import Bookkeeping
from lastcall.runs.meanwhile.latecomers import Latecomers
from lastcall.timing.deadline import Deadline
from lastcall.timing.phases import Phases


class Steered:
    """A shutdown that heeds what it is told, on the loop's thread. `notice`: there may be somebody else to see off.

    Implements `Joinable`, for `Answers`.
    """

    def __init__(
        self,
        phases: Phases,
        late: Latecomers,
        connections: Connections,
        books: Bookkeeping,
        busy: BusyGuests,
        loop: asyncio.AbstractEventLoop,
        *,
        run: str,
        notice: Callable[[], None],
    ) -> None:
        self._phases, self._late, self._connections = phases, late, connections
        self._books, self._busy = books, busy
        self._loop = loop
        self._run_id = run
        self._notice_everybody = notice
        self._keeping: asyncio.Task[None] | None = None
        self._is_closing = self._called_off = False

    def join(self, reason: Reason, deadline: Deadline, own: Deadline | None = None) -> bool:
        """Become the host stop that another process wants to begin, see `Phases.join`; False where it is too late."""
        if self._is_closing:
            return False
        self._busy.end()  # nobody who is told waits for that any more
        for_host = not self._phases.voluntary and not self._late.named
        self._phases.join(reason, deadline, own)
        if not reason.voluntary and not for_host:
            self._late.host_stops()
            self._notice_everybody()
            self._connections.pursue()
            # Who was stopped by hand so far was stopped for the host, as it turns out, and is to come back with it.
            self._books.make_due(self._run_id)
            self._keep()
        return True

    def announce(self, reason: Reason | None, deadline: Deadline | None) -> str:
        """Learn when the host is going to stop; see `Phases.announce`."""
        if self._phases.turned and reason is Reason.POWER:
            return self._go_on(deadline)
        if self._phases.voluntary:
            sheds = self._phases.terms.reason is Reason.SHED
            return "it sheds guests until the host stops" if sheds else "it is no host stop"
        return self._phases.announce(reason, deadline)

    def power_returns(self, deadline: Deadline, stops: Reason | None) -> str:
        """Learn that the mains are back; returns why that changes nothing, if so.

        `stops`: why systemd has been told to stop the host, None where it has not: the run turns round then. The
        deadline is that of a run that is not for want of power.
        """
        if self._phases.terms.reason not in {Reason.POWER, Reason.SHED}:
            return "" if self._phases.voluntary else self._phases.announce(None, None)
        if stops and not self._phases.voluntary:
            return self._phases.relax(stops, deadline)
        return self._turn(deadline)

    def call_off(self, deadline: Deadline) -> str:
        """Shed nobody else, whatever becomes of the mains, unless the battery runs low; returns as `announce` does."""
        self._called_off = True
        return self._turn(deadline)

    def power_goes(self) -> str:
        """Learn that the mains are gone, and not for how long there is a battery; returns as `announce` does."""
        if not self._phases.turned:
            return "it sheds guests until the host stops" if self._phases.voluntary else ""
        return "shedding was called off" if self._called_off and self._phases.sheds else self._go_on(None)

    def interrupt(self) -> None:
        """Answer a signal; see `Phases.interrupt`."""
        self._busy.end()
        self._phases.interrupt()

    def _turn(self, deadline: Deadline) -> str:
        if self._is_closing:
            return "its guests' time is over"
        self._phases.turn(deadline)
        self._books.turn(self._run_id)
        self._keep()
        return ""

    def _go_on(self, deadline: Deadline | None) -> str:
        """The mains are gone again: whom the run has left since they were back is seen off after all."""
        if self._is_closing:
            return "its guests' time is over"
        self._phases.go_on(deadline)
        self._late.power_goes()
        self._notice_everybody()
        if not self._phases.voluntary:
            self._connections.pursue()
            self._books.make_due(self._run_id)
            self._keep()
        return ""

    def _keep(self) -> None:
        # Kept in hand: the loop refers to its tasks weakly, and one that is collected would never write the list.
        self._keeping = self._loop.create_task(self._books.keep())

    async def _kept(self) -> None:
        """Wait until the list is kept that was changed last; a disk that hangs is told of, too."""
        if self._keeping:
            await self._keeping
