"""NUT's configuration of upsmon and upssched, read as NUT reads it."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lastcall import LastcallError, TextFile
from lastcall_plugins.power.address import UpsAddress, parse_address

_PLACES = (Path("/etc/nut"), Path("/etc/ups"))  # Debian, SUSE, Arch; Fedora
_PRIMARY = {"primary", "master"}  # 2.8 and later; before
_DEFAULTS = {"HOSTSYNC": 15.0, "FINALDELAY": 5.0, "MINSUPPLIES": 1.0}  # as upsmon has them


@dataclass(frozen=True)
class Monitored:
    """A MONITOR line: the UPS, how many of this host's power supplies it feeds, and whether it is connected here."""

    ups: UpsAddress
    feeds: int
    primary: bool


@dataclass(frozen=True)
class UpsmonConfig:
    """What upsmon.conf says. `values` are its directives, the last of each; `executed`: what NOTIFYCMD is run for."""

    path: Path
    monitored: tuple[Monitored, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    executed: frozenset[str] = frozenset()

    @property
    def feeding(self) -> tuple[Monitored, ...]:
        """The UPSes that carry this host, and are not only watched."""
        return tuple(one for one in self.monitored if one.feeds > 0)

    @property
    def secondary(self) -> bool:
        """Whether none of them is connected here."""
        return bool(self.feeding) and not any(one.primary for one in self.feeding)

    def seconds(self, name: str) -> float:
        """A number; upsmon's default where there is none."""
        try:
            return float(self.values[name])
        except (KeyError, ValueError):
            return _DEFAULTS[name]


def find_folder(confpath: str | None) -> Path | None:
    """Where NUT's files are: where NUT_CONFPATH says, or where distributions have them."""
    places = (Path(confpath),) if confpath else _PLACES
    return next((place for place in places if (place / "upsmon.conf").is_file()), None)


def read_upsmon(folder: Path) -> UpsmonConfig:
    """What is configured. Raises LastcallError where it cannot be read."""
    path = folder / "upsmon.conf"
    values, executed, monitored = dict[str, str](), set[str](), list[Monitored]()
    for word, *rest in directives(TextFile(path).read() or ""):
        if word == "MONITOR":
            monitored += _monitored(rest)
        elif word == "NOTIFYFLAG" and len(rest) > 1:
            (executed.add if "EXEC" in rest[1].split("+") else executed.discard)(rest[0])
        elif rest:
            values[word] = rest[0]
    return UpsmonConfig(path, tuple(monitored), values, frozenset(executed))


def _monitored(words: Sequence[str]) -> Iterator[Monitored]:
    if len(words) > 1 and words[1].isdecimal():
        try:
            yield Monitored(parse_address(words[0]), int(words[1][:6]), words[-1] in _PRIMARY)
        except ValueError:
            return  # upsmon does not take it either


def directives(text: str) -> Iterator[list[str]]:
    """The words of each line that has some. Quotes, backslashes and comments as in NUT's parser."""
    words, word, quoted = list[str](), None, False
    signs = iter(f"{text}\n")
    for sign in signs:
        if sign == "\\":
            following = next(signs, "")
            word = word if following == "\n" else (word or "") + following
        elif sign == '"':
            word, quoted = word or "", not quoted
        elif quoted:
            word = (word or "") + sign
        elif sign in "#\n" or sign.isspace():
            words += [word] if word is not None else []
            word = None
            if sign == "#":
                sign = next((one for one in signs if one == "\n"), "\n")  # noqa: PLW2901  to the end of the line
            if sign == "\n":
                if words:
                    yield words
                words = []
        else:
            word = (word or "") + sign


def commands_of(config: UpsmonConfig, events: frozenset[str]) -> Iterator[str]:
    """What is run when the host is to go down: SHUTDOWNCMD, and what NOTIFYCMD does at these events."""
    yield config.values.get("SHUTDOWNCMD", "")
    notify = config.values.get("NOTIFYCMD", "")
    if not notify or not events & config.executed:
        return
    yield notify
    if Path(_program(notify)).name == "upssched":
        given = list(directives(_text(config.path.with_name("upssched.conf"))))
        if any(words[0] == "AT" and len(words) > 1 and words[1] in events for words in given):
            yield from (words[1] for words in given if words[0] == "CMDSCRIPT" and len(words) > 1)


def text_of(command: str) -> str:
    """A command and, where it is a script, what is in it; without comments."""
    program = _program(command)
    script = _text(Path(program)) if program.startswith("/") else ""
    return "\n".join([command, *(line for line in script.splitlines() if not line.lstrip().startswith("#"))])


def _program(command: str) -> str:
    try:
        return next(iter(shlex.split(command)), "")
    except ValueError:
        return ""


def _text(path: Path) -> str:
    """What is in it; nothing of a program that is no text."""
    try:
        return TextFile(path).read() or ""
    except LastcallError:
        return ""
