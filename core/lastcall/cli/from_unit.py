"""What `lastcall.service` and `lastcall-restore.service` run: the two runs, told to systemd, journal and console."""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Report
from lastcall.cli.invocation import Invocation
from lastcall.cli.outlet import say
from lastcall.cli.progress import progress_sinks
from lastcall.config.paths import Places, find_places
from lastcall.config.settings import PathSettings, Settings, ShutdownSettings
from lastcall.errors import ExitCode, LastcallError, Problem, StillWaits
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.persistence.announcement import NoticeBoard
from lastcall.persistence.boot_stamp import BootStamp, boot_id
from lastcall.persistence.fleet.held_lock import HeldLockFile
from lastcall.persistence.fleet.maintenance import END
from lastcall.persistence.last_line import UnitAnswer, answered
from lastcall.persistence.motd import Motd
from lastcall.persistence.state import Entry, StateFile, open_state
from lastcall.presence.session_uris import by_hand_only, is_own_session
from lastcall.records.records import PowerChanged, Record, RunJoined, Sink
from lastcall.report.unseen import bad_guests, unseen_at_login
from lastcall.runs.assembly.stories import build_restore, build_shutdown
from lastcall.runs.fleet.giving_back import WhoIsBack, give_back_once_all_are_back
from lastcall.runs.fleet.maintenance import lasting_maintenance
from lastcall.runs.loading import Allowance, Loaded, load
from lastcall.runs.request import RunRequest
from lastcall.runs.runner import perform
from lastcall.systemd.console import Console
from lastcall.systemd.jobs import host_stop
from lastcall.systemd.journal import Journal
from lastcall.systemd.notify import Notifier
from lastcall.systemd.retry import begin_again
from lastcall.systemd.status_lines import StatusLines
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.unit_files.power_off import reboot_instead
from lastcall.threads.box import Box
from lastcall.timing.budget import FLEET_LOCK, WRITING
from lastcall.timing.deadline import soonest

SERVICE = "lastcall.service"


@value
class Audience:
    """Who is told of a run: the sinks, and the attendant, who wants to know the time as well."""

    attendant: StatusLines
    sinks: list[tuple[str, Sink]]

    @classmethod
    def gather(cls, invocation: Invocation, *, console: bool) -> "Audience":
        """Everybody who is there; without a journal the lines go to standard error."""
        journal = Journal.find()
        attendant = StatusLines(Notifier.from_environment(), Console() if console else None)
        # The standard error of a unit ends up in the journal: with both, every line would stand there twice.
        lines = [("journal", journal.take)] if journal else progress_sinks(invocation)
        return cls(attendant, [("systemd", attendant.take), *lines])


@value
class _Why:
    """Why the host stops: as far as anybody has said so, and as systemd says when it is asked."""

    known: Reason
    stopping: Callable[[], Reason]


def stop_host(invocation: Invocation, deadline: float | None) -> Report | None:
    """The shutdown run as systemd stops the unit; None where the host does not stop, and no guest is touched."""
    # Already before the plugins are loaded, as what was announced is cut from their time.
    places = find_places(invocation.config)
    with answered((places or Places()).run) as answer:
        return _stop_host(invocation, deadline, places, answer)


def _stop_host(
    invocation: Invocation, deadline: float | None, places: Places | None, answer: UnitAnswer
) -> Report | None:
    systemctl = Systemctl()
    reason = host_stop(systemctl)
    # A unit is stopped for many reasons; taken for a host stop, `systemctl restart` would stop every guest.
    if reason is None:
        _stay_on_duty(systemctl)
        return None
    known, left = _heed(NoticeBoard(places.run), invocation, reason) if places else (reason, None)
    allowance = Allowance(RunKind.SHUTDOWN, invocation.started, soonest(left, deadline))
    loaded = load(invocation.config, known, allowance=allowance)
    known, left = _heed(NoticeBoard(loaded.settings.paths.run), invocation, reason)
    why = _Why(known, partial(_still, reason))
    return _stop(invocation, _with_a_deadline(loaded.for_reason(known)), why, answer, deadline, left)


def stop_host_again(invocation: Invocation, deadline: float | None) -> Report | None:
    """Go on with a run that was cut off: it was killed, or something in it crashed. None where there is none."""
    run = invocation.places().run
    left = BootStamp(run).left
    if not left:
        return None
    with answered(run) as answer:
        return _go_on(invocation, deadline, left, answer)


def _go_on(invocation: Invocation, deadline: float | None, left: float, answer: UnitAnswer) -> Report:
    # A run for the host had begun, whatever the queue says by now: half of the guests may be down already.
    reason = host_stop(Systemctl()) or Reason.OTHER
    # What the first try has left, and no fresh deadline: the battery has been running down since then.
    limit = time.monotonic() + left - invocation.started
    limit = min(limit, deadline or limit)
    loaded = load(invocation.config, reason, allowance=Allowance(RunKind.SHUTDOWN, invocation.started, limit))
    known, _ = _heed(NoticeBoard(loaded.settings.paths.run), invocation, reason)
    return _stop(invocation, loaded.for_reason(known), _Why(known, partial(_still, reason)), answer, limit)


def _still(reason: Reason) -> Reason:
    """Why the host stops, by what systemd has been told by now; once it has been told, it goes on with it."""
    return host_stop(Systemctl()) or reason


def _stop(
    invocation: Invocation,
    loaded: Loaded,
    why: _Why,
    answer: UnitAnswer,
    deadline: float | None,
    announced: float | None = None,
) -> Report:
    loaded = without_sessions(loaded)
    duty = BootStamp(loaded.settings.paths.run)
    audience = Audience.gather(invocation, console=True)

    def note_end(limit: float) -> None:
        with contextlib.suppress(OSError):  # a full disk costs the second chance, not the first
            duty.stop_by(invocation.started + limit)

    def take(record: Record) -> None:
        # Who goes on with a run that is killed has the time that this had been told of.
        if isinstance(record, RunJoined | PowerChanged) and record.deadline is not None:
            note_end(record.deadline)

    def goes_on(limit: float) -> None:
        note_end(limit)
        audience.attendant.wait(time.monotonic() - invocation.started, limit)

    request = RunRequest(
        kind=RunKind.SHUTDOWN, reason=why.known, deadline=deadline, announced=announced,
        sinks=[*audience.sinks, ("boot stamp", take)], tick=audience.attendant.tick, goes_on=goes_on,
        stopping=why.stopping, reboots=reboot_instead, started=invocation.started,
    )  # fmt: skip
    # Before the first request: a run that the kernel kills has no moment left to note that it was cut off.
    note_end(request.limit(loaded.settings) or 0.0)
    report = perform(loaded, request, build_shutdown, invocation.signals)
    with contextlib.suppress(OSError):
        duty.end()
    answer.fails = loaded.settings.shutdown.fail_unit and bool(bad_guests(report))
    return report


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


def _with_a_deadline(loaded: Loaded) -> Loaded:
    """A host stop has to end: `deadline: none` is good for runs by hand only, and must cost no guest its last call."""
    shutdown = loaded.settings.shutdown
    if shutdown.deadline is not None:
        return loaded
    usual = ShutdownSettings().deadline
    message = f"none; a host stop has to end: {format_duration(usual)} is used"
    problem = Problem(what="config", where="shutdown.deadline", message=message, remedy="set it")
    settings = loaded.settings.model_copy(update={"shutdown": shutdown.model_copy(update={"deadline": usual})})
    return replace(loaded, settings=settings, problems=(*loaded.problems, problem))


def without_sessions(loaded: Loaded) -> Loaded:
    """A unit leaves the libvirt of a session alone.

    Waited for, one that has ended held every host stop up to the last resort. One that is started by a unit, as
    qemu:///session of root would be, ends with it, and so would the guests that it has brought back.
    """
    configured = loaded.settings.connections
    kept = tuple(one for one in configured if not is_own_session(one.uri))
    problems = tuple(by_hand_only(one.uri for one in configured))
    settings = loaded.settings.model_copy(update={"connections": kept})
    return replace(loaded, settings=settings, problems=(*loaded.problems, *problems))


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
    return "; ".join(f"{entry.name} waits for {entry.waits_for}" for entry in due)


def _heed(board: NoticeBoard, invocation: Invocation, reason: Reason) -> tuple[Reason, float | None]:
    """What was announced is true: the reason, and the deadline in seconds from the start of the program."""
    announced = board.read()
    if announced is None:
        return reason, None
    left = None if announced.ends is None else max(0.0, announced.ends - invocation.started)
    return Reason(announced.reason), left


def _stay_on_duty(systemctl: Systemctl) -> None:
    """Somebody stops the unit although the host goes on. Without the unit the next poweroff would stop no guest."""
    say("the host does not stop: no guest is touched. `lastcall shutdown` stops guests by hand,")
    say(f"`lastcall uninstall` takes the unit away. {SERVICE} is started again.")
    try:
        # The start comes after this very stop: waited for from inside of it, it would never come.
        systemctl.ask("start", "--no-block", SERVICE)
    except SystemctlFailed as error:
        say(f"it is not: {error}; run `systemctl start {SERVICE}`")
