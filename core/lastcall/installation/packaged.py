"""Where a package has brought the units: they are used where they are, and nothing is written over them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from lastcall.config.settings import PathSettings
from lastcall.installation.shared_data.completion import completions
from lastcall.systemd import units
from lastcall.systemd.units import UNITS, Whereabouts

PACKAGED_UNITS = Path("usr/lib/systemd/system")
PROGRAM = Path("/usr/bin/lastcall")
_PYTHON = Path("/usr/bin/python3")
_LAST_LINE = Path("/usr/lib/lastcall/last-line")
_ADDED = ("Exec", "Listen")  # settings that add to what the file before says
DEFAULT_PATHS = PathSettings.model_construct()


def packaged_units(paths: PathSettings = DEFAULT_PATHS) -> Mapping[str, str]:
    """The units of a package by name, as `contrib/systemd` has them; with `paths`, as they would be for those."""
    return Whereabouts(PROGRAM, paths.state, paths.run, _PYTHON, _LAST_LINE, manual=True).units()


def is_packaged(root: Path) -> bool:
    """Whether a package's units are there."""
    return (root / PACKAGED_UNITS / units.SERVICE).exists()


def shadows(root: Path) -> Iterator[Path]:
    """What an installation without a package has left, and systemd or a shell would take instead of the package's."""
    ours = (*(UNITS / name for name in units.OURS), units.LAST_LINE, *(Path(name) for name, _ in completions()))
    return (root / path for path in ours if (root / path).is_file() and not (root / path).is_symlink())


def drop_ins(paths: PathSettings) -> Iterator[tuple[Path, str]]:
    """(path, text) of what tells the package's units that lastcall's folders lie elsewhere; "" where they do not."""
    wanted = packaged_units(paths)
    for name, text in packaged_units().items():
        keys = {line.partition("=")[0] for line in {*wanted[name].splitlines()} - {*text.splitlines()}}
        yield UNITS / f"{name}.d" / "paths.conf", _drop_in(wanted[name], keys) if keys else ""


def _drop_in(unit: str, keys: set[str]) -> str:
    """These settings of a unit, whole: an empty one first, where systemd would else add to what the package says."""
    lines = ["# Written by `lastcall install`, as `paths` in the configuration says."]
    for line in unit.split("\n[Install]")[0].splitlines():
        key = line.partition("=")[0]
        if key in keys and key.startswith(_ADDED) and f"{key}=" not in lines:
            lines.append(f"{key}=")
        if key in keys or line.startswith("["):
            lines.append(line)
    return "\n".join(lines) + "\n"
