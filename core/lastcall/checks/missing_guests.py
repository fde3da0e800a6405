"""Who has not come back since an earlier shutdown, as far as libvirt tells."""

from collections import Counter
from collections.abc import Iterator

from lastcall.config.settings import Settings
from lastcall.errors import LastcallError, Problem, Severity
from lastcall.persistence.fleet.maintenance import END, MaintenanceFile
from lastcall.persistence.motd import Motd
from lastcall.persistence.state import open_state
from lastcall.presence.roll_call import call_roll
from lastcall.report.unseen import unseen_at_login


def find_missing(settings: Settings) -> Iterator[Problem]:
    """The list of guests that cannot be read, or a warning of those on it that do not run; the line at login learns
    it as well. Where nobody is to be brought back nobody is missing; in maintenance that is the warning.
    """
    place = settings.paths.state
    try:
        state = open_state(place)
    except LastcallError as error:
        yield Problem(what="state", where=str(place), message=str(error), remedy=error.remedy)
        return
    if state.distrust:
        yield state.distrust
    wanted = settings.restore.brings_back
    roll = call_roll(state.entries if wanted else ())
    Motd(settings.paths, wanted=wanted).refresh(unseen=unseen_at_login(place), back=roll.back, off=roll.off)
    silent = Counter(uri for uri, _ in state.entries if uri in roll.silent)
    maintenance = MaintenanceFile(place).read()
    if maintenance:
        yield Problem(
            what="maintenance", where="this host", message=maintenance.words, remedy=END, severity=Severity.WARNING
        )
        return
    waiting = len(state.entries) - len(roll.back) - silent.total() if wanted else 0
    if waiting:
        told = f"{_guests(waiting)} of an earlier shutdown {'waits' if waiting == 1 else 'wait'} to be restored"
        yield _warning(str(state.path), told)
    for uri, count in silent.items():
        told = f"whether {_guests(count)} of an earlier shutdown {'is' if count == 1 else 'are'} back is not known"
        yield _warning(uri, f"{told}: {roll.silent[uri]}")


def _guests(count: int) -> str:
    return f"{count} guest{'' if count == 1 else 's'}"


def _warning(where: str, message: str) -> Problem:
    return Problem(what="state", where=where, message=message, remedy="lastcall status", severity=Severity.WARNING)
