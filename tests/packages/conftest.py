"""What all tests of packages begin with."""

from pathlib import Path

import pytest

from packages.distributions import build


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source as it is given to others."""
    return build("sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip installs."""
    return build("wheel", tmp_path_factory.mktemp("wheel"))
