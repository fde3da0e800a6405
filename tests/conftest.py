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


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two processes share the work (`make test`): hosts wait most of the time, the others need the processors."""
    for item in items:
        apart = {"host", "unit"} & set(item.path.parts)
        item.add_marker(pytest.mark.xdist_group("hosts" if apart else "guests"))
