"""Who is to come back after a shutdown: listed before anybody is touched, and once more at the end."""

from collections.abc import Iterable, Mapping

from lastcall.api.guests import Guest, Key
from lastcall.config.policies import Policies
from lastcall.config.policy.management import is_ours
from lastcall.guests.stop_guest import GuestStop
from lastcall.planning.plan import Plan
from lastcall.presence.power_state import PowerState
from lastcall.runs.bookkeeping import Bookkeeping
from lastcall.runs.meanwhile.latecomers import Latecomers
from lastcall.runs.moving.destinations import Destinations
from lastcall.timing.phases import Phases


class ReturnList:
    """Lists them for one run, whose `stops` go on changing."""

    def __init__(
        self,
        books: Bookkeeping,
        targets: Destinations,
        late: Latecomers,
        phases: Phases,
        policies: Policies,
        status: PowerState,
        stops: Mapping[Key, GuestStop],
        *,
        run: str,
    ) -> None:
        self._books, self._targets, self._late, self._phases = books, targets, late, phases
        self._policies, self._status, self._stops = policies, status, stops
        self._run_id = run

    async def list_planned(self, plan: Plan, *, begun: bool) -> None:
        """Write down who is to be brought back. `begun`: others have been asked already."""
        places = await self._targets.ahead(plan)
        # Before anybody is asked: a run that is killed after its first request
        # must not leave guests of which nobody knows.
        keepers = [
            planned.guest
            for planned in plan.guests
            if planned.restore and not (planned.left_because and self._phases.voluntary)
        ]
        again = {guest.key for guest in keepers}
        open_ = self._books.restarting()
        # Active: whatever was written of it is over; but one that this run has asked, and leaves now, may go off yet.
        # And what is known of one that may run elsewhere, or has to be undone: an entry written anew takes that over.
        self._books.drop(
            planned.guest.key
            for planned in plan.guests
            if planned.guest.key not in again
            and not (
                planned.left_because
                and (begun or planned.guest.key in open_ or self._targets.doubts(planned.guest.key))
            )
        )
        restarting = {planned.guest.key for planned in plan.guests if planned.facts.restarts}
        self._books.list_guests(
            keepers, run=self._run_id, named=self._late.named, restarting=restarting, places=places,
            autostarting={planned.guest.key for planned in plan.guests if planned.facts.autostart},
        )  # fmt: skip
        await self._books.keep(begun=begun)

    async def list_the_unplanned(self, guests: Iterable[Guest]) -> None:
        """List those whose planning the end has cut short, or whom a run by hand had left when the host stop joined it:
        the host takes the power from them, and they come back."""
        unplanned = [guest for guest in guests if self._is_unplanned(guest.key)]
        if unplanned and not self._phases.voluntary:
            policies = [(guest, self._policies.of(guest)) for guest in unplanned]
            keepers = [guest for guest, policy in policies if is_ours(policy) and policy.restore and guest.persistent]
            if keepers:  # a disk that hangs takes the time in which the others are asked for
                self._books.list_guests(keepers, run=self._run_id, named=self._late.named)
                await self._books.keep()

    def _is_unplanned(self, key: Key) -> bool:
        stop = self._stops.get(key)
        left = stop is not None and stop.leaves and not stop.arrives and self._status.ended(key) is None
        return stop is None or (left and key not in self._books.state.entries)
