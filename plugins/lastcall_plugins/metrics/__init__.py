"""Metrics for Prometheus: a file that the node_exporter collects, written after each run and at `lastcall check`.

A host that stops has no time to be scraped, and most of the time nothing of lastcall runs: so there is no port. What
is known of the last runs and of the last check is kept in the plugin's folder; the file is made of all of it each time.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from lastcall import CheckFindings, PluginOptions, Problem, Report, Run, Skip, hookimpl
from lastcall.options import Options

if TYPE_CHECKING:
    from lastcall_plugins.metrics.kept import Kept

_LIBRARY = "prometheus-client is not installed"
_REMEDY = "apt install python3-prometheus-client, or pip install 'lastcall[metrics]'"


class Metrics(Options):
    """The section `plugins.metrics`."""

    textfile: Path = Field(
        description="The file to write, in the folder that node_exporter's textfile collector reads; ends in .prom."
    )
    guests: int = Field(
        default=500, ge=0, description="How many guests have figures of their own, those of the newest runs first."
    )

    @field_validator("textfile")
    @classmethod
    def _collected(cls, given: Path) -> Path:
        # Anything else would be written for nobody: node_exporter reads *.prom.
        if not (given.is_absolute() and given.suffix == ".prom"):
            raise ValueError("should be an absolute path that ends in .prom")
        return given


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare the section, without which nothing is written."""
    return PluginOptions(settings=Metrics, only_where_set=True)


@hookimpl
def check(run: Run) -> Iterable[Problem]:
    """Say what keeps the file from being written."""
    path = run.options(Metrics).textfile
    if not _has_library():
        yield Problem(what="metrics", where=str(path), message=f"not written: {_LIBRARY}", remedy=_REMEDY)
    if not path.parent.is_dir():
        remedy = "mkdir it, or name the folder of node_exporter's --collector.textfile.directory"
        yield Problem(what="metrics", where=str(path), message=f"{path.parent} is no folder", remedy=remedy)


@hookimpl
def post_check(run: Run, findings: CheckFindings) -> None:
    """Write the file with what the check found. What a run could not write any more is made up for."""
    wanted = run.options(Metrics)
    # What is missing was said in `check`: said twice, it would look like two problems.
    if wanted.textfile.parent.is_dir() and _has_library():
        from lastcall_plugins.metrics.kept import Kept

        kept = Kept(run.folder, wanted.guests)
        for report in findings.runs:
            kept.make_up_for(report)
        kept.learn_check(findings)
        _write(wanted.textfile, kept)


@hookimpl(trylast=True)
def post_shutdown(run: Run, report: Report) -> None:
    """Write the file with what the shutdown did."""
    _told(run, report)


@hookimpl(trylast=True)
def post_restore(run: Run, report: Report) -> None:
    """Write the file with what the restore did."""
    _told(run, report)


def _told(run: Run, report: Report) -> None:
    wanted = run.options(Metrics)
    if run.rehearsal:
        raise Skip("a rehearsal is no run: the figures stay those of the last one")
    from lastcall_plugins.metrics.kept import Kept

    kept = Kept(run.folder, wanted.guests)
    kept.learn_run(report)
    # By the next check at the latest it is written: a run is none the worse for it.
    if not _has_library():
        raise Skip(f"{_LIBRARY}: {_REMEDY}")
    _write(wanted.textfile, kept)


def _write(path: Path, kept: "Kept") -> None:
    from lastcall_plugins.metrics.exposition import write_exposition

    write_exposition(path, kept)


def _has_library() -> bool:
    try:
        importlib.import_module("prometheus_client")
    except Exception:  # noqa: BLE001  one that is broken, as after an upgrade, is as good as none
        return False
    return True
