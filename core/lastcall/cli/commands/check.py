"""`lastcall check`: would a run work? Configuration, plugins, connections, permissions, and what plugins look at."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from lastcall.api.guests import Guest, GuestState, RunKind
from lastcall.api.naming.guest_names import GuestNames
from lastcall.checks.drill_age import drill_age
from lastcall.checks.idle_rules import idle_rules
from lastcall.checks.idle_watch import idle_watch
from lastcall.checks.missing_guests import find_missing
from lastcall.checks.moving.targets import look_at_targets
from lastcall.checks.named_rules import named_rules
from lastcall.checks.names import KnownNames
from lastcall.checks.passed_over_files import passed_over_files
from lastcall.checks.power.sheds_otherwise import sheds_otherwise
from lastcall.checks.power.sleeps_apart import sleeps_apart
from lastcall.checks.preflight import advise
from lastcall.checks.save_room import find_tight_folders
from lastcall.checks.shell_probe import probe_shells
from lastcall.checks.times.never_in_time import never_in_time
from lastcall.checks.unseen_runs import unseen_runs
from lastcall.cli.commands.check_brief import CheckCounts, tell_briefly
from lastcall.cli.commands.check_findings import tell_findings
from lastcall.cli.documents.findings import CheckDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option
from lastcall.cli.progress import tell_trace, trace_sinks
from lastcall.config.files import config_file
from lastcall.errors import ExitCode, Problem, Severity
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import REST, SIGN, Cell, Column, Fit, Row, in_columns
from lastcall.formats.layout.folding import fold_names
from lastcall.formats.layout.natural import natural_key
from lastcall.formats.layout.screen import Tone
from lastcall.formats.values import value
from lastcall.guests.busy.busy_guests import BusyGuests, busy_problem
from lastcall.ordering.graph import make_graph
from lastcall.presence.session_uris import by_hand_only
from lastcall.records.records import GuestPlanned
from lastcall.report.text import all_problem_lines
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.fleet.check import check_fleet_lock
from lastcall.runs.loading import Loaded, load
from lastcall.runs.request import RunRequest
from lastcall.systemd.systemctl import Systemctl, booted
from lastcall.systemd.unit_checks import check_units

_GOOD = Cell("✓", Tone.GOOD)
_SEEN = Column(fit=Fit.NAME, gap=1)


@value
class CheckSeen:
    """What a check has seen besides problems: `rows` of sign, what, and words on it; `names` of guests, off or not."""

    rows: list[Row]
    names: frozenset[str]


@click.command("check", short_help="Look for what would make a run fail.")
@click.option("--guests", "log_in", is_flag=True, help="Log in to every guest that has a shell, by each of its shells.")
@click.option(
    "--brief",
    is_flag=True,
    help="One line, and exit codes as of a Nagios plugin: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
)
@json_option(CheckDocument)
@click.pass_obj
def check_command(invocation: Invocation, *, log_in: bool, brief: bool, as_json: bool) -> int:
    """Look for what would make a run fail, and say what to do about it.

    Exit code 0: nothing found, or warnings only. 1: errors. 6: the configuration is invalid. With --brief they are
    those of monitoring plugins.
    """
    if brief and as_json:
        raise click.UsageError("--brief and --json are two outputs; leave one of them out")
    if brief:
        return tell_briefly(lambda: _look_briefly(invocation, log_in=log_in))
    seen, parts = _look(invocation, log_in=log_in)
    problems = parts.stream.story.report().problems
    if as_json:
        click.echo(to_json(CheckDocument(problems=problems), indent=1))
    else:
        screen = invocation.screen()
        lines = [*in_columns(seen.rows, (SIGN, _SEEN, REST), screen)]
        lines += all_problem_lines(problems, seen.names, screen)
        click.echo("\n".join(lines if problems else [*lines, "nothing wrong found"]))
    errors = any(problem.severity is Severity.ERROR for problem in problems)
    return ExitCode.NOT_AS_PLANNED if errors else ExitCode.OK


def _look_briefly(invocation: Invocation, *, log_in: bool) -> CheckCounts:
    seen, parts = _look(invocation, log_in=log_in)
    return CheckCounts(parts.stream.story.report().problems, len(parts.context.guests), seen.names)


def _look(invocation: Invocation, *, log_in: bool) -> tuple[CheckSeen, Parts]:
    """Look at everything, and tell plugins of it; returns what was seen, and where the problems are."""
    loaded = load(invocation.config)
    loop = asyncio.new_event_loop()
    parts = assemble(loaded, RunRequest(kind=RunKind.SHUTDOWN, rehearsal=True, sinks=trace_sinks(invocation)), loop)
    parts.stream.problems(passed_over_files(config_file(invocation.config)[0]))
    if booted() and invocation.config is None:  # the units know the default configuration only
        parts.stream.problems(check_units(Systemctl(), loaded.settings))
    seen = loop.run_until_complete(find_problems(parts, loaded))
    if log_in:
        seen.rows.extend(loop.run_until_complete(_log_in(parts, invocation)))
    loop.run_until_complete(tell_findings(parts, loaded, lambda other, request: assemble(other, request, loop)))
    return seen, parts


async def find_problems(parts: Parts, loaded: Loaded) -> CheckSeen:
    """Look at the configuration, connect, look at the order and at what speaks against it, and let the plugins look.
    Problems go to the stream.
    """
    names = KnownNames(loaded.plugins)
    parts.stream.problems(_of_configuration(loaded, names))
    (guests, everybody, beside), of_the_lock = await asyncio.gather(
        _learn_of_guests(parts), parts.workers.call(lambda: list(check_fleet_lock(loaded.settings)), timeout=None)
    )
    parts.stream.problems(of_the_lock)
    parts.stream.problems(_of_guests(parts, loaded, guests, everybody, beside))
    parts.stream.problems(names.unknown_to(everybody, parts.policies))
    others = parts.hypervisor.other_hosts
    parts.stream.problems(await look_at_targets(others, guests, parts.policies, parts.inventory.facts))
    await _ask_plugins(parts, guests)
    busy = await BusyGuests(parts.hooks, parts.stream, parts.context.terms, parts.loop).ask(guests)
    parts.stream.problems(busy_problem(guest, busy[guest.key]) for guest in guests if guest.key in busy)
    return CheckSeen(list(_rows(parts, guests, beside)), frozenset(guest.name for guest in everybody))


def _of_configuration(loaded: Loaded, names: KnownNames) -> Iterator[Problem]:
    """What can be said without libvirt."""
    yield from (problem for _, problem in names.unknown_in(loaded.document.node))
    yield from named_rules(loaded.document.node, loaded.settings.guests)
    yield from _folders(loaded)
    yield from find_missing(loaded.settings)


async def _learn_of_guests(parts: Parts) -> tuple[list[Guest], list[Guest], list[Guest]]:
    """Connect, and look at the guests: those that are active, all that there are, and those of neighbours."""
    inventory, connections = parts.inventory, parts.connections
    await asyncio.gather(connections.connect(), connections.neighbours.open())
    guests = await connections.active()
    # Also those that are off: a dependency on a guest that does not run is no misspelt name.
    everybody = [*guests, *await connections.inactive()]
    await inventory.learn(everybody)
    parts.context.guests = tuple(guests)
    for guest in guests:
        parts.stream.emit(GuestPlanned(at=parts.stream.now(), guest=guest))
    running = {guest.key: guest for guest in await inventory.neighbours(everybody)}
    known, _ = await connections.known(connections.neighbours.uris)
    same = {guest.uuid for guest in everybody}  # by a connection that leads to this host itself
    beside = [guest for guest in known if guest.key in running or guest.uuid not in same]
    return list(guests), everybody, beside


def _of_guests(
    parts: Parts, loaded: Loaded, guests: Sequence[Guest], everybody: Sequence[Guest], beside: Sequence[Guest]
) -> Iterator[Problem]:
    """What settings, order and earlier runs say of them; `beside`: those of neighbours."""
    connections, facts, state = parts.connections, parts.inventory.facts, parts.settings.paths.state
    yield from by_hand_only((*connections.uris, *(one.uri for one in parts.settings.connections)))
    yield from unseen_runs(state)
    yield from never_in_time(state, guests)
    all_known = connections.all_listed and connections.neighbours.complete
    yield from make_graph([*everybody, *beside], parts.policies, (), all_known=all_known).problems
    yield from idle_watch(connections.neighbours.uris, everybody, beside, parts.policies)
    yield from advise(parts.policies, parts.settings.shutdown.reserve, everybody, facts)
    yield from find_tight_folders(parts.policies, guests, facts)
    # A guest of a connection that is not there may be the one that a rule is for.
    if all_known:
        yield from idle_rules(loaded.document.node, parts.settings.guests, [*everybody, *beside])
    # Guests of neighbours need those of this host as well, and go on.
    awake = [*guests, *(guest for guest in beside if guest.state is not GuestState.OFF)]
    for look in (sheds_otherwise, sleeps_apart):
        yield from look(awake, parts.policies)


async def _ask_plugins(parts: Parts, guests: Sequence[Guest]) -> None:
    """Let them look, each at the whole and at each guest."""
    checked = await parts.hooks.fire("check")
    for plugin, found in checked.answers:
        parts.stream.problems(found, source=plugin)
    # One that failed has looked at nothing: "nothing wrong found" would be its word, and is not.
    parts.stream.problems(checked.problems())
    answers = await asyncio.gather(*(parts.hooks.fire("check_guest", guest) for guest in guests))
    for guest, fired in zip(guests, answers, strict=True):
        for plugin, found in fired.answers:
            parts.stream.problems(found, source=(plugin, guest.key))
        parts.stream.problems(fired.problems(guest))


def _rows(parts: Parts, guests: Sequence[Guest], beside: Sequence[Guest]) -> Iterator[Row]:
    for uri in parts.connections.uris:
        count = sum(guest.uri == uri for guest in guests)
        yield _GOOD, f"{uri}:", f"connected, {count} active guest{'' if count == 1 else 's'}"
    for uri in parts.connections.neighbours.uris:
        count = sum(guest.uri == uri for guest in beside)
        yield _GOOD, f"{uri}:", f"watched, {count} guest{'' if count == 1 else 's'}"
    drill = drill_age(parts.settings.paths.state, guests, parts.policies)
    if drill:
        yield "-", "last drill:", drill


async def _log_in(parts: Parts, invocation: Invocation) -> list[Row]:
    """Try every shell; returns what worked, the rest becomes problems."""
    seen, guests = list[Row](), sorted(parts.context.guests, key=lambda guest: natural_key(guest.name))
    names = GuestNames(guests)
    for login in await probe_shells(parts.context, parts.workers, guests):
        if login.error is None:
            seen.append((_GOOD, f"{names.of(login.guest)}:", f"{login.shell} as {login.user}, {login.seconds:.1f}s"))
        else:
            parts.stream.problem("shell", f"{login.guest.name} by {login.shell}", str(login.error), login.error.remedy)
            tell_trace(login.error, invocation)
    without = [names.of(guest) for guest in guests if not parts.policies.of(guest).shell]
    if without:
        seen.append(("-", "no shell:", fold_names(without, invocation.screen())))
    return seen


def _folders(loaded: Loaded) -> list[Problem]:
    """The folders that a run writes to, or the nearest that is there."""
    found: list[Problem] = []
    for name, folder in (("paths.state", loaded.settings.paths.state), ("paths.run", loaded.settings.paths.run)):
        # A folder that is missing is made by the run: what counts is whether it can be.
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not os.access(nearest, os.W_OK | os.X_OK):
            found.append(_not_writable(name, folder, nearest))
    return found


def _not_writable(name: str, folder: Path, nearest: Path) -> Problem:
    message = f"{folder} cannot be written" + ("" if nearest == folder else f" ({nearest} is not writable)")
    return Problem(what="permission", where=name, message=message, remedy="run as root, or name another folder")
