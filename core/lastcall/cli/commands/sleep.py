"""`lastcall sleep`: what the unit runs before a sleep of the host, and after it."""

import time
from functools import partial
from typing import TYPE_CHECKING, Literal

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Report
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option
from lastcall.errors import RunLocked

if TYPE_CHECKING:
    from lastcall.runs.loading import Loaded
    from lastcall.runs.request import RunRequest

Moment = Literal["begin", "end"]
LOCK_TIME = 20.0  # seconds for another run to end before guests are woken; a host that is to sleep waits for none
LOCK_POLL = 0.25


@click.command("sleep", short_help="Pause guests before the host sleeps, and wake them; for the unit.")
@click.argument("moment", type=click.Choice(["begin", "end"]), metavar="begin|end")
@click.option("--from-unit", is_flag=True, help="Run by systemd: told to the journal.")
@json_option(Report)
@click.pass_obj
def sleep_command(invocation: Invocation, moment: Moment, *, from_unit: bool, as_json: bool) -> int:
    """Pause or save guests before the host sleeps, as the guest key `sleep` says; let them go on afterwards (`end`).

    lastcall-sleep.service runs both around every suspend and hibernate. Most guests are left as they are; after the
    sleep the clocks of all are set. By hand, `lastcall sleep end` wakes those whom a sleep that was cut off has left
    paused, of whom `lastcall status` tells. While another run is under way nobody is paused or saved (exit code 5).
    """
    from lastcall.cli.last_words import tell
    from lastcall.report.text import as_text, report_json

    report = _perform(invocation, moment, from_unit=from_unit)
    return tell(report, report_json(report) if as_json else as_text(report, invocation.screen()), invocation)


def _perform(invocation: Invocation, moment: Moment, *, from_unit: bool) -> Report:
    from lastcall.cli.progress import progress_sinks
    from lastcall.cli.unit.audience import Audience
    from lastcall.cli.unit.sessions import without_sessions
    from lastcall.runs.loading import Allowance, load
    from lastcall.runs.request import RunRequest
    from lastcall.timing.budget import GOING_TO_SLEEP, WAKING

    begins = moment == "begin"
    kind = RunKind.SHUTDOWN if begins else RunKind.RESTORE
    # Not as for a run by hand: a broken configuration must not leave those paused that sleep.
    allowance = Allowance(kind, invocation.started, GOING_TO_SLEEP if begins else WAKING)
    loaded = load(invocation.config, Reason.OTHER, allowance=allowance)
    given = loaded.settings.shutdown.by_reason.get(Reason.SLEEP)
    deadline = (given and given.deadline) or GOING_TO_SLEEP
    audience = Audience.gather(invocation, console=False) if from_unit else None
    request = RunRequest(
        kind=kind, reason=Reason.SLEEP, deadline=deadline if begins else WAKING, started=invocation.started,
        sinks=audience.sinks if audience else progress_sinks(invocation),
        tick=audience.attendant.tick if audience else None,
    )  # fmt: skip
    loaded = (without_sessions(loaded) if from_unit else loaded).for_reason(Reason.SLEEP)
    if begins:
        return _go_to_sleep(invocation, loaded, request)
    return _wake(invocation, loaded, request, host_stops=from_unit and _host_stops())


def _go_to_sleep(invocation: Invocation, loaded: "Loaded", request: "RunRequest") -> Report:
    from lastcall.runs.runner import perform
    from lastcall.runs.sleep.building import build_going_to_sleep

    try:
        return perform(loaded, request, build_going_to_sleep, invocation.signals)
    except RunLocked as error:
        raise RunLocked(f"{error}: nobody is paused or saved for this sleep", "the host sleeps all the same") from None


def _host_stops() -> bool:
    """Whether systemd says so; where it says nothing, whoever was saved is to come back."""
    from lastcall.systemd.jobs import QUEUE, reason_of
    from lastcall.systemd.systemctl import Systemctl, SystemctlFailed

    try:
        return reason_of(Systemctl().ask(*QUEUE)) is not None
    except SystemctlFailed:
        return False


def _wake(invocation: Invocation, loaded: "Loaded", request: "RunRequest", *, host_stops: bool) -> Report:
    from lastcall.runs.runner import perform
    from lastcall.runs.sleep.building import build_waking

    build, until = partial(build_waking, host_stops=host_stops), time.monotonic() + LOCK_TIME
    while True:
        try:
            return perform(loaded, request, build, invocation.signals)
        except RunLocked as error:
            if time.monotonic() >= until:
                remedy = "once that is over: `lastcall sleep end`"
                raise RunLocked(f"{error}: nobody is woken, and no clock is set", remedy) from None
        time.sleep(LOCK_POLL)
