"""Why systemd stops a unit: by what waits in its job queue, a host shutdown is told from a manual stop."""

from lastcall.api.guests import Reason
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed, booted

# Inside ExecStop the queue shows shutdown.target beside the target that was asked for; the latter
# tells why, so shutdown.target comes last.
TARGETS = {
    "poweroff.target": Reason.POWEROFF,
    "reboot.target": Reason.REBOOT,
    "halt.target": Reason.HALT,
    "kexec.target": Reason.KEXEC,
    "soft-reboot.target": Reason.SOFT_REBOOT,
    "exit.target": Reason.POWEROFF,  # the end of a container
    "shutdown.target": Reason.OTHER,
}


QUEUE = ("list-jobs", "--no-legend", "--plain", "--full")
"""The words by which systemctl tells what waits in its queue."""


def host_stop(systemctl: Systemctl) -> Reason | None:
    """Why the host stops; None where nothing in the queue says that it does.

    A queue that cannot be read counts as a host stop: not to stop guests that lose power is the worse mistake.
    """
    try:
        return reason_of(systemctl.ask(*QUEUE))
    except SystemctlFailed:
        return Reason.OTHER


def stopping() -> Reason | None:
    """Why the host stops, by what systemd has been told by now; None where it does not, or systemd does not run it."""
    return host_stop(Systemctl()) if booted() else None


def reason_of(jobs: str) -> Reason | None:
    """The reason by the lines of `systemctl list-jobs`: JOB UNIT TYPE STATE."""
    rows = [line.split() for line in jobs.splitlines()]
    starting = {row[1] for row in rows if len(row) >= 3 and row[2] == "start"}
    return next((reason for target, reason in TARGETS.items() if target in starting), None)
