"""`lastcall runs`: the runs that are over, and what differs between two of them."""

from dataclasses import fields
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.cli.documents.run_summary import summary_of
from lastcall.cli.documents.runs import RunsDiffDocument, RunsDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import SuggestingGroup, json_option
from lastcall.errors import ExitCode, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.quantities import parse_duration
from lastcall.formats.visible_text import visible
from lastcall.persistence.refusals import refusals_told
from lastcall.report.run_choice import RunFilter, named_run
from lastcall.report.run_comparison import compare_runs, comparison_text
from lastcall.report.run_history import PastRun, past_runs
from lastcall.report.run_list import run_table

_LISTED = 20


class MomentType(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  generic from click 8.4 on only
    """A moment in the past: how long ago (7d, 12h), or a date and time of this host."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; a wrong one is a usage error."""
        try:
            ago = parse_duration(value)
            if isinstance(ago, float):
                return datetime.now().astimezone() - timedelta(seconds=ago)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment: write 7d, 12h, 2026-11-26 or '2026-11-26 14:30'", param, ctx)


@click.group(
    "runs", cls=SuggestingGroup, invoke_without_command=True, short_help="List earlier runs, and compare two of them."
)
@click.option("--kind", type=click.Choice([one.value for one in RunKind]), help="Only shutdowns, or restores.")
@click.option("--reason", type=click.Choice([one.value for one in Reason]), help="Only runs for this reason.")
@click.option("--since", type=MomentType(), metavar="MOMENT", help="Only runs since then: 7d, 12h, or a date.")
@click.option("--failed", is_flag=True, help="Only runs in which something was not as planned, or that were cut off.")
@click.option("--guest", "guests", multiple=True, metavar="NAME", help="Only runs with this guest: name, UUID or glob.")
@click.option("--last", "most", type=click.IntRange(min=1), default=_LISTED, show_default=True, metavar="N",
              help="At most so many, newest first.")  # fmt: skip
@json_option(RunsDocument)
@click.pass_context
def runs_command(
    ctx: click.Context,
    kind: str | None,
    reason: str | None,
    since: datetime | None,
    guests: tuple[str, ...],
    most: int,
    *,
    failed: bool,
    as_json: bool,
) -> int:
    """List the runs that are over, newest first: when, why, how long, and what became of the guests.

    `lastcall report RUN` tells one of them; RUN is its id, the beginning of it, or a number that counts back: 1 is the
    last run. How many logs are kept, says `runs` in the configuration.
    """
    if ctx.invoked_subcommand:
        return ExitCode.OK
    wanted = RunFilter(
        kind=RunKind(kind) if kind else None, reason=Reason(reason) if reason else None, since=since, failed=failed,
        guests=guests,
    )  # fmt: skip
    folder = _folder(ctx.obj)
    with refusals_told(folder):
        runs = list(islice(wanted.among(past_runs(folder, _tell)), most + 1))
    shown, more = runs[:most], len(runs) > most
    if as_json:
        click.echo(to_json(RunsDocument(runs=tuple(map(summary_of, shown)), more=more), indent=1))
        return ExitCode.OK
    narrowed = any((kind, reason, since, failed, guests))
    click.echo(run_table(shown, ctx.obj.screen()) or ("no logged run fits" if narrowed else "no run has been logged"))
    if more:
        click.echo(f"older ones are not shown; --last {most * 5} shows more", err=True)
    return ExitCode.OK


@runs_command.command("diff")
@click.argument("before", required=False, metavar="[RUN]")
@click.argument("after", required=False, metavar="[RUN]")
@json_option(RunsDiffDocument)
@click.pass_obj
def diff(invocation: Invocation, before: str | None, after: str | None, *, as_json: bool) -> int:
    """Compare two runs: guests' outcomes, methods, times and attempts, and problems; what is the same is not told.

    Without the second one with the last run of its kind; without any the last run with the one of its kind before it.
    """
    folder = _folder(invocation)
    with refusals_told(folder):
        old, new = _pair(folder, before, after)
    if as_json:
        found = compare_runs(old, new)
        facts = {one.name: getattr(found, one.name) for one in fields(found)}
        document = RunsDiffDocument(before=old.report.run.id, after=new.report.run.id, **facts)
        click.echo(to_json(document, indent=1))
    else:
        click.echo(comparison_text(old, new, invocation.screen()))
    return ExitCode.OK


def _pair(folder: Path, before: str | None, after: str | None) -> tuple[PastRun, PastRun]:
    """The two runs that are meant. Raises UsageError."""
    if before is not None:
        old = named_run(folder, before, _tell)
        if after is not None:
            return old, named_run(folder, after, _tell)
        alike = RunFilter(kind=old.report.run.kind).among(past_runs(folder, _tell))
        new = next(alike, old)
        if new.report.run.id != old.report.run.id:
            return old, new
        raise UsageError(f"{old.report.run.id} is the last {old.report.run.kind.value}", "name the other run, too")
    runs = past_runs(folder, _tell)
    new = next(runs, None)
    old = new and next(RunFilter(kind=new.report.run.kind).among(runs), None)
    if old is None or new is None:
        raise UsageError("there are no two runs of a kind to compare", "`lastcall runs` shows which there are")
    return old, new


def _folder(invocation: Invocation) -> Path:
    return invocation.places(_tell).state / "runs"


def _tell(line: str) -> None:
    click.echo(visible(line), err=True)
