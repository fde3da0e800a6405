"""`lastcall report`: what earlier runs did."""

import os
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lastcall.cli.documents.reports import Acknowledgement, LoggedReport, ReportDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option
from lastcall.errors import ExitCode, NoPermission, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import paragraph
from lastcall.formats.visible_text import visible
from lastcall.persistence.files import put_in_place
from lastcall.persistence.motd import Motd
from lastcall.persistence.refusals import refusal, refusals_told
from lastcall.report.run_choice import named_run
from lastcall.report.run_history import PastRun, as_story, latest, past_runs
from lastcall.report.run_list import run_table
from lastcall.report.unseen import SeenRuns, UnseenRun

if TYPE_CHECKING:
    from lastcall.config.paths import Places

_LISTED = 20
_EARLIER = 20  # runs before, by which a page says what is usual


@click.command("report", short_help="Say what the last shutdown did, and the restore after it.")
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--list", "listed", is_flag=True, help="A line for each of the newest twenty runs.")
@click.option(
    "-v", "--verbose", "traces", is_flag=True, help="With the traceback of every call that failed, and names whole."
)
@click.option("--ack", is_flag=True, help="Note that everything up to now was seen: status and login say it no more.")
@click.option("--html", metavar="FILE", help="Write one page for a browser into FILE; - is standard output.")
@json_option(ReportDocument)
@click.pass_obj
def report_command(
    invocation: Invocation,
    run: str | None,
    *,
    listed: bool,
    traces: bool,
    ack: bool,
    html: str | None,
    as_json: bool,
) -> int:
    """Say what the last shutdown did, and the restore after it; or one run.

    RUN is an id of `lastcall runs`, the beginning of one, or a number that counts back: 1 is the last run.

    Exit code 1 when something was not as planned in what is shown, unless --ack says that it was seen.
    """
    if ack and (run is not None or listed):
        raise UsageError("--ack is about everything up to now", "leave RUN and --list out")
    if html is not None and (as_json or listed):
        raise UsageError("--html goes with neither --json nor --list", "give one of them")
    places = invocation.places(_tell, strict=ack)
    folder = places.state / "runs"
    with refusals_told(folder):
        runs = _chosen(folder, run, listed=listed)
        seen, unseen = _acknowledge(places) if ack else (None, [])
    traces |= invocation.verbose
    screen = replace(invocation.screen(), whole=traces)
    if html is not None:
        _write_page(html, folder, runs, traces=traces)
    elif as_json:
        click.echo(to_json(ReportDocument(runs=tuple(map(LoggedReport.of, runs)), acknowledged=seen), indent=1))
    elif listed:
        click.echo(run_table(runs, screen) or "no run has been logged")
    else:
        stories = [as_story(one, screen, traces=traces) for one in runs]
        click.echo("\n\n".join(stories) or "no run has been logged")
        if seen:
            lines = paragraph(f"noted as seen by {seen.by}:" if unseen else "nothing was unseen", screen)
            lines += chain.from_iterable(paragraph(one.line, screen, 2) for one in unseen)
            click.echo("\n".join(lines))
    bad = any(one.report.run.exit_code or not one.complete for one in runs)
    return ExitCode.NOT_AS_PLANNED if bad and not (listed or ack) else ExitCode.OK


def _acknowledge(places: "Places") -> tuple[Acknowledgement, list[UnseenRun]]:
    """Note it, and have the login say so; returns what was unseen, too."""
    from lastcall.presence.roll_call import call_roll

    seen, runs = SeenRuns(places.state).acknowledge(os.environ.get("SUDO_USER") or _user())
    motd = Motd(places, wanted=places.brings_back)
    roll = call_roll(entry.guest.key for entry in motd.subjects)
    motd.refresh(unseen="", back=roll.back, off=roll.off)
    return Acknowledgement(by=seen.by, at=seen.at, runs=tuple(one.run for one in runs)), runs


def _user() -> str:
    """The name of who calls, or his number where nobody has given it a name, as in a container."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _write_page(target: str, folder: Path, runs: list[PastRun], *, traces: bool) -> None:
    """Write the page of these runs; a file that is there is replaced whole, and is for its owner alone."""
    # Here: no other command wants it.
    from lastcall.report.page.html_report import run_stories
    from lastcall.report.page.web_page import as_page

    oldest = min((one.report.run.id for one in runs), default="")
    with refusals_told(folder):
        earlier = list(islice((one for one in past_runs(folder) if one.report.run.id < oldest), _EARLIER))
    text = as_page(list(run_stories(runs, [*runs, *earlier], traces=traces)))
    if target == "-":
        with refusals_told(Path("standard output")):
            # As bytes: the page says that it is UTF-8, whatever the terminal is.
            click.echo(text.encode(errors="backslashreplace"), nl=False)
    else:
        _put(Path(target), text)


def _put(path: Path, text: str) -> None:
    """Write a file of somebody's choice."""
    try:
        # A new file takes the old one's place, and must not take that of /dev/stdout.
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is no file", "name one; `--html -` writes to standard output")
        put_in_place(path, path.with_name(f"{path.name}.new"), text)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        why = (error.strerror or str(error)).lower()
        raise NoPermission(
            f"{path} cannot be written: {why}", "name a file in a folder that you may write to"
        ) from None
    except OSError as error:
        raise refusal(error, path) from None


def _tell(line: str) -> None:
    click.echo(visible(line), err=True)


def _chosen(folder: Path, wanted: str | None, *, listed: bool) -> list[PastRun]:
    if listed:
        return list(islice(past_runs(folder, _tell), _LISTED))
    return latest(past_runs(folder, _tell)) if wanted is None else [named_run(folder, wanted, _tell)]
