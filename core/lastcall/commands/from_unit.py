"""What `lastcall.service` and `lastcall-restore.service` run: the two runs, told to systemd, journal and console."""

import contextlib
from dataclasses import dataclass

import click

from lastcall.announcement import Announcement, NoticeBoard
from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Report
from lastcall.assembly import RunRequest, perform
from lastcall.cli import Invocation
from lastcall.commands.options import progress
from lastcall.config.models import PathSettings
from lastcall.duty import Duty
from lastcall.errors import LastcallError
from lastcall.loading import load
from lastcall.motd import Motd
from lastcall.records import Sink
from lastcall.restore import Restore
from lastcall.shutdown import Shutdown
from lastcall.state import boot_id, open_state
from lastcall.systemd.attendant import Attendant
from lastcall.systemd.console import Console
from lastcall.systemd.jobs import host_stop
from lastcall.systemd.journal import Journal
from lastcall.systemd.notify import Notifier
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed

SERVICE = "lastcall.service"


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told of a run: the sinks, and the attendant, who wants to know the time as well."""

    attendant: Attendant
    sinks: list[tuple[str, Sink]]

    @classmethod
    def gather(cls, invocation: Invocation, *, console: bool) -> "Audience":
        """Everybody who is there; without a journal the lines go to standard error."""
        journal = Journal.find()
        attendant = Attendant(Notifier.from_environment(), Console() if console else None)
        lines = [("journal", journal.take)] if journal else progress(invocation)
        return cls(attendant, [("systemd", attendant.take), *lines])


def stop_host(invocation: Invocation, deadline: float | None) -> Report | None:
    """The shutdown run as systemd stops the unit; None where the host does not stop, and no guest is touched."""
    systemctl = Systemctl()
    reason = host_stop(systemctl)
    if reason is None:
        _stay_on_duty(systemctl)
        return None
    audience = Audience.gather(invocation, console=True)
    loaded = load(invocation.config, reason)
    paths = loaded.settings.paths
    announced = NoticeBoard(paths.run).read()
    reason, deadline = _heed(announced, reason, deadline)
    request = RunRequest(
        kind=RunKind.SHUTDOWN, reason=reason, deadline=deadline, sinks=audience.sinks, tick=audience.attendant.tick,
        started=invocation.started,
    )  # fmt: skip
    report = perform(loaded.for_reason(reason), request, Shutdown)
    with contextlib.suppress(OSError):
        Duty(paths.run).end()
    return report


def bring_back(invocation: Invocation, deadline: float | None) -> Report | None:
    """The restore run at boot; None where nothing is due (any more), as when a daemon is restarted in daily life."""
    loaded = load(invocation.config, Reason.OTHER)  # a broken configuration must not keep guests from coming back
    if _all_are_back(loaded.settings.paths):
        return None
    audience = Audience.gather(invocation, console=False)
    request = RunRequest(
        kind=RunKind.RESTORE, reason=Reason.BOOT, deadline=deadline, sinks=audience.sinks,
        tick=audience.attendant.tick, started=invocation.started,
    )  # fmt: skip
    report = perform(loaded, request, lambda parts: Restore(parts, at_boot=True))
    Motd(loaded.settings.paths).refresh()
    return report


def _all_are_back(paths: PathSettings) -> bool:
    try:
        state = open_state(paths.state)
    except LastcallError:
        return False  # the run will say what is wrong
    waiting = any(entry.is_due_from(state.previous_boot) for entry in state.entries.values())
    return state.restored_in == boot_id() and not waiting


def _heed(announced: Announcement | None, reason: Reason, deadline: float | None) -> tuple[Reason, float | None]:
    """What was announced is true; the earlier of two deadlines counts."""
    if announced is None:
        return reason, deadline
    left = announced.left()
    limits = [limit for limit in (left, deadline) if limit is not None]
    return Reason(announced.reason), min(limits, default=None)


def _stay_on_duty(systemctl: Systemctl) -> None:
    """Somebody stops the unit although the host goes on. Without the unit the next poweroff would stop no guest."""
    click.echo("the host does not stop: no guest is touched. `lastcall shutdown` stops guests by hand,", err=True)
    click.echo(f"`lastcall uninstall` takes the unit away. {SERVICE} is started again.", err=True)
    try:
        systemctl.ask("start", "--no-block", SERVICE)
    except SystemctlFailed as error:
        click.echo(f"it is not: {error}; run `systemctl start {SERVICE}`", err=True)
