"""What invariants ask of a run that was played: what was true, and whether anybody could have known."""

import math
from collections.abc import Iterator
from itertools import islice

from lastcall.api.guests import Ended, GuestState, Key
from lastcall.api.results import GuestResult, Report
from simulation.guest import PLUGS, PREPARES, Change, Request, SimulatedGuest
from simulation.history import History, Played
from simulation.terms import era_at

MOMENT = 0.2  # seconds: what happens so shortly before a run ends need not be in its report
LAST_LOOK = 0.2  # seconds for an answer that a run can count on at its end
HASTE = 5.0  # seconds between the request and the last resort, once a host stop was told to end
RETRY = 1.5  # seconds after which a connection that lives again is found to


class Evidence:
    """One run of a history, and the world around it."""

    def __init__(self, history: History, run: Played, report: Report, until: float = math.inf) -> None:
        self.history, self.world, self.run, self.report = history, history.world, run, report
        self.era = era_at(run, until) if self.world.mains else None
        self.end = run.began + (self.era.limit if self.era else self._limit())

    def as_of(self, moment: float) -> "Evidence":
        """The same by the terms that counted at a moment, where they go and come with the mains."""
        return Evidence(self.history, self.run, self.report, moment) if self.era else self

    def _limit(self) -> float:
        joining = self.world.joining
        limit = self.world.deadline
        if self.run is self.history.shutdown and self.run.announced is not None:
            limit = min(limit, self.run.announced)
        joined = self.history.stopped_host and not self.world.stops_the_host and joining
        return min(limit, joining.at + joining.limit) if joined and joining else limit

    @property
    def reserve(self) -> float:
        """Seconds that are kept for the last resort."""
        if self.era and self.era.last_resort is not None:
            return self.era.limit - self.era.last_resort
        limit = self.end - self.run.began
        kept = min(self.world.reserve, max(limit / 3, min(12.5, limit / 2)))
        # However little is kept, plugs have 1 s, before what comes after the guests.
        return max(kept, min(1.0, limit / 4) + max(min(5.0, kept / 2), min(0.5, limit / 20)))

    @property
    def signals(self) -> list[float]:
        """When signals came that bring the last resort forward: none before a host stop has joined a run by hand."""
        if self.era:
            return [self.run.began + at for at in self.era.signals]
        forces = self.history.stopped_host or self.world.force
        joining = None if self.world.stops_the_host or self.world.force else self.world.joining
        since = joining.at if joining else 0.0
        return [self.run.began + at for at in self.world.signals if at >= since] if forces else []

    def signals_until(self, moment: float) -> list[float]:
        """Those up to a moment; a timer may be early by the resolution of the clock."""
        return [at for at in self.signals if at <= moment + 1e-6]

    @property
    def grace(self) -> float:
        """Seconds between a request that comes late and the last resort."""
        if self.era and self.era.last_ask is not None and self.era.last_resort is not None:
            return self.era.last_resort - self.era.last_ask
        limit = self.end - self.run.began
        return min(max(self.world.grace, HASTE, limit / 20), limit / 4)

    @property
    def last_resort(self) -> float:
        """When the last resort begins: by the clock, a moment after a first signal, or by a second one."""
        first, second = [*self.signals, math.inf, math.inf][:2]
        return min(self.end - self.reserve, first + min(self.grace, HASTE), second)

    def results(self) -> Iterator[tuple[SimulatedGuest, GuestResult]]:
        """Every guest of the report and what is said of it."""
        for result in self.report.guests:
            yield self.guest((result.uri, result.uuid)), result

    def guest(self, key: Key) -> SimulatedGuest:
        """The guest itself."""
        return self.history.hypervisor.guest(key)

    def active_at_first(self) -> list[SimulatedGuest]:
        """The guests that ran when the run began."""
        return [self.guest(key) for key, truth in self.run.before.items() if truth.active]

    def is_active(self, guest: SimulatedGuest) -> bool:
        """Whether it ran when the run ended."""
        return self.run.after[guest.guest.key].active

    def has_crashed(self, guest: SimulatedGuest) -> bool:
        """Whether it was kept as it crashed when the run began, and still so when it ended."""
        key = guest.guest.key
        return self.run.before[key].state is self.run.after[key].state is GuestState.CRASHED

    def changes(self, guest: SimulatedGuest) -> list[Change]:
        """What happened to a guest in this run."""
        key = guest.guest.key
        return list(islice(guest.changes, self.run.before[key].changes, self.run.after[key].changes))

    def last_change(self, guest: SimulatedGuest) -> Change | None:
        """The last that happened to it in this run."""
        return next(reversed(self.changes(guest)), None)

    def was_active(self, guest: SimulatedGuest) -> bool:
        """Whether it ran at any time of the run."""
        return self.run.before[guest.guest.key].active or any(one.ended is None for one in self.changes(guest))

    def migrated(self, guest: SimulatedGuest) -> bool:
        """Whether it runs elsewhere now."""
        last = self.last_change(guest)
        return last is not None and last.ended is Ended.MIGRATED

    def came_back_unseen(self, guest: SimulatedGuest) -> bool:
        """Whether it had migrated away and was started here again when nobody could be asked any more, until the end:
        who lists it may start it beside itself."""
        *_, before, last = [None, None, *self.changes(guest)]
        away = before is not None and before.ended is Ended.MIGRATED
        back = last is not None and last.ended is None
        return bool(away and back and last and self.cut_off_from(guest.uri, last.at, self.run.ended))

    def cut_off_from(self, uri: str, at: float, until: float) -> bool:
        """Whether a connection did not answer from one moment to another."""
        closures = self.history.hypervisor.closures[uri]
        return any(since <= at and until <= back + RETRY for since, back in closures)

    def requests(self, guest: SimulatedGuest) -> list[Request]:
        """What lastcall asked of the guest in this run, in its last life."""
        key = guest.guest.key
        return list(islice(guest.requests, self.run.before[key].requests, self.run.after[key].requests))

    def asked(self, guest: SimulatedGuest) -> list[Request]:
        """The requests to stop that are no last resort; a save may be either where it is both."""
        others = PLUGS | PREPARES | ({"save"} if "save" in guest.nature.last_resort else set[str]())
        return [one for one in self.requests(guest) if one.how not in others]

    def asked_in_this_life(self, guest: SimulatedGuest, until: float = math.inf) -> list[Request]:
        """Those since it was started last, up to a moment."""
        return [one for one in self.asked(guest) if self._born(guest, until) <= one.at <= until]

    def tried_in_this_life(self, guest: SimulatedGuest, until: float) -> bool:
        """Whether it was asked up to a moment, or could not be, as it was not to be woken or resumed before."""
        could_not = [one for one in self.requests(guest) if one.how in PREPARES and one.answer != "ok"]
        tried = any(self._born(guest, until) <= one.at <= until for one in could_not)
        return tried or bool(self.asked_in_this_life(guest, until))

    def _born(self, guest: SimulatedGuest, until: float) -> float:
        starts = (change.at for change in self.changes(guest) if change.ended is None and change.at <= until)
        return max(starts, default=0.0)

    def may_have_saved(self, guest: SimulatedGuest) -> bool:
        """Whether a save went out of which nobody knows whether it was a last resort."""
        both = "save" in guest.nature.last_resort
        return both and any(one.how == "save" for one in self.requests(guest))

    def plugs(self, guest: SimulatedGuest) -> list[Request]:
        """The plugs that were pulled; one that libvirt refuses is none."""
        return [one for one in self.requests(guest) if one.how in PLUGS and one.answer != "refused"]

    def is_fresh(self, guest: SimulatedGuest) -> bool:
        """Whether something happened to it so shortly before the end that nobody could know of it."""
        last = self.last_change(guest)
        line = next(line for line in self.world.lines if line.uri == guest.uri)
        lag = MOMENT + 3 * line.latency + max(one.late for one in guest.nature.deliveries)
        return last is not None and last.at > self.run.ended - lag

    def hung_until(self, uri: str, moment: float) -> bool:
        """Whether a connection's daemon hung before a moment of the run: what it tells of is late, and in one heap."""
        incidents = self.world.incidents
        return any(one.what == "hang" and one.to == uri and self.run.began + one.at <= moment for one in incidents)

    def cut_off(self, uri: str, at: float, before: float = 0.0) -> bool:
        """Whether a connection did not answer then, or some seconds before."""
        closures = self.history.hypervisor.closures[uri]
        return any(since <= at and at - before <= until + RETRY for since, until in closures)

    def answers_at_the_end(self, uri: str) -> bool:
        """Whether a connection answers in the time that a run can count on where guests took all there was: half of
        what it keeps.
        """
        line = next(line for line in self.world.lines if line.uri == uri)
        return line.latency < min(LAST_LOOK, min(0.5, (self.end - self.run.began) / 20) / 3)

    def written(self) -> bool:
        """Whether the list could be written, or at least nobody was told otherwise."""
        return all(problem.what != "state" for problem in self.report.problems)


def shutdown_of(history: History) -> Evidence | None:
    """The shutdown, unless it was refused before it touched anybody."""
    run = history.shutdown
    return Evidence(history, run, run.report) if run.report else None


def guests_of(history: History) -> Iterator[tuple[Evidence, SimulatedGuest, GuestResult]]:
    """Every guest of the shutdown's report, and what is said of it."""
    seen = shutdown_of(history)
    if seen:
        for guest, result in seen.results():
            yield seen, guest, result


def restores_of(history: History) -> Iterator[Evidence]:
    """The restores."""
    for run in history.restores:
        if run.report:
            yield Evidence(history, run, run.report)
