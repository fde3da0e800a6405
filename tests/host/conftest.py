"""Hosts for the tests: off, each with disks of its own, over the image of a release of Debian."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.host import Host, host, host_image
from lab.package_host import build_packages, package_host

RELEASES = ("bookworm", "trixie")
EVERYWHERE = os.environ.get("LASTCALL_RELEASES") == "every"
"""Whether each test runs on each release, and by each way to install, as in `make soak`."""


@pytest.fixture(scope="session", params=RELEASES if EVERYWHERE else RELEASES[:1])
def image(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A release's image with today's lastcall, as overlayfs takes it."""
    with host_image(request.param) as lower:
        yield lower


@pytest.fixture
def make_host(image: Path) -> Generator[Callable[[], Host]]:
    """Makes hosts that are off."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(host(image))


@pytest.fixture
def installed(make_host: Callable[[], Host]) -> Host:
    """A host that runs, with lastcall on duty."""
    made = make_host()
    made.boot()
    made.run("lastcall install")
    return made


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Today's packages, by release."""
    return build_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def make_package_host(packages: dict[str, Path]) -> Generator[Callable[[str], Host]]:
    """Makes hosts of a release that are off and know nothing of lastcall."""
    with ExitStack() as stack:
        yield lambda release: stack.enter_context(package_host(release, packages[release]))
