"""What there is to tell: everything that `lastcall status` shows, gathered in bounded time."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from lastcall.api.guests import GuestState, Key
from lastcall.cli.documents.run_summary import summary_of
from lastcall.cli.documents.status import ConnectionCount, NextStop, PowerNow, StatusDocument, WaitingGuest
from lastcall.cli.status.power import power_now
from lastcall.config.paths import Places
from lastcall.errors import LastcallError, Problem
from lastcall.formats.values import value
from lastcall.persistence.announcement import NoticeBoard
from lastcall.persistence.boot_stamp import BootStamp
from lastcall.persistence.fleet.held_lock import HeldLock, HeldLockFile
from lastcall.persistence.fleet.maintenance import Maintenance, MaintenanceFile
from lastcall.persistence.motd import Motd
from lastcall.persistence.power.awaited_charge import ChargeNote
from lastcall.persistence.power.sleepers import Sleeper, SleeperList
from lastcall.persistence.refusals import refusals_told
from lastcall.persistence.state import StateFile
from lastcall.persistence.waiting.entry import Entry
from lastcall.planning.last_outlook import KeptForecast, LastOutlook
from lastcall.presence.roll_call import Census, RollCall, roll_in, take_census
from lastcall.report.drills.last_drill import LastDrill, last_drill
from lastcall.report.run_history import PastRun, latest, past_runs
from lastcall.report.unseen import SeenBy, SeenRuns, UnseenRun, login_words
from lastcall.systemd.unit_files.power_off import reboots_instead

_DEFAULT = "default"  # libvirt's own default, which guests know by its real URI
_FIELDS = tuple(one.name for one in fields(KeptForecast))


@value(kw_only=True)
class StatusFacts:
    """All of it. `roll`: who of those `waiting` is back, and who did not answer."""

    places: Places
    on_duty: bool
    doubts: tuple[Problem, ...]
    state: StateFile
    waiting: tuple[Entry, ...]
    roll: RollCall
    census: Census
    last_runs: tuple[PastRun, ...]
    next_stop: KeptForecast | None
    outdated: str
    unseen: tuple[UnseenRun, ...]
    seen: SeenBy | None
    last_drill: LastDrill | None
    asleep: tuple[Sleeper, ...]
    power: PowerNow | None = None
    maintenance: Maintenance | None = None
    lock: HeldLock | None = None
    reboots: bool = False

    def document(self) -> StatusDocument:
        """The same as it is printed with `--json`."""
        off = self.roll.off
        guests = (WaitingGuest(**asdict(one), back=False if one.guest.key in off else None) for one in self.waiting)
        stop = self.next_stop
        planned = {name: getattr(stop, name) for name in _FIELDS} if stop else None
        return StatusDocument(
            on_duty=self.on_duty,
            duty=self.doubts,
            announced=NoticeBoard(self.places.run).read(),
            charge=ChargeNote(self.places.run).read(),
            guests=tuple(guests),
            silent=self.census.silent,
            connections=tuple(ConnectionCount(uri=uri, guests=self.counts(uri)) for uri in self.places.connections),
            last_runs=tuple(map(summary_of, self.last_runs)),
            next_stop=NextStop(**planned, outdated=self.outdated or None) if planned else None,
            unseen=tuple(one.run for one in self.unseen),
            seen=self.seen,
            last_drill=self.last_drill,
            power=self.power,
            asleep=self.asleep,
            maintenance=self.maintenance and self.maintenance.since,
            fleet_lock=self.lock,
            reboots=self.reboots,
        )

    def counts(self, uri: str) -> dict[GuestState, int] | None:
        """How many guests of a connection are in which state; None: libvirt is silent, or was not asked."""
        found = self.census.guests.get(uri)
        if found is None:
            return None
        states = list(found.values())
        return {state: states.count(state) for state in GuestState if state in states}


def gather(places: Places, state: StateFile, *, ask_systemd: bool) -> StatusFacts:
    """Look, ask libvirt and systemd, and make the line at login true. Raises NoPermission.

    `ask_systemd`: the units are for the configuration that is looked at, which is so of the default one alone.
    """
    on = BootStamp(places.run).on
    doubts = tuple(_ask_systemd(stamped=on)) if ask_systemd else ()
    entries = sorted(state.entries.values(), key=lambda entry: (entry.uri, entry.name)) if places.brings_back else []
    census = take_census({*places.connections, *(entry.uri for entry in entries)})
    roll = roll_in(census, (entry.guest.key for entry in entries))
    with refusals_told(places.state):
        seen = SeenRuns(places.state)
        unseen, last, drill = seen.unseen(), seen.last(), last_drill(places.state)
        Motd(places, wanted=places.brings_back).refresh(unseen=login_words(unseen), back=roll.back, off=roll.off)
        last_runs = tuple(latest(past_runs(places.state / "runs")))
    planned = LastOutlook(places.state).recall()
    return StatusFacts(
        places=places,
        on_duty=on,
        doubts=doubts,
        state=state,
        waiting=tuple(entry for entry in entries if entry.guest.key not in roll.back),
        roll=roll,
        census=census,
        last_runs=last_runs,
        next_stop=planned,
        outdated=planned.doubt(places.files, _active(places, census)) if planned else "",
        unseen=tuple(unseen),
        seen=last,
        last_drill=drill,
        asleep=tuple(SleeperList(places.run).read().values()),
        power=power_now(places.run),
        maintenance=MaintenanceFile(places.state).read(),
        lock=_held_lock(places.state),
        reboots=reboots_instead(),
    )


def _held_lock(folder: Path) -> HeldLock | None:
    """The lock; of one that cannot be told `check` says why."""
    try:
        return HeldLockFile(folder).read()
    except LastcallError:
        return None


def _ask_systemd(*, stamped: bool) -> Iterator[Problem]:
    from lastcall.systemd.duty import doubts_of_duty  # here: nobody else pays for it
    from lastcall.systemd.systemctl import Systemctl, booted

    if booted():
        yield from doubts_of_duty(Systemctl(), stamped=stamped)


def _active(places: Places, census: Census) -> frozenset[Key] | None:
    """Who runs on the connections that are configured; None where not every one of them has said so by its own name."""
    if not set(places.connections) <= census.guests.keys() or _DEFAULT in places.connections:
        return None
    return frozenset(key for key in census.active if key[0] in places.connections)
