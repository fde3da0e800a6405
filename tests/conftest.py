"""The lab: one private libvirtd per test session, made when the first test needs it."""

from collections.abc import Iterator

import pytest

from lab.daemon import Daemon, daemon


@pytest.fixture(scope="session")
def lab() -> Iterator[Daemon]:
    """A libvirtd of our own."""
    with daemon() as started:
        yield started
