"""Tells people elsewhere, by Apprise and MQTT: before a host stop, of guests that were forced off, after boot, and of
errors that a check by the timer finds.

Nothing is sent by the run itself: a message is put on disk, and a process of its own takes it from there.
"""

import os
import platform
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lastcall import CheckFindings, LastcallError, PluginOptions, Problem, Reason, Report, Run, Severity, hookimpl
from lastcall_plugins.notify.earlier import Earlier, LastErrors
from lastcall_plugins.notify.messages import Message, Unsent
from lastcall_plugins.notify.settings import Event, NotifySettings
from lastcall_plugins.notify.wording import error_line, facts_of, facts_of_check, filled, is_bad

if TYPE_CHECKING:
    import click

_KINDS = {"stopping": "info", "forced": "failure", "stopped": "info", "restored": "success", "checked": "success"}
_AT_MOST = 0.8  # of a hook's time is waited for the sender, so that what came of it is in the report


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare `plugins.notify`; where it is not set, no run knows of this plugin."""
    return PluginOptions(settings=NotifySettings, only_where_set=True)


@hookimpl
def register_commands(group: "click.Group") -> None:
    """Add `lastcall notify`."""
    from lastcall_plugins.notify.commands import notify

    group.add_command(notify)


@hookimpl
def check(run: Run) -> Iterable[Problem]:
    """Find what would keep messages from being sent, and those that were not."""
    from lastcall_plugins.notify.advice import problems

    return problems(run, run.options(NotifySettings))


@hookimpl(tryfirst=True)
def pre_shutdown(run: Run) -> None:
    """Have it told that the host is about to stop; returns at once, so that nobody who comes later has to wait."""
    settings = run.options(NotifySettings)
    if not _is_meant(run, settings):
        return
    facts = facts_of("stopping", platform.node(), run, None)
    Earlier(run.folder).begun(facts)
    _note(run, settings, "stopping", facts)
    _keep(run, settings, phase="stopping")
    _send(run, settings, wait=False)


@hookimpl(trylast=True)
def post_shutdown(run: Run, report: Report) -> None:
    """Have it told who did not stop as planned; waits for that, as the end of the unit ends our processes.

    Last: what others do there, such as switching off a disk shelf, cannot be done after the boot.
    """
    settings = run.options(NotifySettings)
    if not _is_meant(run, settings):
        return
    facts = facts_of("stopped", report.run.host, run, report)
    bad = [one.name for one in report.guests if is_bad(one)]
    Earlier(run.folder).ended(facts)
    noted = _note(run, settings, "stopped", facts, bad=bool(bad))
    noted |= bool(bad) and _note(run, settings, "forced", {**facts, "event": "forced"})
    _keep(run, settings, phase="running" if run.voluntary else "off", forced=len(bad), forced_guests=bad, **_of(report))
    _send(run, settings, wait=noted or settings.mqtt is not None)


@hookimpl(trylast=True)
def post_restore(run: Run, report: Report) -> None:
    """Have it told that the guests are back, with what is left from the shutdown; systemd goes on with it."""
    settings = run.options(NotifySettings)
    if not _is_meant(run, settings):
        return
    earlier = Earlier(run.folder)
    if earlier.is_news(report):
        facts = facts_of("restored", report.run.host, run, report, earlier.text())
        _note(run, settings, "restored", facts, bad=any(map(is_bad, report.guests)))
        earlier.told(report)
        _keep(run, settings, phase="running", **_of(report))
    _send_after_boot(run, settings)


@hookimpl
def post_check(run: Run, findings: CheckFindings) -> None:
    """Have it told that the errors are others than at the last check by the timer; what waits is tried again."""
    settings = run.options(NotifySettings)
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


def _of(report: Report) -> dict[str, str | int]:
    """What is published of a run."""
    return {
        "outcome": "not as planned" if any(map(is_bad, report.guests)) or report.problems else "as planned",
        "problem": "ON" if any(map(is_bad, report.guests)) or report.problems else "OFF",
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
