"""`lastcall report`: what earlier runs did."""

from collections.abc import Iterator
from itertools import islice

import click

from lastcall.cli.documents.reports import LoggedReport, ReportDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option
from lastcall.errors import ExitCode, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.visible_text import visible
from lastcall.persistence.refusals import refusals_told
from lastcall.report.run_history import PastRun, as_line, as_story, latest, past_runs

_LISTED = 20


@click.command("report")
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--list", "listed", is_flag=True, help="A line for each of the newest twenty runs.")
@click.option("-v", "--verbose", "traces", is_flag=True, help="With the traceback of every call that failed.")
@json_option(ReportDocument)
@click.pass_obj
def report_command(invocation: Invocation, run: str | None, *, listed: bool, traces: bool, as_json: bool) -> int:
    """Say what the last shutdown did, and the restore after it; or the run with this id.

    Exit code 1 when something was not as planned in what is shown.
    """
    folder = invocation.places(_tell).state / "runs"
    with refusals_told(folder):
        runs = _chosen(past_runs(folder, _tell), run, listed=listed)
    if as_json:
        click.echo(to_json(ReportDocument(runs=tuple(map(LoggedReport.of, runs))), indent=1))
    elif listed:
        click.echo("\n".join(map(as_line, runs)) or "no run has been logged")
    else:
        stories = [as_story(one, traces=traces or invocation.verbose) for one in runs]
        click.echo("\n\n".join(stories) or "no run has been logged")
    bad = any(one.report.run.exit_code or not one.complete for one in runs)
    return ExitCode.NOT_AS_PLANNED if bad and not listed else ExitCode.OK


def _tell(line: str) -> None:
    click.echo(visible(line), err=True)


def _chosen(runs: Iterator[PastRun], wanted: str | None, *, listed: bool) -> list[PastRun]:
    if listed:
        return list(islice(runs, _LISTED))
    if wanted is None:
        return latest(runs)
    found = [one for one in runs if one.report.run.id == wanted]
    if not found:
        raise UsageError(f"there is no log of a run {wanted!r}", "`lastcall report --list` shows them")
    return found
