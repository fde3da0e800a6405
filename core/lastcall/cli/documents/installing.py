"""What `install` and `uninstall` print."""

from collections.abc import Iterable

from lastcall.errors import Problem
from lastcall.formats.values import value
from lastcall.installation.steps import InstallStep
from lastcall.systemd.rivals.other_stoppers import OtherStopper


@value(kw_only=True)
class StepFacts:
    """A step in words. `notes`: what there is to know of it; `lost`: what it cannot keep."""

    text: str
    notes: tuple[str, ...]
    lost: tuple[str, ...]


@value(kw_only=True)
class InstallDocument:
    """What was done, or in a dry run would be. `duty`: what the unit does from now on, null in a dry run.

    `problems`: who else stops guests.
    """

    version: int = 1
    dry_run: bool
    steps: tuple[StepFacts, ...]
    duty: str | None = None
    problems: tuple[Problem, ...] = ()


def other_stopper(other: OtherStopper) -> Problem:
    """Who else stops guests, as a problem."""
    return Problem(what="rival", where=other.where, message=other.message, remedy=other.remedy, severity=other.severity)


def step_facts(steps: Iterable[InstallStep]) -> tuple[StepFacts, ...]:
    """The steps in words alone."""
    return tuple(StepFacts(text=one.text, notes=tuple(one.notes), lost=tuple(one.lost)) for one in steps)
