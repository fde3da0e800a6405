"""Sample drop-in: keep a line in the run log for every guest, and say what took long.

Copy it to /etc/lastcall/hooks.d/ (owned by root, not writable by others) to make it live.
"""

import lastcall

SLOW = 60.0  # seconds


@lastcall.hookimpl
def on_guest_stop(guest: lastcall.Guest, run: lastcall.Run) -> None:
    """Fires while the guest still runs."""
    run.log(f"{guest.name} is about to stop because of {run.reason}")


@lastcall.hookimpl
def post_shutdown(run: lastcall.Run, report: lastcall.Report) -> None:
    """Fires once, after the last guest."""
    slow = [guest.name for guest in report.guests if guest.duration > SLOW]
    if not slow:
        raise lastcall.Skip("nobody was slow")
    run.log(f"slow to stop: {', '.join(slow)}")
    run.evidence(slow=slow)
