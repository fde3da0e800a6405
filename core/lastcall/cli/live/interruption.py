"""What Ctrl-C does to a run just now: a line for whoever has a finger on it. `Phases.interrupt` and `Restore.interrupt`
do what it says.
"""

from lastcall.api.guests import Reason, RunKind
from lastcall.cli.live.watched_run import WatchedRun
from lastcall.formats.quantities import format_duration
from lastcall.timing.phases import HASTE

_NOTHING = "Ctrl-C changes nothing any more"


def ctrl_c_line(run: WatchedRun, now: float) -> str:
    """What the next Ctrl-C does, `now` seconds after the run's start."""
    if run.is_closing or run.interrupted > 1:
        return _NOTHING
    if run.kind is RunKind.RESTORE:
        return _of_restore(run)
    return _by_hand(run) if run.reason.voluntary else _of_host_stop(run, now)


def _of_restore(run: WatchedRun) -> str:
    if run.reason is Reason.BOOT:  # the first one is enough: it comes from systemd
        return _NOTHING if run.interrupted else "Ctrl-C: nobody else is started, and nobody waited for"
    if run.interrupted:
        return "Ctrl-C again: nobody is waited for; the rest stays on the list"
    return "Ctrl-C: nobody else is started, those that are being started are waited for"


def _by_hand(run: WatchedRun) -> str:
    if run.interrupted:
        return "Ctrl-C again: nobody is waited for; who still runs is left running"
    return "Ctrl-C: nobody else is asked, those that were asked are waited for"


def _of_host_stop(run: WatchedRun, now: float) -> str:
    if run.last_resort is not None and now >= run.last_resort:
        again, time = (" again", "no time") if run.interrupted else ("", f"{format_duration(HASTE)} at most")
        return f"Last resort: Ctrl-C{again} leaves {time} to those that are asked late"
    if run.interrupted:
        return "Ctrl-C again: the last resort at once"
    grace = HASTE
    if run.last_ask is not None and run.last_resort is not None:
        grace = min(HASTE, run.last_resort - run.last_ask, run.last_resort - now)
    return f"Ctrl-C: everybody is asked now, the last resort taken {format_duration(round(grace, 1))} later"
