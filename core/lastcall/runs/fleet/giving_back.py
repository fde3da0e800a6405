"""When the lock of this host is given back: after a boot, once everybody who is due is back. No time gives it back."""

from collections.abc import Iterator, Sequence

from lastcall.config.sections.fleet_lock import FleetLockSettings
from lastcall.config.settings import Settings
from lastcall.formats.layout.folding import fold_names
from lastcall.formats.values import value
from lastcall.persistence.fleet.held_lock import HeldLock, HeldLockFile
from lastcall.persistence.fleet.maintenance import MaintenanceFile
from lastcall.persistence.refusals import refusals_told
from lastcall.persistence.state import StateFile
from lastcall.persistence.waiting.entry import Entry
from lastcall.runs.fleet.host_lock import HostLock


@value(kw_only=True)
class WhoIsBack:
    """What a restore has come to. `entries`: who is on the list at its end; `unready`: who was started, and no more;
    `ready`: who was waited for, and is ready.

    `everybody_by_hand`: a person has asked for everybody, and has seen what became of them. `complete`: it came to its
    end, and every connection answered.
    """

    entries: tuple[Entry, ...]
    previous_boot: str | None
    unready: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    everybody_by_hand: bool = False
    complete: bool = True

    @classmethod
    def listed(cls, state: StateFile) -> "WhoIsBack":
        """By the list alone."""
        return cls(entries=tuple(state.entries.values()), previous_boot=state.previous_boot)


def give_back_once_all_are_back(settings: Settings, who: WhoIsBack) -> tuple[HeldLock, str] | None:
    """Give it back; returns the lock, and why it is kept ("": it was given back), or None where none is held, or only
    in this very boot, in which the host has not gone down yet.

    Blocks; raises LastcallError where the server does not answer, or the note of it cannot be read.
    """
    file = HeldLockFile(settings.paths.state)
    held = file.read()
    if held is None or held.is_of_this_boot:
        return None
    unready = _unready(held, who)
    if unready != held.unready:
        with refusals_told(file.path):
            held = file.mark(held, unready)
    kept = "; ".join(_reasons(settings, held, who))
    if not kept:
        # What was taken is given back, also where the section has gone from the configuration meanwhile.
        own = settings.fleet_lock or FleetLockSettings.model_construct(url=held.url, group=held.group)
        HostLock(own, settings.paths.state).give_back()
    return held, kept


def _reasons(settings: Settings, held: HeldLock, who: WhoIsBack) -> Iterator[str]:
    """Why it is kept."""
    if MaintenanceFile(settings.paths.state).read():
        yield "this host is in maintenance"
    missing = _missing(held, who) if settings.restore.brings_back else ()
    if missing:
        yield f"not back: {fold_names(missing)}"
    # Started is not back: the next host would go down while the service of this one is still down.
    if held.unready:
        yield f"not ready: {fold_names(held.unready)}"
    if not (who.complete or missing):
        yield "the restore did not come to its end"


def _unready(held: HeldLock, who: WhoIsBack) -> tuple[str, ...]:
    """Who did not become ready since it was taken, as far as is known after this restore.

    Nobody asks them again. So it is for a person to say that all is well, by a restore of everybody, unless one of them
    was stopped once more and is ready now: a restore of others says nothing of it.
    """
    before = () if who.everybody_by_hand else (name for name in held.unready if name not in who.ready)
    return tuple(dict.fromkeys((*before, *who.unready)))


def _missing(held: HeldLock, who: WhoIsBack) -> Sequence[str]:
    """Who went off with the host since it was taken, and is on the list still; who waits from long ago is not."""
    boots = {held.boot, who.previous_boot}
    return [entry.name for entry in who.entries if entry.due and entry.boot_id in boots]
