"""Maintenance: guests that are off stay off over boots. It begins with nobody on its list, and ends with it empty."""

import os
from dataclasses import replace
from pathlib import Path

from lastcall.api.guests import Key, Reason
from lastcall.config.settings import Settings
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.fleet.maintenance import Maintenance, MaintenanceFile
from lastcall.persistence.refusals import refusals_told
from lastcall.persistence.state import StateFile, StateInvalid, open_state
from lastcall.persistence.waiting.entry import Entry
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
from lastcall.threads.box import Box
from lastcall.timing.budget import WRITING


def lasting_maintenance(folder: Path, deadline: float | None) -> Maintenance | None:
    """What holds now, within a part of these seconds. Raises StateInvalid where the disk does not answer: who would not
    be brought back, had it answered, is not brought back.
    """
    file = MaintenanceFile(folder)
    try:
        return Box().call(file.read, timeout=WRITING.of(deadline))
    except TimeoutError as error:
        raise StateInvalid(f"{file.path} cannot be read: {error}", "is the disk hanging?") from None


def begin_maintenance(settings: Settings) -> bool:
    """Note that it begins, before any guest is touched; False where it had begun already, and goes on.

    Raises NoPermission, StateInvalid.
    """
    file = MaintenanceFile(settings.paths.state)
    if file.read():
        return False
    state = open_state(settings.paths.state)
    # Who is due in this boot, and has not come back yet, is not to come now; nor is who was to come later in it, or at
    # the next one, as whoever was shed is.
    boots = (state.previous_boot, boot_id())
    others = [entry for entry in state.entries.values() if not any(map(entry.is_due_from, boots))]
    with refusals_told(file.path):
        file.write(Maintenance.begun_now(others))
    return True


def end_maintenance(settings: Settings) -> frozenset[Key] | None:
    """Note that it is over; returns whom it has kept away, who are due in this boot from now on, or None where there
    was none. Whatever cuts off what follows, the unit or the next boot brings them back.

    Raises NoPermission, StateInvalid and RunLocked.
    """
    paths = settings.paths
    file, lock = MaintenanceFile(paths.state), RunLock(paths.run)
    try:
        with refusals_told(paths.state):
            # A run that is under way writes the whole list anew.
            lock.take(Holder("maintenance", Reason.MANUAL.value, os.getpid()))
            maintenance = file.read()
            if maintenance is None:
                return None
            state = open_state(paths.state)
            kept = [one for one in state.entries.values() if maintenance.concerns(one) and not one.parked]
            _make_due(state, kept)
            state.save()
            file.remove()
    finally:
        lock.release()
    return frozenset(one.guest.key for one in kept)


def _make_due(state: StateFile, kept: list[Entry]) -> None:
    """Have them come back in this boot, as if the one just before it had stopped them."""
    state.stamp(boot_id())
    before = state.previous_boot or ""
    due = (replace(one, due=True, cause="host", boot_id=before) for one in kept)
    state.entries |= {one.guest.key: one for one in due}
    state.restored_in = None  # this boot has not been served
