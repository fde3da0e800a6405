"""Names to choose from: guests, from libvirt in a moment or from files, and runs. Nothing here raises, or is said."""

import contextlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

from lastcall.config.paths import Places
from lastcall.formats.decoding import from_json
from lastcall.formats.layout.natural import natural_key
from lastcall.formats.reading import read_bytes
from lastcall.persistence.state import open_state
from lastcall.presence.roll_call import call_names
from lastcall.records.run_log import LARGEST
from lastcall.report.run_history import latest, local_time, logs_in, past_runs

Names = dict[str, str]
"""Each with what is said of it."""
_RUNS = 25  # of the newest
_MOMENT = 0.4  # seconds for libvirt: whoever presses a key waits for it


def guests_to_stop(places: Places) -> Names:
    """Active guests by libvirt's word; of who does not answer, those of the last run."""
    asked = [uri for uri in places.connections if uri != "default"]
    found, silent = call_names(asked, _MOMENT)
    names = dict.fromkeys((name for some in found.values() for name in some), "active")
    if silent or not found:
        names = {**_of_last_run(places), **names}
    return _sorted(names)


def guests_to_restore(places: Places) -> Names:
    """Those on the list of guests to bring back."""
    with contextlib.suppress(Exception):  # whatever is the matter with it, the command itself says it
        entries = open_state(places.state).entries.values()
        return _sorted({one.name: f"was {one.state.value} on {one.uri}" for one in entries})
    return {}


def guests(places: Places) -> Names:
    """All of whom something is known."""
    return _sorted({**_of_last_run(places), **guests_to_restore(places), **guests_to_stop(places)})


def runs(places: Places) -> Names:
    """The newest runs, by their ids."""
    return dict(_runs(places))


def _runs(places: Places) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(Exception):
        for log in islice(logs_in(places.state / "runs"), _RUNS):
            with contextlib.suppress(Exception):
                began: Any = from_json(read_bytes(log, LARGEST).partition(b"\n")[0])
                yield log.stem, f"{began['kind']} ({began['reason']}) of {local_time(began['started']):%Y-%m-%d %H:%M}"


def _of_last_run(places: Places) -> Names:
    with contextlib.suppress(Exception):
        return {guest.name: "" for run in latest(past_runs(places.state / "runs")) for guest in run.report.guests}
    return {}


def _sorted(names: Names) -> Names:
    return {name: names[name] for name in sorted(names, key=natural_key)}
