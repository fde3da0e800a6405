"""The lab: one private libvirtd per test session, made when the first test needs it."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from lab.daemon import Daemon, daemon

settings.register_profile("lastcall", database=None, deadline=None)  # leaves no folder behind; a busy machine is slow
settings.load_profile("lastcall")


@pytest.fixture(scope="session")
def lab() -> Iterator[Daemon]:
    """A libvirtd of our own."""
    with daemon() as started:
        yield started
