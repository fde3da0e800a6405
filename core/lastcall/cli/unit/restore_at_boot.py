"""What `lastcall-restore.service` does: the guests return at boot; begun again while they wait for something."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from lastcall.api.guests import Reason, RunKind
from lastcall.api.naming.guest_names import GuestNames
from lastcall.api.results import Report
from lastcall.cli.invocation import Invocation
from lastcall.cli.outlet import say
from lastcall.cli.unit.audience import Audience
from lastcall.cli.unit.sessions import without_sessions
from lastcall.config.paths import Places
from lastcall.config.settings import PathSettings, Settings
from lastcall.errors import ExitCode, LastcallError, StillWaits
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.fleet.held_lock import HeldLockFile
from lastcall.persistence.fleet.maintenance import END
from lastcall.persistence.motd import Motd
from lastcall.persistence.state import StateFile, open_state
from lastcall.persistence.waiting.entry import Entry
from lastcall.presence.session_uris import is_own_session
from lastcall.report.unseen import unseen_at_login
from lastcall.runs.assembly.stories import build_restore
from lastcall.runs.fleet.giving_back import WhoIsBack, give_back_once_all_are_back
from lastcall.runs.fleet.maintenance import lasting_maintenance
from lastcall.runs.loading import Allowance, load
from lastcall.runs.request import RunRequest
from lastcall.runs.runner import perform
from lastcall.systemd.retry import begin_again
from lastcall.threads.box import Box
from lastcall.timing.budget import FLEET_LOCK, WRITING


def bring_back(invocation: Invocation, deadline: float | None) -> Report | None:
    """The restore run at boot; None where nothing is due (any more), as when a daemon is restarted in daily life.

    Raises StillWaits where nobody can be started yet.
    """
    # Not a voluntary one: a broken configuration must not keep guests from coming back.
    allowance = Allowance(RunKind.RESTORE, invocation.started, deadline)
    loaded = without_sessions(load(invocation.config, Reason.OTHER, allowance=allowance))
    seconds = WRITING.of(deadline)
    # This boot counts as not served: the next stop keeps for the boot after it who is due, as it would after a crash.
    paths = loaded.settings.paths
    maintenance = lasting_maintenance(paths.state, deadline)
    if maintenance:
        say(f"{maintenance.words}; {END}")
        with contextlib.suppress(TimeoutError):  # a boot has taken the line at login away
            Box().call(lambda: Motd(paths).refresh(unseen=unseen_at_login(paths.state)), timeout=seconds)
        return None
    state = _listed(paths, seconds)
    if state and state.restored_in == boot_id():
        due = _due(state)
        if not due:
            _let_others_reboot(loaded.settings, state, FLEET_LOCK.of(deadline))
            return None
        if not _any_may_start(due, seconds):
            _try_later()
            raise StillWaits(_told(due))
    audience = Audience.gather(invocation, console=False)
    request = RunRequest(
        kind=RunKind.RESTORE, reason=Reason.BOOT, deadline=deadline, sinks=audience.sinks,
        tick=audience.attendant.tick, started=invocation.started,
    )  # fmt: skip
    report = perform(loaded, request, lambda parts: build_restore(parts, at_boot=True), invocation.signals)
    # A host that stops has nobody who logs in, or asks how the next stop would go.
    from lastcall.cli.dry_run.next_stop import refresh_next_stop
    from lastcall.cli.login_line import refresh_login_line

    refresh_login_line(report, loaded.settings, invocation.started)
    refresh_next_stop(report, loaded, invocation)
    return report


def or_waiting(code: int, invocation: Invocation) -> int:
    """The exit code of a restore, and another one where guests that are due wait for what they need for their start: it
    is begun again then.
    """
    places = invocation.places()
    state = _listed(places, WRITING.seconds)
    if state is None:
        return code
    if any(entry.waits_for for entry in _due(state)):
        _try_later()
        return ExitCode.WAITING
    if not _due(state) and _holds_lock_for_nobody(places.state):
        _try_later()  # the exit code tells that it was not given back
    return code


def _let_others_reboot(settings: Settings, state: StateFile, seconds: float) -> None:
    """Give back the lock of this host where its server had not answered. Raises StillWaits where it still does not."""
    try:
        Box().call(lambda: give_back_once_all_are_back(settings, WhoIsBack.listed(state)), timeout=seconds)
    except (LastcallError, TimeoutError) as error:
        _try_later()
        raise StillWaits(f"the lock of this host is not given back: {error}") from None


def _holds_lock_for_nobody(folder: Path) -> bool:
    """Whether it is held since a boot before, although nobody is waited for: its server did not answer."""
    try:
        held = Box().call(HeldLockFile(folder).read, timeout=WRITING.seconds)
    except (LastcallError, TimeoutError):
        return False
    return held is not None and not (held.is_of_this_boot or held.unready)


def _try_later() -> None:
    """By hand nothing is begun that goes on by itself."""
    if os.environ.get("INVOCATION_ID"):
        begin_again()


def _listed(paths: Places | PathSettings, seconds: float) -> StateFile | None:
    """The list of guests; None where it cannot be read: a run will say what is wrong."""
    try:
        return Box().call(lambda: open_state(paths.state), timeout=seconds)
    except (LastcallError, TimeoutError):
        return None


def _due(state: StateFile) -> list[Entry]:
    due = (entry for entry in state.entries.values() if entry.is_due_from(state.previous_boot))
    return [entry for entry in due if not is_own_session(entry.uri)]


def _any_may_start(due: Sequence[Entry], seconds: float) -> bool:
    """False where the files that they wait for are not there: of anything else only libvirt knows."""
    try:
        return Box().call(lambda: any(map(_may_start, due)), timeout=seconds)
    except TimeoutError:
        return False  # a disk that does not answer


def _may_start(entry: Entry) -> bool:
    return not entry.waits_for.startswith("/") or Path(entry.waits_for).exists()


def _told(due: Sequence[Entry]) -> str:
    called = GuestNames(due)
    return "; ".join(f"{called.of(entry)} waits for {entry.waits_for}" for entry in due)
