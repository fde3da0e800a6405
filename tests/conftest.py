"""The lab: one private libvirtd per test session, made when the first test needs it."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from lab.daemon import Daemon, daemon

pytest_plugins = ["second_chance"]
settings.register_profile("lastcall", database=None, deadline=None)  # leaves no folder behind; a busy machine is slow
settings.load_profile("lastcall")


@pytest.fixture(scope="session")
def lab() -> Iterator[Daemon]:
    """A libvirtd of our own."""
    with daemon() as started:
        yield started


class TwoHalves(LoadScopeScheduling):
    """For two processes (`make test`): hosts wait most of the time, the other tests need the processors."""

    def _split_scope(self, nodeid: str) -> str:
        return "hosts" if nodeid.startswith(("tests/host/", "tests/unit/")) else "guests"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TwoHalves:
    """Share the work out by halves."""
    return TwoHalves(config, log)
