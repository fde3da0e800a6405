"""What a unit would run, as systemd itself says, and the file that has it do so."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lastcall.formats.reading import read_text
from lastcall.formats.values import value

EXEC = ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost")
AT_STOP = frozenset({"ExecStop", "ExecStopPost"})
_FILES = ("FragmentPath", "DropInPaths")
PROPERTIES = (*EXEC, *_FILES)
_LARGEST = 1 << 20  # bytes of a unit's file
_ONE = re.compile(r"\{ path=(.*?) ; argv\[\]=(.*?) ; (?:ignore_errors|flags)=", re.DOTALL)


@value
class UnitCommand:
    """One command: `key` says when it is run (`ExecStop`), `words` are what systemd has made of the line."""

    key: str
    program: str
    words: str

    def __str__(self) -> str:
        return f"{self.key}={' '.join(self.words.split())}"


def commands_of(shown: Mapping[str, str]) -> list[UnitCommand]:
    """Every command of a unit, of which systemctl has shown PROPERTIES."""
    return [
        UnitCommand(key, program, words) for key in EXEC for program, words in _ONE.findall(shown.get(key, ""))
    ]  # fmt: skip


def files_of(shown: Mapping[str, str], root: Path = Path("/")) -> list[Path]:
    """The unit's file and its drop-ins, in the order in which they are read."""
    return [root / path.lstrip("/") for name in _FILES for path in shown.get(name, "").split()]


def origin_of(command: UnitCommand, shown: Mapping[str, str], root: Path = Path("/")) -> Path | None:
    """The file that gives the unit this command, as far as files tell: the last one that sets such a thing."""
    for path in reversed(files_of(shown, root)):
        if any(name == command.key and told for name, told in settings_in(path)):
            return path
    return None


def settings_in(path: Path) -> Sequence[tuple[str, str]]:
    """What a unit's file sets, line by line; nothing where it cannot be read."""
    try:
        text = read_text(path, _LARGEST, errors="replace")
    except OSError:
        return ()
    return tuple(_settings(text))


def _settings(text: str) -> Iterator[tuple[str, str]]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        name, sign, told = line.partition("=")
        if sign:
            yield name.strip(), " ".join(told.split())
