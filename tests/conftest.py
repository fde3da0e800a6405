"""The lab: one private libvirtd per test session, made when the first test needs it."""

import os
import signal
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from lab.daemon import Daemon, daemon

pytest_plugins = ["aftermath", "second_chance"]
# What others could write to is no configuration, and whoever starts the tests may share all his files with a group.
os.umask(0o022)
settings.register_profile("lastcall", database=None, deadline=None)  # leaves no folder behind; a busy machine is slow
settings.load_profile("lastcall")


def pytest_configure() -> None:
    """Whoever ends the tests by SIGTERM, as timeout(1) does, wants nothing left behind: it is a Ctrl-C to them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Keep what was read of the tests: to rewrite their asserts takes as long as all else. Not what tests make and
    import: what is written twice in a second would be taken for what it was before.
    """
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        return (yield)
    finally:
        sys.dont_write_bytecode = kept


@pytest.fixture(scope="session")
def lab() -> Iterator[Daemon]:
    """A libvirtd of our own."""
    with daemon() as started:
        yield started


SHARE_NOTHING = ("tests/simulation/", "tests/unit/systemd/test_last_line.py")
ON_PACKAGES = {"tests/host/test_ansible.py", "tests/host/test_package.py"}


class ByModule(LoadScopeScheduling):
    """For several processes: each takes the next module, whose fixtures are made once.

    Hosts that packages are installed on are for one process, which builds these once. Blocks of simulated worlds share
    nothing, so each is for whoever has time; nor do the tests of a module that would be the last to end. The slowest
    folders are to be given first, as `make test` does, so that what is short fills up the end.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(SHARE_NOTHING):
            return nodeid
        module = nodeid.partition("::")[0]
        return "packages" if module in ON_PACKAGES else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    """Share the work out by modules."""
    return ByModule(config, log)
