"""`lastcall drill`: stop guests in daytime and bring them back, to know how they would go at night."""

import asyncio
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import click

from lastcall.api.guests import Guest, Reason, RunKind
from lastcall.api.naming.guest_names import GuestNames
from lastcall.api.results import Report
from lastcall.cli.documents.drill import DrillDocument
from lastcall.cli.dry_run.next_stop import foresee_stop, refresh_next_stop
from lastcall.cli.invocation import Invocation
from lastcall.cli.login_line import refresh_login_line
from lastcall.cli.options import confirmed, json_option, selection_arguments
from lastcall.cli.outlet import say
from lastcall.cli.progress import progress_sinks
from lastcall.errors import ExitCode, LastcallError, Problem, UsageError, in_words
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.natural import natural_key
from lastcall.formats.layout.screen import Screen
from lastcall.formats.visible_text import visible
from lastcall.guests.busy.busy_guests import BusyGuests
from lastcall.planning.history import History
from lastcall.planning.selection import Selection, TheseGuests
from lastcall.report.drills.drilled_guests import DrilledGuest, drill_table, drilled_guests
from lastcall.report.drills.last_drill import LastDrill, failed_words, note_drill
from lastcall.report.drills.power_cut import PowerCut, power_cut_line
from lastcall.report.text import all_problem_lines
from lastcall.runs.assembly.parts import assemble
from lastcall.runs.drill.choice import DrillChoice, choose_for_drill
from lastcall.runs.drill.there_and_back import Drill, ThereAndBack
from lastcall.runs.loading import Loaded, load
from lastcall.runs.request import RunRequest
from lastcall.systemd.jobs import stopping
from lastcall.systemd.unit_files.power_off import reboot_instead


@click.command("drill", short_help="Stop guests and bring them back, and say how a power cut would go.")
@selection_arguments
@click.option("--marked", is_flag=True, help="All that have `drill: true`; the same as naming nobody.")
@click.option("--even-busy", is_flag=True, help="Those as well that are busy, as with an update.")
@click.option("--yes-neighbours", is_flag=True, help="Also where a watched guest goes on that needs one of these.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nobody is ever asked.")
@json_option(DrillDocument)
@click.pass_obj
def drill_command(
    invocation: Invocation,
    chosen: Selection,
    *,
    marked: bool,
    even_busy: bool,
    yes_neighbours: bool,
    yes: bool,
    as_json: bool,
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
    loaded = load(invocation.config, Reason.DRILL)
    drilled = loaded.for_reason(Reason.DRILL)
    choice = _choose(drilled, chosen)
    going = _going(choice, even_busy=even_busy)
    if not yes and sys.stdin.isatty():
        told = " ".join(map(choice.called.of, going))
        invocation = confirmed(invocation, f"Stop {told} now, and bring them back?")

    def tell(stopped: Report) -> None:
        _keep(drilled, _note(stopped, len(choice.guests)))

    drill = Drill(drilled, lambda: progress_sinks(invocation), invocation.signals, stopping, reboot_instead, tell)
    these = TheseGuests(keys=frozenset(guest.key for guest in going))
    done = drill.perform(these, invocation.started, yes_neighbours=yes_neighbours)
    guests = _compared(choice, done, even_busy=even_busy)
    code = _exit_code(done, guests)
    _keep(drilled, _whole_note(done, guests, as_planned=code == ExitCode.OK))
    last = done.restored or done.stopped
    refresh_login_line(last, loaded.settings, invocation.started)
    cut = _foresee(loaded) if done.stopped.run.reason.voluntary else None
    click.echo(_json(done, guests, cut, code) if as_json else "\n".join(_lines(done, guests, cut, invocation.screen())))
    if done.stopped.run.reason.voluntary:
        refresh_next_stop(last, loaded, invocation)
    return code


def _going(choice: DrillChoice, *, even_busy: bool) -> Sequence[Guest]:
    """Whom it stops; says who is busy. Raises LastcallError where nobody is left."""
    going, busy = choice.going(even_busy=even_busy), choice.busy_lines()
    if not going:
        raise LastcallError(f"nobody is stopped, as all are busy: {', '.join(busy)}", "later, or by --even-busy")
    for line in busy:
        say(visible(f"{line}{'' if even_busy else ', and left alone'}"))
    return going


def _compared(choice: DrillChoice, done: ThereAndBack, *, even_busy: bool) -> tuple[DrilledGuest, ...]:
    """What became of each beside what was expected of it."""
    passed_over = {} if even_busy else {key: f"busy: {'; '.join(reasons)}" for key, reasons in choice.busy.items()}
    expected = {key: (one.usually, one.at_most) for key, one in choice.expected.items()}
    return tuple(drilled_guests(choice.guests, expected, done.stopped, done.restored, passed_over))


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


def _whole_note(done: ThereAndBack, guests: tuple[DrilledGuest, ...], *, as_planned: bool) -> LastDrill:
    """What is to be known of one that has come to its end, or could not."""
    names = GuestNames(guests)
    return replace(
        _note(done.stopped, len(guests)),
        restore=done.restored.run.id if done.restored else None,
        complete=done.problem is None,
        as_planned=as_planned,
        failed=tuple(failed_words(names.of(one), one.verdict) for one in guests if not one.as_planned),
    )


def _keep(loaded: Loaded, note: LastDrill) -> None:
    """Note that it was; where that cannot be written, the logs of its runs still tell of it."""
    try:
        note_drill(loaded.settings.paths.state, note)
    except OSError as error:
        say(f"lastcall: when this drill was is not kept: {in_words(error)}")


def _foresee(loaded: Loaded) -> PowerCut | None:
    """Plan a power cut anew, by what the guests took just now; None where that does not work, which is told."""
    try:
        with closing(asyncio.new_event_loop()) as loop:
            look = foresee_stop(loaded, lambda other, ahead: assemble(other, ahead, loop), Reason.POWER)
            found = loop.run_until_complete(look)
    except LastcallError as error:
        say(f"lastcall: how a power cut would go cannot be said: {error}")
        return None
    if found is None:
        say("lastcall: how a power cut would go cannot be said: not every libvirt tells of its guests")
        return None
    seen = found[1]
    unknown, called = (
        sorted((name for key, name in names.items() if key in seen.outlook.unknown), key=natural_key)
        for names in (seen.plan.names, seen.plan.called)
    )
    return PowerCut(seen.outlook.in_short, tuple(unknown), tuple(called))


def _problems(done: ThereAndBack) -> Iterator[Problem]:
    yield from done.stopped.problems
    yield from done.restored.problems if done.restored else ()
    if done.problem:
        yield done.problem


def _json(done: ThereAndBack, guests: tuple[DrilledGuest, ...], cut: PowerCut | None, code: int) -> str:
    document = DrillDocument(
        started=done.stopped.run.started,
        shutdown=done.stopped.run.id,
        restore=done.restored.run.id if done.restored else None,
        exit_code=code,
        guests=guests,
        power_cut=cut and cut.forecast,
        unknown=cut.unknown if cut else (),
        problems=tuple(_problems(done)),
    )
    return to_json(document, indent=1)


def _lines(done: ThereAndBack, guests: tuple[DrilledGuest, ...], cut: PowerCut | None, screen: Screen) -> Iterator[str]:
    yield from map(visible, drill_table(guests))
    yield from all_problem_lines(dict.fromkeys(_problems(done)), (one.name for one in guests), screen)
    well = sum(one.as_planned for one in guests)
    yield f"drill: {well} of {len(guests)} went and came back as planned"
    if cut:
        yield visible(power_cut_line(cut))
