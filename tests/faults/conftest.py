"""The libvirtds behind the proxy, made when the first test needs them."""

from collections.abc import Iterator

import pytest

from faults.world import Worlds, worlds

SIDE_BY_SIDE = 3
"""Most of the time of a faulted run is waiting, for which one processor is enough."""


@pytest.fixture(scope="module")
def some_worlds() -> Iterator[Worlds]:
    """Some worlds, for runs side by side."""
    with worlds(SIDE_BY_SIDE) as made:
        yield made
