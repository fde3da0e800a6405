"""The guests on the list that were shed, and are started again once the mains are back."""

from collections.abc import Sequence
from pathlib import Path

from lastcall.errors import LastcallError
from lastcall.persistence.state import Entry, open_state


def shed_guests(folder: Path) -> Sequence[Entry] | None:
    """Those of the list in this folder (`paths.state`); None where it cannot be read. Who is parked is started by name
    only, and is none of them.
    """
    try:
        entries = open_state(folder).entries.values()
    except LastcallError:
        return None
    return [entry for entry in entries if entry.cause == "shed" and not entry.parked]
