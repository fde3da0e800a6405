"""Who was shed already in this outage, by the logs of its runs: nobody is shed twice in one."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from lastcall.api.guests import Key, Reason, RunKind
from lastcall.api.results import GuestResult
from lastcall.persistence.boot_stamp import boot_id
from lastcall.report.run_history import PastRun, local_time, past_runs
from lastcall.threads.box import Box

RUNS = 50  # the newest logs that are read; each takes some milliseconds
PATIENCE = 3.0  # seconds for the disk to give them
AGAIN = "it was shed in this outage, and somebody has started it again"
DEAF = "it was asked in this outage, and did not go off"


def shed_before(folder: Path, lasts: float) -> Mapping[Key, str]:
    """Those that a run has shed, or asked in vain, in an outage that lasts so many seconds, and the words for it.

    Who was not done with as its run was cut off is none of them. Raises OSError and TimeoutError.
    """
    return Box().call(lambda: _told(folder, lasts), timeout=PATIENCE)


def _told(folder: Path, lasts: float) -> dict[Key, str]:
    # The logs know the time of day alone; a second for what was rounded on the way.
    began = datetime.now(UTC) - timedelta(seconds=lasts + 1)
    found = dict[Key, str]()
    for past in islice(past_runs(folder), RUNS):
        run = past.report.run
        if run.boot_id != boot_id() or local_time(run.started) < began:
            break
        if run.kind is RunKind.SHUTDOWN and run.reason is Reason.SHED:
            for guest in past.report.guests:
                why = _why(guest, past)
                if why:
                    found.setdefault(guest.guest.key, why)  # the newest counts
    return found


def _why(guest: GuestResult, past: PastRun) -> str:
    if guest.ended:
        return AGAIN
    # Where it is over it was its last word; a run that was killed may have asked nobody in earnest.
    return DEAF if guest.asked is not None and past.complete else ""
