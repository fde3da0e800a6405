"""`lastcall drill`: stop guests in daytime and bring them back, to know how they would go at night."""

import asyncio
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Report
from lastcall.cli.documents.drill import DrillDocument
from lastcall.cli.dry_run.look import look_at_plan
from lastcall.cli.invocation import Invocation
from lastcall.cli.login_line import refresh_login_line
from lastcall.cli.options import confirmed, json_option, selection_arguments
from lastcall.cli.outlet import say
from lastcall.cli.progress import progress_sinks
from lastcall.errors import ExitCode, LastcallError, Problem, UsageError, in_words
from lastcall.formats.json_text import to_json
from lastcall.formats.visible_text import page, visible
from lastcall.guests.busy.busy_guests import BusyGuests
from lastcall.planning.history import History
from lastcall.planning.selection import EVERYBODY, Selection, TheseGuests
from lastcall.report.drills.drilled_guests import DrilledGuest, drill_table, drilled_guests
from lastcall.report.drills.last_drill import LastDrill, failed_words, note_drill
from lastcall.report.drills.power_cut import PowerCut, power_cut, power_cut_line
from lastcall.report.text import problem_lines
from lastcall.runs.assembly import RunRequest, assemble
from lastcall.runs.drill.choice import DrillChoice, choose_for_drill
from lastcall.runs.drill.there_and_back import Drill, ThereAndBack
from lastcall.runs.loading import Loaded, load
from lastcall.systemd.jobs import host_stop
from lastcall.systemd.systemctl import Systemctl, booted


@click.command("drill", short_help="Stop guests and bring them back, and say how a power cut would go.")
@selection_arguments
@click.option("--marked", is_flag=True, help="All that have `drill: true`; the same as naming nobody.")
@click.option("--even-busy", is_flag=True, help="Those as well that are busy, as with an update.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nobody is ever asked.")
@json_option(DrillDocument)
@click.pass_obj
def drill_command(
    invocation: Invocation, chosen: Selection, *, marked: bool, even_busy: bool, yes: bool, as_json: bool
) -> int:
    """Stop guests and bring them back in daytime: those named, by name, UUID or quoted glob ('web*'), or all that are
    marked by `drill: true`.

    It stops them as `lastcall shutdown` by hand does, and forces nobody off: who does not go by itself is left running,
    which is said, and who is busy is not touched. Those that went are started again, in their order. Then it compares
    how long each took with what was planned, and says how long tonight's power cut would take.

    Exit code 0: all went and came back as planned.
    """
    if marked and chosen.words:
        raise UsageError("--marked means all that have `drill: true`, and takes no names", "leave one of the two out")
    loaded = load(invocation.config, Reason.DRILL).for_reason(Reason.DRILL)
    choice = _choose(loaded, chosen)
    going = choice.going(even_busy=even_busy)
    busy = choice.busy_lines()
    if not going:
        raise LastcallError(f"nobody is stopped, as all are busy: {', '.join(busy)}", "later, or by --even-busy")
    for line in busy:
        say(visible(f"{line}{'' if even_busy else ', and left alone'}"))
    if not yes and sys.stdin.isatty():
        invocation = confirmed(invocation, f"Stop {' '.join(guest.name for guest in going)} now, and bring them back?")

    def tell(stopped: Report) -> None:
        _keep(loaded, _note(stopped, len(choice.guests)))

    drill = Drill(loaded, lambda: progress_sinks(invocation), invocation.signals, _host_stops, tell)
    done = drill.perform(TheseGuests(keys=frozenset(guest.key for guest in going)), invocation.started)
    passed_over = {} if even_busy else {key: f"busy: {'; '.join(reasons)}" for key, reasons in choice.busy.items()}
    expected = {key: (one.usually, one.at_most) for key, one in choice.expected.items()}
    guests = tuple(drilled_guests(choice.guests, expected, done.stopped, done.restored, passed_over))
    code = _exit_code(done, guests)
    failed = tuple(failed_words(one.name, one.verdict) for one in guests if not one.as_planned)
    note = replace(
        _note(done.stopped, len(guests)), restore=done.restored.run.id if done.restored else None,
        complete=done.problem is None, as_planned=code == ExitCode.OK, failed=failed,
    )  # fmt: skip
    _keep(loaded, note)
    refresh_login_line(done.restored or done.stopped, loaded.settings, invocation.started)
    cut = _foresee(invocation) if done.stopped.run.reason.voluntary else None
    problems = tuple(_problems(done))
    if as_json:
        document = DrillDocument(
            started=done.stopped.run.started, shutdown=done.stopped.run.id,
            restore=done.restored.run.id if done.restored else None, exit_code=code, guests=guests, power_cut=cut,
            problems=problems,
        )  # fmt: skip
        click.echo(to_json(document, indent=1))
    else:
        click.echo(page(_lines(guests, problems, cut)))
    return code


def _choose(loaded: Loaded, chosen: Selection) -> DrillChoice:
    request = RunRequest(kind=RunKind.SHUTDOWN, reason=Reason.DRILL, rehearsal=True)
    loop = asyncio.new_event_loop()
    parts = assemble(loaded, request, loop)
    history = History(loaded.settings.paths.state)
    history.load()
    busy = BusyGuests(parts.hooks, parts.stream, parts.context.terms, loop)
    choosing = choose_for_drill(
        parts.inventory, parts.stream, history, busy, chosen, parallel=loaded.settings.shutdown.parallel,
        limited=parts.deadline.end != math.inf,
    )  # fmt: skip
    return loop.run_until_complete(choosing)


def _host_stops() -> bool:
    return booted() and host_stop(Systemctl()) is not None


def _exit_code(done: ThereAndBack, guests: tuple[DrilledGuest, ...]) -> int:
    codes = [done.stopped.run.exit_code, *([done.restored.run.exit_code] if done.restored else [])]
    well = all(one.as_planned for one in guests) and done.problem is None
    return next((code for code in codes if code), ExitCode.OK if well else ExitCode.NOT_AS_PLANNED)


def _note(stopped: Report, guests: int) -> LastDrill:
    """What is to be known of a drill that comes no further."""
    return LastDrill(
        started=stopped.run.started, shutdown=stopped.run.id, restore=None, complete=False, as_planned=False,
        guests=guests, failed=(),
    )  # fmt: skip


def _keep(loaded: Loaded, note: LastDrill) -> None:
    """Note that it was; where that cannot be written, the logs of its runs still tell of it."""
    try:
        note_drill(loaded.settings.paths.state, note)
    except OSError as error:
        say(f"lastcall: when this drill was is not kept: {in_words(error)}")


def _foresee(invocation: Invocation) -> PowerCut | None:
    """Plan a power cut anew, by what the guests took just now; None where that does not work, which is told."""
    try:
        loaded = load(invocation.config).for_reason(Reason.POWER)
        loop = asyncio.new_event_loop()
        request = RunRequest(kind=RunKind.SHUTDOWN, reason=Reason.POWER, rehearsal=True)
        seen = loop.run_until_complete(look_at_plan(assemble(loaded, request, loop), EVERYBODY, invocation))
    except LastcallError as error:
        say(f"lastcall: how a power cut would go cannot be said: {error}")
        return None
    return power_cut(seen.outlook, {line.planned.guest.key: line.planned.guest.name for line in seen.lines})


def _problems(done: ThereAndBack) -> Iterator[Problem]:
    yield from done.stopped.problems
    yield from done.restored.problems if done.restored else ()
    if done.problem:
        yield done.problem


def _lines(guests: tuple[DrilledGuest, ...], problems: tuple[Problem, ...], cut: PowerCut | None) -> Iterator[str]:
    yield from drill_table(guests)
    yield from chain.from_iterable(map(problem_lines, dict.fromkeys(problems)))
    well = sum(one.as_planned for one in guests)
    yield f"drill: {well} of {len(guests)} went and came back as planned"
    if cut:
        yield power_cut_line(cut)
