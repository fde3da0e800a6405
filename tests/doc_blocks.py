"""The code blocks of the authors' pages, and what runs them."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Self

from book.assembly import made_texts
from book.contents import API, AUTHORS, DOCS, ROOT

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^>]+) -->\n\n?)?"
    r'```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"\d+(?:\\\.\d+)?")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_END = "=== the end of a command ==="


@dataclass(frozen=True, kw_only=True)
class Block:
    """One code block: `title` is the file that it is, `reason` why it is not run."""

    page: str
    number: int
    language: str
    title: str
    text: str
    reason: str

    @property
    def file(self) -> str:
        """Where it is written, below the folder of its page."""
        return self.title or f"block_{self.number}.{'py' if self.language == 'python' else self.language}"


@cache
def pages() -> dict[str, str]:
    """The authors' pages and their texts, those made from the code and the README among them."""
    written = {page: (DOCS / page).read_text() for page in AUTHORS.values() if page != API}
    made = {page: text() for page, text in made_texts().items() if page != API}
    return {"README.md": (ROOT / "README.md").read_text(), **written, **made}


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    found = enumerate(_FENCE.finditer(pages()[page]))
    return [
        Block(
            page=page, number=number, language=one["language"], title=one["title"] or "", text=one["text"],
            reason=one["reason"] or "",
        )
        for number, one in found
    ]  # fmt: skip


def write(block: Block, folder: Path) -> Path:
    """Put a block where it says that it belongs, below a folder; programs of hooks.d/ can be run."""
    path = folder / block.file
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    path.write_text(block.text)
    if block.text.startswith("#!"):
        path.chmod(0o755)
    return path


def module_name(path: Path) -> str:
    """What a file is called as a module."""
    stem = path.parent.name if path.name == "__init__.py" else path.stem
    return re.sub(r"^\d+-", "", stem).replace("-", "_")


def loaded(block: Block, folder: Path) -> ModuleType:
    """A block as a module, written below a folder; one that is a package has the modules that the page shows of it."""
    path = write(block, folder)
    name = module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    if path.name == "__init__.py":
        for known in [one for one in sys.modules if one.partition(".")[0] == name]:
            del sys.modules[known]
        for beside in blocks(block.page):
            if Path(beside.file).parent == Path(block.file).parent:
                write(beside, folder)
    module = importlib.util.module_from_spec(spec)
    if path.name == "__init__.py":
        sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Typed:
    """One command of a console block, and the lines that it is said to print."""

    command: str
    prints: tuple[str, ...]


def typed(text: str) -> Iterator[Typed]:
    """The commands of a console block: `$ ` begins one, `> ` goes on with it, the rest is what it prints."""
    command, prints = "", list[str]()
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield Typed(command, tuple(prints))
            command, prints = line[2:], []
        elif line.startswith("> ") and not prints:
            command += f"\n{line[2:]}"
        else:
            prints.append(line)
    if command:
        yield Typed(command, tuple(prints))


def fits(said: str, prints: Sequence[str]) -> bool:
    """Whether a command printed what the page says: numbers are any numbers, `…` is anything, alone any lines.

    Colours do not count.
    """
    lines = [" ".join(line.split()) for line in _COLOUR.sub("", said).splitlines() if line.strip()]
    pattern = "".join(r"(?:.*\n)*" if line.strip() == "…" else f"{_line(line)}\n" for line in prints if line.strip())
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def _line(line: str) -> str:
    parts = [_NUMBER.sub(r"\\d+(?:\\.\\d+)?", re.escape(part)) for part in " ".join(line.split()).split("…")]
    return ".*".join(parts).replace(r"\ ", " ")


class Terminal:
    """A shell in which the commands of a page are given, one after the other. `where`: words that take it elsewhere."""

    def __init__(self, folder: Path, environment: dict[str, str], where: Sequence[str] = ()) -> None:
        self._shell = subprocess.Popen(
            [*where, "bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=folder, env=environment, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shell.communicate()

    def run(self, command: str) -> tuple[str, int]:
        """Give a command; returns what it printed and its exit code."""
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %s\\n' '{_END}' $?\n")
        self._shell.stdin.flush()
        said = list[str]()
        for line in self._shell.stdout:
            if line.startswith(_END):
                return "".join(said), int(line.removeprefix(_END))
            said.append(line)
        raise AssertionError(f"the shell has ended: {''.join(said)}")


def environment(home: Path) -> dict[str, str]:
    """What a reader's terminal has: this lastcall in a virtual environment of its own, and a home."""
    programs = home / "venv" / "bin"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(programs.parent)], check=True)
    packages = next((programs.parent / "lib").glob("python*/site-packages"))
    (packages / "ours.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    _script(programs / "lastcall", f'exec {programs}/python -c "import sys; sys.argv[0] = \'lastcall\'; '
                                   'from lastcall.cli.main import main; sys.exit(main())" "$@"')  # fmt: skip
    _script(programs / "pip", f'exec {sys.executable} -m pip --python {programs}/python "$@"')
    # What is built takes hatchling from beside us, and nothing from the network.
    pip = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "false", "PIP_NO_DEPS": "1", "PIP_CONFIG_FILE": os.devnull}
    python = os.pathsep.join(str(ROOT / part) for part in ("core", "plugins"))
    path = f"{programs}:/usr/bin:/bin:/usr/sbin:/sbin"
    temporary = home / "tmp"  # of its own: pytest sweeps where others are at work, and warns of what it cannot
    temporary.mkdir()
    return {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PATH": path,
        "PYTHONPATH": python,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **pip,
    }


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
