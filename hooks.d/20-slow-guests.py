"""Sample drop-in: keep a line in the run log for every guest, and say what took long.

Copy it to /etc/lastcall/hooks.d/ (owned by root, not writable by others) to make it live. It is for every reason; with
a line `# lastcall: reasons=host` above this text its functions would be called in host stops only.
"""

import lastcall

SLOW = 60.0  # seconds


@lastcall.hookimpl
def on_guest_stop(guest: lastcall.Guest, run: lastcall.Run) -> None:
    """Fires while the guest still runs; in a rehearsal it is going to go on."""
    would = "would stop now" if run.rehearsal else "is about to stop"
    run.log(f"{guest.name} {would} because of {run.reason}")


@lastcall.hookimpl
def post_shutdown(run: lastcall.Run, report: lastcall.Report) -> None:
    """Fires once, after the last guest."""
    if run.rehearsal:
        raise lastcall.Skip("nobody was stopped in this rehearsal")
    slow = [guest.name for guest in report.guests if guest.duration > SLOW]
    if not slow:
        raise lastcall.Skip("nobody was slow")
    run.log(f"slow to stop: {', '.join(slow)}")
    run.evidence(slow=slow)
