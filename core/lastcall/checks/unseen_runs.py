"""Runs with guests that were forced off, left or failed, which nobody has said to have seen."""

from collections.abc import Iterator
from pathlib import Path

from lastcall.errors import Problem, Severity
from lastcall.report.unseen import SeenRuns


def unseen_runs(state: Path) -> Iterator[Problem]:
    """A warning for each of them, the newest first."""
    try:
        unseen = SeenRuns(state).unseen()
    except OSError:
        return  # whoever may not read them is told of the folders by another check
    for one in unseen:
        yield Problem(
            what="run", where=one.run.id, message=one.line, severity=Severity.WARNING,
            remedy=f"`lastcall report {one.run.id}` tells it; `lastcall report --ack` once it is seen",
        )  # fmt: skip
