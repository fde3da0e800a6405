"""The line at login, made true again by whoever looks at guests: the login itself must not wait for libvirt."""

import contextlib
import time

from lastcall.api.results import Report
from lastcall.config.settings import Settings
from lastcall.persistence.files import LAST_MOMENT
from lastcall.persistence.motd import Motd
from lastcall.presence.roll_call import PATIENCE, call_roll
from lastcall.report.unseen import unseen_at_login
from lastcall.threads.box import Box


def refresh_login_line(report: Report, settings: Settings, started: float) -> None:
    """Write the line, or take it away, after a run that began then (monotonic clock), in the time that it has left."""
    motd, patience = Motd(settings.paths, wanted=settings.restore.brings_back), patience_after(report, started)

    def look_again() -> None:
        roll = call_roll([entry.guest.key for entry in motd.subjects], patience)
        motd.refresh(unseen=unseen_at_login(settings.paths.state), back=roll.back, off=roll.off)

    # The list is on a disk: one that did not answer kept a run by hand from its end, whose guests were long down.
    with contextlib.suppress(TimeoutError):
        Box().call(look_again, timeout=patience + LAST_MOMENT)


def patience_after(report: Report, started: float) -> float:
    """Seconds for asking libvirt once more after this run."""
    # Whoever interrupted it, systemd above all, does not want to wait for libvirt.
    if any(problem.what == "signal" for problem in report.problems):
        return 0.0
    left = PATIENCE if report.run.deadline is None else started + report.run.deadline - time.monotonic()
    return max(0.0, min(PATIENCE, left))
