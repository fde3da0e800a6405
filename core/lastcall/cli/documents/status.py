"""What `status` prints: whether lastcall is on duty, what is there, and what is to be expected."""

from collections.abc import Mapping

from lastcall.api.guests import GuestState
from lastcall.api.power import PowerWord
from lastcall.cli.documents.run_summary import RunSummary
from lastcall.errors import Problem
from lastcall.formats.values import value
from lastcall.persistence.announcement import Announcement
from lastcall.persistence.fleet.held_lock import HeldLock
from lastcall.persistence.power.awaited_charge import AwaitedCharge
from lastcall.persistence.power.sleepers import Sleeper
from lastcall.persistence.waiting.entry import Entry
from lastcall.planning.last_outlook import KeptForecast
from lastcall.report.drills.last_drill import LastDrill
from lastcall.report.unseen import BadRun, SeenBy


@value(kw_only=True)
class WaitingGuest(Entry):
    """A guest that waits. `back`: false where libvirt says that it is off, null where it is silent."""

    back: bool | None


@value(kw_only=True)
class ConnectionCount:
    """How many guests of a connection are in which state; null where libvirt does not answer."""

    uri: str
    guests: Mapping[GuestState, int] | None


@value(kw_only=True)
class NextStop(KeptForecast):
    """The same as it is told now. `outdated`: why it may not hold any more, null = it does."""

    outdated: str | None


@value(kw_only=True)
class PowerNow:
    """The power, as far as words and UPSes tell. Times are seconds; null = not known.

    `word` holds for `seconds`; `watched`: somebody sees the outage through; `sheds`: guests are shed in it. `charge` in
    per cent, `runtime` as far as it is believed. `shed`: who comes back with the mains, and `returns_in` when, should
    they hold; `next`: who is shed next.
    """

    word: PowerWord
    seconds: float
    watched: bool
    sheds: bool = True
    charge: float | None = None
    runtime: float | None = None
    shed: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    next_in: float | None = None
    returns_in: float | None = None


@value(kw_only=True)
class StatusDocument:
    """Whether lastcall is on duty, what was announced, and who waits. `silent`: the URIs without an answer, and why.

    `charge`: what the restore of this boot waits for, null where it does not.
    `duty`: why it is not, or may not be, by what systemd says. `connections`: who is there now. `last_runs`: the last
    shutdown and the restore after it. `next_stop`: null before the first plan or check. `unseen`: runs with guests that
    were forced, left or failed, since somebody said that all was `seen`: the newest ten, newest first. `last_drill`:
    null where there was none. `power`: null where the mains are there. `asleep`: whom a sleep of the host has left
    paused or saved. `maintenance`: since when guests stay away, null where they do not. `fleet_lock`: the lock that
    this host holds, null where none is remembered. `reboots`: whether the power-off that is under way ends in a reboot,
    as the mains are back.
    """

    version: int = 1
    on_duty: bool
    duty: tuple[Problem, ...]
    announced: Announcement | None
    charge: AwaitedCharge | None
    guests: tuple[WaitingGuest, ...]
    silent: Mapping[str, str]
    connections: tuple[ConnectionCount, ...]
    last_runs: tuple[RunSummary, ...]
    next_stop: NextStop | None
    unseen: tuple[BadRun, ...]
    seen: SeenBy | None
    last_drill: LastDrill | None
    power: PowerNow | None
    asleep: tuple[Sleeper, ...]
    maintenance: str | None
    fleet_lock: HeldLock | None
    reboots: bool
