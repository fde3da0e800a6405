"""What `lastcall check` looks at: is the lock server there, and does this host hold a lock for nobody?"""

from collections.abc import Iterator

from lastcall.config.settings import Settings
from lastcall.errors import LastcallError, Problem, Severity
from lastcall.persistence.fleet.held_lock import HeldLockFile, lock_words
from lastcall.runs.fleet.host_id import host_id
from lastcall.runs.fleet.lock_return import RELEASE
from lastcall.runs.fleet.lock_server import LockServer


def check_fleet_lock(settings: Settings) -> Iterator[Problem]:
    """Whether it answers, without a question: the protocol has none that changes nothing. Blocks for its timeout."""
    try:
        held = HeldLockFile(settings.paths.state).read()
    except LastcallError as error:
        yield _problem(str(error), error.remedy)
    else:
        if held and not held.is_of_this_boot:
            yield _problem(f"this host {lock_words(held)}", f"once all is well here, {RELEASE}", Severity.WARNING)
    fleet = settings.fleet_lock
    if fleet is None:
        return
    try:
        if fleet.id is None:
            host_id()
        LockServer(url=fleet.url, group=fleet.group, timeout=fleet.timeout, ca=fleet.ca).reach()
    except LastcallError as error:
        yield _problem(str(error), error.remedy or "without it `lastcall reboot` needs --anyway")


def _problem(message: str, remedy: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(what="fleet lock", where="this host", message=message, remedy=remedy, severity=severity)
