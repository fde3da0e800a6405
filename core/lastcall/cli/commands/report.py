"""`lastcall report`: what earlier runs did."""

from itertools import islice
from pathlib import Path

import click

from lastcall.cli.documents.reports import LoggedReport, ReportDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option
from lastcall.errors import ExitCode
from lastcall.formats.json_text import to_json
from lastcall.formats.visible_text import visible
from lastcall.persistence.refusals import refusals_told
from lastcall.report.run_choice import named_run
from lastcall.report.run_history import PastRun, as_story, latest, past_runs
from lastcall.report.run_list import run_table

_LISTED = 20


@click.command("report")
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--list", "listed", is_flag=True, help="A line for each of the newest twenty runs.")
@click.option("-v", "--verbose", "traces", is_flag=True, help="With the traceback of every call that failed.")
@json_option(ReportDocument)
@click.pass_obj
def report_command(invocation: Invocation, run: str | None, *, listed: bool, traces: bool, as_json: bool) -> int:
    """Say what the last shutdown did, and the restore after it; or one run.

    RUN is an id of `lastcall runs`, the beginning of one, or a number that counts back: 1 is the last run.

    Exit code 1 when something was not as planned in what is shown.
    """
    folder = invocation.places(_tell).state / "runs"
    with refusals_told(folder):
        runs = _chosen(folder, run, listed=listed)
    if as_json:
        click.echo(to_json(ReportDocument(runs=tuple(map(LoggedReport.of, runs))), indent=1))
    elif listed:
        click.echo(run_table(runs) or "no run has been logged")
    else:
        stories = [as_story(one, traces=traces or invocation.verbose) for one in runs]
        click.echo("\n\n".join(stories) or "no run has been logged")
    bad = any(one.report.run.exit_code or not one.complete for one in runs)
    return ExitCode.NOT_AS_PLANNED if bad and not listed else ExitCode.OK


def _tell(line: str) -> None:
    click.echo(visible(line), err=True)


def _chosen(folder: Path, wanted: str | None, *, listed: bool) -> list[PastRun]:
    if listed:
        return list(islice(past_runs(folder, _tell), _LISTED))
    return latest(past_runs(folder, _tell)) if wanted is None else [named_run(folder, wanted, _tell)]
