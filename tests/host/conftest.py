"""Hosts for the tests: off, each with disks of its own, over one image."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.host import Host, host, host_image
from lab.package_host import build_packages, package_host


@pytest.fixture(scope="session")
def image() -> Iterator[Path]:
    """The image with today's lastcall, as overlayfs takes it."""
    with host_image() as lower:
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
