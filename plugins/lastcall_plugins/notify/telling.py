"""What is told of a run or a check: messages that are put on disk, and the process that is to send them."""

import os
import platform
import time

from lastcall import CheckFindings, LastcallError, Reason, Report, Run, Severity
from lastcall_plugins.notify.earlier import Earlier, LastErrors
from lastcall_plugins.notify.messages import Message, Unsent
from lastcall_plugins.notify.settings import Event, NotifySettings
from lastcall_plugins.notify.wording import error_line, facts_of, facts_of_check, filled, is_bad

_KINDS = {"stopping": "info", "forced": "failure", "stopped": "info", "restored": "success", "checked": "success"}
_AT_MOST = 0.8  # of a hook's time is waited for the sender, so that what came of it is in the report


def tell_stopping(run: Run, settings: NotifySettings) -> None:
    """Of a host that is about to stop; returns at once."""
    if not _is_meant(run, settings):
        return
    facts = facts_of("stopping", platform.node(), run, None)
    Earlier(run.folder).begun(facts)
    _note(run, settings, "stopping", facts)
    _keep(run, settings, phase="stopping")
    _send(run, settings, wait=False)


def tell_stopped(run: Run, settings: NotifySettings, report: Report) -> None:
    """Of who did not stop as planned; waits until that is sent, as long as there is time."""
    if not _is_meant(run, settings):
        return
    facts = facts_of("stopped", report.run.host, run, report)
    bad = [one.name for one in report.guests if is_bad(one)]
    Earlier(run.folder).ended(facts)
    noted = _note(run, settings, "stopped", facts, bad=not _as_planned(report))
    noted |= bool(bad) and _note(run, settings, "forced", {**facts, "event": "forced"})
    _keep(run, settings, phase="running" if run.voluntary else "off", forced=len(bad), forced_guests=bad, **_of(report))
    _send(run, settings, wait=noted or settings.mqtt is not None)


def tell_restored(run: Run, settings: NotifySettings, report: Report) -> None:
    """Of guests that are back, with what is left from the shutdown; does not wait."""
    if not _is_meant(run, settings):
        return
    earlier = Earlier(run.folder)
    if earlier.is_news(report):
        facts = facts_of("restored", report.run.host, run, report, earlier.text())
        _note(run, settings, "restored", facts, bad=not _as_planned(report))
        earlier.told(report)
        _keep(run, settings, phase="running", **_of(report))
    _send_after_boot(run, settings)


def tell_checked(run: Run, settings: NotifySettings, findings: CheckFindings) -> None:
    """Of errors that are others than at the last check by the timer; what waits is tried again."""
    # Who checks by hand, or rehearses this, sees what is found. A unit has an invocation.
    if not settings.urls or "checked" not in settings.events or "INVOCATION_ID" not in os.environ:
        return
    errors = [error_line(one) for one in findings.problems if one.severity is Severity.ERROR]
    last = LastErrors(run.folder)
    new, over = last.differ(errors)
    if new or over:
        _note(run, settings, "checked", facts_of_check(platform.node(), errors, len(new), over), bad=bool(errors))
        last.told(errors)
    if Unsent(run.folder, settings.keep).everything():
        _send(run, settings, wait=True)


def _is_meant(run: Run, settings: NotifySettings) -> bool:
    """Whether this run is one to tell of."""
    if not settings.urls and settings.mqtt is None:
        return False
    if run.rehearsal:
        run.log("would tell of it; lastcall notify test sends a message")
        return False
    return settings.by_hand or run.reason is not Reason.MANUAL


def _note(run: Run, settings: NotifySettings, event: Event, facts: dict[str, str], *, bad: bool = False) -> bool:
    """Put a message where the sender finds it; whether there is one."""
    if event not in settings.events or not settings.urls:
        return False
    words = settings.words.get(event)
    title, body = filled(event, words and words.title, words and words.body, facts)
    kind = "failure" if bad else _KINDS[event]
    message = Message(title=title, body=body, written=time.time(), kind=kind)
    Unsent(run.folder, settings.keep).add(message)
    return True


def _as_planned(report: Report) -> bool:
    """The verdict of the run itself, as far as it is known before its end: what others say of it is not to differ.

    A hook that failed counts though every guest is off; a warning does not count.
    """
    return report.run.exit_code == 0


def _of(report: Report) -> dict[str, str | int]:
    """What is published of a run."""
    planned = _as_planned(report)
    return {
        "outcome": "as planned" if planned else "not as planned",
        "problem": "OFF" if planned else "ON",
        "problems": len(report.problems),
        "last_run": report.run.started,
    }


def _keep(run: Run, settings: NotifySettings, **state: str | int | list[str]) -> None:
    from lastcall_plugins.notify.mqtt import keep_state

    if settings.mqtt is not None:
        by_unit = {} if run.reason is Reason.MANUAL else {"on_duty": "ON"}  # only a unit that is on duty does such runs
        keep_state(run.folder, **by_unit, **state)


def _send(run: Run, settings: NotifySettings, *, wait: bool) -> None:
    from lastcall_plugins.notify.sending import outcomes, start

    try:
        process = start(run, settings, limit=settings.timeout, heard=wait)
    except LastcallError as error:
        run.log(f"{error}; it is sent after boot")
        return
    if not wait:
        return
    told = outcomes(process, min(settings.timeout, run.remaining() * _AT_MOST))
    for one in told:
        if one.why:
            run.log(f"{one.place}: not sent: {one.why}")
    run.evidence(waiting=len(Unsent(run.folder, settings.keep).everything()))


def _send_after_boot(run: Run, settings: NotifySettings) -> None:
    from lastcall_plugins.notify.sending import send_later, start

    if run.reason is Reason.MANUAL or not send_later(run, settings):
        start(run, settings, limit=max(settings.retry, settings.timeout), again=True, heard=False)
