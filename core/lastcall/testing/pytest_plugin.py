"""The pytest plugin: the fixture for plugin authors. It imports nothing heavy at the top: pytest loads it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from lastcall.testing.lab import Lab


class MakeLab(Protocol):
    """What the fixture gives: makes a lab in the test's own folder. For parameters see `lastcall.testing.Lab`."""

    def __call__(
        self,
        *,
        plugins: Mapping[str, object] | None = None,
        config: str = "",
        parallel: int = 0,
        patience: float = 10.0,
    ) -> "Lab":
        """Make a lab."""
        ...


@pytest.fixture
def lastcall_lab(tmp_path: Path) -> MakeLab:
    """Make a `lastcall.testing.Lab` in a fresh folder."""

    def make(
        *,
        plugins: Mapping[str, object] | None = None,
        config: str = "",
        parallel: int = 0,
        patience: float = 10.0,
    ) -> "Lab":
        from lastcall.testing.lab import Lab

        return Lab(tmp_path, plugins=plugins, config=config, parallel=parallel, patience=patience)

    return make
