"""Files beside the configuration that are named as if they were a part of it, and that no run reads."""

from collections.abc import Iterator
from pathlib import Path

from lastcall.errors import Problem, Severity

_READ = ".yaml"
_ALIKE = frozenset({".yaml", ".yml"})


def passed_over_files(file: Path) -> Iterator[Problem]:
    """A warning for each. `file`: the configuration's own, also where it is not there. Blocks."""
    folder = file.parent / "conf.d"
    # Beside a file that is there it is more likely what somebody has kept of an earlier one.
    instead = [path for path in _alike(file.parent) if path.stem == file.stem and not file.exists()]
    for path in (*instead, *_alike(folder)):
        meant = path.with_suffix(_READ)
        yield Problem(
            what="config",
            where=str(path),
            message=f"is not read: the configuration is {file} and what ends in {_READ} in {folder}",
            remedy=f"mv {path} {meant}, or move it elsewhere",
            severity=Severity.WARNING,
        )


def _alike(folder: Path) -> list[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:  # it is not there; one that cannot be read is told of by whoever reads the configuration
        return []
    # Hidden ones are what editors leave behind, and other endings are how files are switched off.
    alike = (path for path in paths if path.suffix.lower() in _ALIKE and path.suffix != _READ)
    return [path for path in alike if not path.name.startswith(".")]
