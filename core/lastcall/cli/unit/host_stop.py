"""What `lastcall.service` does when the host stops: the one run that has no second try."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Report
from lastcall.cli.invocation import Invocation
from lastcall.cli.outlet import say
from lastcall.cli.unit.audience import Audience
from lastcall.cli.unit.sessions import without_sessions
from lastcall.config.paths import Places, find_places
from lastcall.config.settings import ShutdownSettings
from lastcall.errors import Problem
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.persistence.announcement import NoticeBoard
from lastcall.persistence.boot_stamp import BootStamp
from lastcall.persistence.last_line import UnitAnswer, answered
from lastcall.records.records import PowerChanged, Record, RunJoined
from lastcall.report.unseen import bad_guests
from lastcall.runs.assembly.stories import build_shutdown
from lastcall.runs.loading import Allowance, Loaded, load
from lastcall.runs.request import RunRequest
from lastcall.runs.runner import perform
from lastcall.systemd.jobs import host_stop
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.unit_files.power_off import reboot_instead
from lastcall.timing.deadline import soonest

SERVICE = "lastcall.service"


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
