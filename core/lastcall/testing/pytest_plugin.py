"""The pytest plugin: fixtures for plugin authors. Imports nothing heavy at the top, as pytest loads it everywhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from lastcall.api.results import Report


@pytest.fixture
def lastcall_shutdown(tmp_path: Path) -> "Callable[..., Report]":
    """`lastcall.testing.run_shutdown` in a fresh folder."""

    def shutdown(*arguments: Any, **options: Any) -> "Report":
        from lastcall.testing.runs import run_shutdown

        return run_shutdown(tmp_path, *arguments, **options)

    return shutdown


@pytest.fixture
def lastcall_restore(tmp_path: Path) -> "Callable[..., Report]":
    """`lastcall.testing.run_restore` in the same folder."""

    def restore(*arguments: Any, **options: Any) -> "Report":
        from lastcall.testing.runs import run_restore

        return run_restore(tmp_path, *arguments, **options)

    return restore
