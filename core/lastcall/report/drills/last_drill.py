"""When the last drill was and how it ended, for whoever asks later."""

from pathlib import Path

from lastcall.formats.bounded_text import NAME_LIMIT, bounded, first_names
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.json_text import to_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.files import READERS, SMALL, write_whole
from lastcall.report.run_history import local_time

VERSION = 1
_TOLD = 5  # guests by name


@value(kw_only=True)
class LastDrill:
    """A drill. `started` is RFC 3339; `shutdown` and `restore` are the ids of its runs, null where there was none.

    `guests`: how many it was about; `failed`: those that did not go or come back as planned, and what became of them, a
    text each. Not `complete`: it was cut off before everybody was brought back, or is under way.
    """

    version: int = VERSION
    started: str
    shutdown: str
    restore: str | None
    complete: bool
    as_planned: bool
    guests: int
    failed: tuple[str, ...]


def last_drill(state: Path) -> LastDrill | None:
    """The last one that stopped guests; None where there was none, or its file says nothing. Raises PermissionError."""
    try:
        found = decoded(LastDrill, from_json(read_text(_file(state), SMALL)))
        local_time(found.started)
    except PermissionError:
        raise
    except (OSError, ValueError, LookupError):
        return None
    return found if found.version == VERSION else None


def note_drill(state: Path, drill: LastDrill) -> None:
    """Keep it. Blocks; raises OSError."""
    write_whole(_file(state), to_json(drill), mode=READERS)


def drill_words(drill: LastDrill) -> str:
    """`2026-11-27 06:40, 3 guests: all went and came back as planned`; names are as they are."""
    count = f"{drill.guests} guest{'' if drill.guests == 1 else 's'}"
    told = "all went and came back as planned" if drill.as_planned else first_names(drill.failed, _TOLD)
    if not drill.complete:
        told = "it did not come to its end, or is under way"
    return f"{local_time(drill.started):%Y-%m-%d %H:%M}, {count}: {told or 'not as planned'}"


def failed_words(name: str, why: str) -> str:
    """One guest that did not go or come back as planned."""
    return f"{bounded(name, NAME_LIMIT)} {why}"


def _file(state: Path) -> Path:
    return state / "drill.json"
