"""The guests on the list that were shed, and are started again once the mains are back."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lastcall.errors import LastcallError
from lastcall.persistence.state import open_state
from lastcall.persistence.waiting.entry import Entry
from lastcall.threads.box import Box

READING = 2.0  # seconds for a disk: whoever has said something of the power waits for an answer


def shed_guests(folder: Path) -> Sequence[Entry] | None:
    """Those of the list in this folder (`paths.state`); None where it cannot be read in time. Who is parked is started
    by name only, and is none of them.
    """
    try:
        entries = Box().call(partial(open_state, folder), timeout=READING).entries.values()
    except (LastcallError, TimeoutError):
        return None
    return [entry for entry in entries if entry.cause == "shed" and not entry.parked]
