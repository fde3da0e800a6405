"""What `shed` prints."""

from lastcall.api.power import PowerWord
from lastcall.api.results import Report
from lastcall.errors import Problem
from lastcall.formats.values import value


@value(kw_only=True)
class OutageFacts:
    """How things stand with the power. `seconds`: since when; `charge` in per cent and `runtime` in seconds as it is
    believed, null where no UPS says.
    """

    word: PowerWord
    seconds: float
    charge: float | None
    runtime: float | None


@value(kw_only=True)
class ShedGuest:
    """A guest that is shed. `stage`: the one that has come, empty for a guest that somebody has named."""

    uri: str
    uuid: str
    name: str
    stage: str


@value(kw_only=True)
class StayingGuest:
    """A guest whose stage has come, and that stays all the same."""

    uri: str
    uuid: str
    name: str
    why: str


@value(kw_only=True)
class ComingStage:
    """A stage that is to come. `seconds` until then, null where the battery decides."""

    stage: str
    seconds: float | None
    guests: tuple[str, ...]


@value(kw_only=True)
class ShedDocument:
    """Shedding. `outage` is null where nobody has asked for it, as it does not count for guests that are named.

    `nobody_because`: why nobody is shed, null where somebody is. `stopped` and `restored` are the reports of the runs,
    null where there was none, as with --dry-run.
    """

    version: int = 1
    outage: OutageFacts | None
    going: tuple[ShedGuest, ...]
    staying: tuple[StayingGuest, ...]
    coming: tuple[ComingStage, ...]
    nobody_because: str | None
    stopped: Report | None
    restored: Report | None
    problems: tuple[Problem, ...]
