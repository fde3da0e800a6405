"""One step of an installation: in words, and done when it is told to."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from lastcall.formats.reading import read_text
from lastcall.formats.values import value


@value
class InstallStep:
    """One thing to do, in words, and how. `notes`: what there is to know of it; `lost`: what it cannot keep."""

    text: str
    do: Callable[[], object]
    notes: Sequence[str] = ()
    lost: Sequence[str] = ()


def write_step(path: Path, text: str, why: str = "") -> InstallStep:
    """Write a file for everybody to read, if it is not there with this content."""

    def do() -> None:
        if _says(path, text):
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text)
        fresh.chmod(0o644)
        # In one step: systemd may read a unit at any moment, and half a unit stops no guest.
        fresh.replace(path)

    return InstallStep(f"write {path}" + (f", {why}" if why else ""), do)


def _says(path: Path, text: str) -> bool:
    try:
        return read_text(path, len(text.encode())) == text
    except (OSError, UnicodeDecodeError):
        return False  # it is not there, or larger, or something else


def link_step(path: Path, target: Path) -> InstallStep:
    """Make a link, if there is none."""

    def do() -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        if not path.is_symlink():
            path.symlink_to(target)

    return InstallStep(f"link {path} to {target}", do)


def remove_step(path: Path, why: str = "") -> InstallStep:
    """Remove a file, and its folder where that is one for drop-ins and holds no other."""

    def do() -> None:
        path.unlink(missing_ok=True)
        # An administrator may have drop-ins of his own beside ours.
        if path.parent.name.endswith(".d") and not any(path.parent.iterdir()):
            path.parent.rmdir()

    return InstallStep(f"remove {path}" + (f", {why}" if why else ""), do)


def drop_in_steps(root: Path, wanted: Iterable[tuple[Path, str]], key: str) -> Iterator[InstallStep]:
    """Write drop-ins that a key of the configuration asks for, and remove what it asked for once (text "")."""
    why = f"as `{key}` in the configuration says"
    for name, text in wanted:
        if text or (root / name).exists():
            yield write_step(root / name, text, why) if text else remove_step(root / name, why)
