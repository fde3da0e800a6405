"""Twenty hosts of fifty guests whose power goes at once, on a clock that jumps: what the order over them costs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from simulation.fleet import make_fleet, stop

HOSTS, GUESTS = 20, 50


def rows() -> Iterator[str]:
    """What it takes, as a line of the page."""
    fleet = make_fleet(1, hosts=HOSTS, guests=GUESTS)
    with tempfile.TemporaryDirectory(prefix="lastcall-bench-") as folder:
        stopped = stop(fleet, Path(folder))
    late, over, chain = max(stopped.handed.values()), stopped.over, fleet.longest_chain
    parts = (
        f"{HOSTS} hosts of {GUESTS} guests that watch each other, simulated, {fleet.over_hosts} needs over two of them",
        f" over after {over:.1f} s, of which the longest chain is {chain:.1f}",
        f" nobody is asked later than {late:.2f} s after the last that needs it is off",
        f" {stopped.cpu / HOSTS:.2f} s of CPU a host",
    )
    yield f"- {parts[0]}:{';'.join(parts[1:])}"
