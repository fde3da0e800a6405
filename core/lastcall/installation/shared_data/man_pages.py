"""The man pages of an installation without a package: man(1) looks into no virtual environment, but into /usr/local."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from lastcall.installation.steps import InstallStep

MANUAL = Path("usr/local/share/man")
_PAGES = "man[1-9]/lastcall*.[1-9]"


def manual_steps(program: Path, root: Path) -> Iterator[InstallStep]:
    """Link those that came with the program, unless they lie there anyway. What somebody else has put there stays."""
    own = program.parent.parent / MANUAL.relative_to("usr/local")
    wanted = {root / MANUAL / page: own / page for page in _pages(_below(root, own))}
    if not wanted or _below(root, own) == root / MANUAL:
        return

    def do() -> None:
        for path in _ours(root):
            if path not in wanted:  # this version has no such page any more
                path.unlink()
        for path, target in wanted.items():
            if _is_free(path):
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
                path.unlink(missing_ok=True)
                path.symlink_to(target)

    text = f"link the man pages in {root / MANUAL} to those in {own}"
    yield InstallStep(text, do, [f"{path} is not ours, and stays" for path in _others(wanted)])


def manual_undo_steps(root: Path) -> Iterator[InstallStep]:
    """Remove those links, also where the program that they led to is gone."""
    if links := list(_ours(root)):

        def do() -> None:
            for path in links:
                path.unlink(missing_ok=True)

        yield InstallStep(f"remove the links to man pages from {root / MANUAL}", do)


def _pages(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.glob(_PAGES))


def _ours(root: Path) -> Iterator[Path]:
    return (path for path in sorted((root / MANUAL).glob(_PAGES)) if _is_link_of_ours(path))


def _others(wanted: Mapping[Path, Path]) -> list[Path]:
    return [path for path in wanted if not _is_free(path)]


def _is_free(path: Path) -> bool:
    return _is_link_of_ours(path) or not (path.exists() or path.is_symlink())


def _is_link_of_ours(path: Path) -> bool:
    """Whether it leads to the page of that name of some environment: of this one, or of one that lastcall was in."""
    return path.is_symlink() and path.readlink().parts[-4:] == ("share", "man", path.parent.name, path.name)


def _below(root: Path, path: Path) -> Path:
    return root / str(path).lstrip("/")
