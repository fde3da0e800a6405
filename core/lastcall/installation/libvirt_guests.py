"""libvirt-guests' settings, read without running them, and told in our words.

The file is a piece of shell that libvirt-guests.sh sources. Only assignments of plain words are read; whatever a shell
would have to work out is reported. What each setting means was read from the script of libvirt 9.0 to 11.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lastcall.formats.bounded_text import bounded
from lastcall.formats.reading import read_text
from lastcall.formats.visible_text import page

FILES = tuple(Path(f"/etc/{folder}/libvirt-guests") for folder in ("sysconfig", "default", "conf.d"))
DEFAULTS = {
    "URIS": "default", "ON_BOOT": "start", "ON_SHUTDOWN": "suspend", "SHUTDOWN_TIMEOUT": "300",
    "PARALLEL_SHUTDOWN": "0", "START_DELAY": "0", "BYPASS_CACHE": "0", "SYNC_TIME": "0", "PERSISTENT_ONLY": "default",
}  # fmt: skip
SCRIPTS = ("usr/lib/libvirt/libvirt-guests.sh", "usr/libexec/libvirt-guests.sh")
LARGEST = 4 << 20  # bytes of its settings, script or list
NUMBERS = ("SHUTDOWN_TIMEOUT", "PARALLEL_SHUTDOWN", "START_DELAY")
SERIAL_DEADLINE = 1500  # seconds for one guest after the other; systemd forces the host off five minutes later
SAVE_TIME = 600  # seconds for one save; the original waits for ever
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)", re.DOTALL)
_WORKED_OUT = re.compile(r"[$`]")
_QUOTED = re.compile(r"'[^']*'|\\.", re.DOTALL)  # where a dollar sign is only a dollar sign
_ODD = re.compile(r"[;&|<>()]")
# What a shell reads in one piece: whatever stands between quotes, which may go on over lines; a character behind a
# backslash; a comment, which begins where a word would; the end of a line; and everything else.
_PIECE = re.compile(
    r"""'[^']*(?P<single>')?|"(?:[^"\\]|\\.)*(?P<double>")?|\\.?"""
    r"""|(?<![^ \t\n;&|()])(?P<comment>\#[^\n]*)|\n|[^'"\\\#\n]+|\#""",
    re.DOTALL,
)
_LONGEST_VALUE = 8192  # characters; a connection has some twenty
_NUMBER = re.compile(r"[0-9]{1,6}")  # a million seconds are eleven days
_LONGEST = 1000 * 86_400  # seconds of a deadline; no configuration has more


@dataclass(slots=True)
class GuestsSettings:
    """Every setting's value as a text, which of them the file says, and what could not be read: (line, why)."""

    values: dict[str, str] = field(default_factory=lambda: dict(DEFAULTS))
    given: set[str] = field(default_factory=set[str])
    unread: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def number(self, name: str) -> int:
        """A setting that counts something."""
        return int(self.values[name])

    @property
    def suspends(self) -> bool:
        """Only `shutdown` means shutdown."""
        # An unknown word suspends there without a sound; whoever reads our file sees what it means.
        return self.values["ON_SHUTDOWN"] != "shutdown"

    @property
    def uris(self) -> list[str]:
        """The connections, each once."""
        # Twice in the list there means that every guest is asked twice.
        return list(dict.fromkeys(self.values["URIS"].split())) or ["default"]

    def is_on(self, name: str) -> bool:
        """Whatever is not 0 is on."""
        return self.values[name] != "0"


def find_file(root: Path = Path("/")) -> Path | None:
    """The settings file of this host, if it has one."""
    return next((path for path in (root / str(one).lstrip("/") for one in FILES) if path.is_file()), None)


def distribution_defaults(root: Path = Path("/")) -> dict[str, str]:
    """What settings are where nothing is said: upstream's, or what the distribution wrote into the script."""
    script = next((path for path in (root / one for one in SCRIPTS) if path.is_file()), None)
    text = read_text(script, LARGEST, errors="replace") if script else ""
    # Debian and Ubuntu ship ON_BOOT=ignore and ON_SHUTDOWN=shutdown, the opposite of upstream.
    values = dict(DEFAULTS)
    for name in DEFAULTS:
        found = re.search(rf"^{name}=(\S*)$", text, re.MULTILINE)
        value = _value(found[1]) if found else None
        if value and not _wrong(name, value):
            values[name] = value
    return values


def read_settings(text: str, defaults: Mapping[str, str] = DEFAULTS) -> GuestsSettings:
    """Read the settings file; what it does not say is as in `defaults`."""
    settings = GuestsSettings(dict(defaults))
    for number, name, raw in _assignments(text, settings.unread):
        value = _value(raw)
        if name not in DEFAULTS:
            settings.unread.append((number, f"{name} is no setting of libvirt-guests"))
        elif value is None:
            settings.unread.append((number, f"{name}: {bounded(raw.strip())} would have to be worked out by a shell"))
        else:
            wrong = _wrong(name, value)
            if wrong:
                settings.unread.append((number, f"{name}: {wrong}; {defaults[name]} is used"))
            settings.values[name] = defaults[name] if wrong else value
            settings.given.add(name)
    return settings


def as_yaml(settings: GuestsSettings, name: str) -> str:
    """The same as our configuration, with a note for each line that says where it comes from."""
    lines = [*_head(settings, name), *_sections(settings)]
    # A value may have line ends, at which a comment would end; YAML knows more of them than \n.
    return page(line.replace("\n", " ") for line in lines) + "\n"


def _assignments(text: str, unread: list[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """(line, name, what stands behind the equals sign); a quoted value may go on over several lines."""
    for number, statement, closed in _statements(text.replace("\0", "")):  # a shell passes over a NUL
        found = _ASSIGNMENT.fullmatch(statement)
        if not closed:
            unread.append((number, "a quotation mark is not closed"))
        elif found:
            yield number, found[1], found[2]
        elif statement.strip():
            unread.append((number, f"{bounded(statement.strip())} is no assignment"))


def _statements(text: str) -> Iterator[tuple[int, str, bool]]:
    """(line, statement without comments, whether its quotes are closed), in one pass: a quote may never be closed."""
    began = number = 1
    pieces, closed = list[str](), True
    for found in _PIECE.finditer(text):
        piece = found[0]
        number += piece.count("\n")
        if piece == "\n":
            yield began, "".join(pieces), True
            began, pieces = number, []
        elif found["comment"] is None:
            # Behind a backslash a line end is nothing, except between single quotes.
            pieces.append(piece if piece[0] == "'" else piece.replace("\\\n", ""))
            closed = piece[0] not in "'\"" or bool(found["single"] or found["double"])
    yield began, "".join(pieces), closed


def _value(raw: str) -> str | None:
    """The value as a shell would read it; None where it would have to work something out, or run something."""
    # shlex takes its words apart character by character, each of which copies what it has: minutes for a megabyte.
    if len(raw) > _LONGEST_VALUE:
        return None
    bare = _QUOTED.sub("", raw)
    if _WORKED_OUT.search(bare) or _ODD.search(re.sub(r'"[^"]*"', "", bare)):
        return None
    try:
        words = shlex.split(raw)
    except ValueError:  # a quotation mark that is not closed
        return None
    if len(words) > 1:
        return None
    return words[0] if words else ""


def _wrong(name: str, value: str) -> str:
    if name not in NUMBERS or _NUMBER.fullmatch(value):
        return ""
    if re.fullmatch(r"[0-9]+", value):
        return "it is too large"
    if name == "SHUTDOWN_TIMEOUT" and re.fullmatch(r"-[0-9]+", value):
        return f"{value} is negative, with which libvirt-guests refuses to run"
    return f"{value!r} is not a number"


def _head(settings: GuestsSettings, name: str) -> Iterator[str]:
    yield f"# From {name}; see docs/migrate.md for what is different on purpose."
    for number, what in settings.unread:
        yield f"# not taken over: line {number}: {what}"
    yield ""


def _sections(settings: GuestsSettings) -> Iterator[str]:
    given: Mapping[str, str] = settings.values
    yield f"connections: [{', '.join(map(_quoted, settings.uris))}]  # URIS"
    yield "shutdown:"
    yield from _shutdown(settings)
    yield "restore:"
    starts = given["ON_BOOT"] == "start"
    yield f"  policy: {'was-running' if starts else 'none'}  # ON_BOOT={given['ON_BOOT']}"
    yield "  parallel: 1  # one after the other, as libvirt-guests starts them"
    yield f"  delay: {given['START_DELAY']}s  # START_DELAY"
    yield f"  sync_time: {'always' if settings.is_on('SYNC_TIME') else 'never'}  # SYNC_TIME={given['SYNC_TIME']}"
    cached = "true" if settings.is_on("BYPASS_CACHE") else "false"
    yield f"  bypass_cache: {cached}  # BYPASS_CACHE={given['BYPASS_CACHE']}"
    yield "defaults:"
    yield f"  stop: {_ladder(settings)}  # ON_SHUTDOWN={given['ON_SHUTDOWN']}"
    # 0 waits for ever there.
    timeout = settings.number("SHUTDOWN_TIMEOUT") or SERIAL_DEADLINE
    yield f"  timeout: {timeout}s  # SHUTDOWN_TIMEOUT={given['SHUTDOWN_TIMEOUT']}"
    yield "  last_resort: leave  # nothing is ever forced"
    yield f"  transient: {_transient(settings)}  # PERSISTENT_ONLY={given['PERSISTENT_ONLY']}"


def _shutdown(settings: GuestsSettings) -> Sequence[str]:
    """How many at once, and how long. libvirt-guests has one time for each guest or connection, none for all."""
    slots = settings.number("PARALLEL_SHUTDOWN")
    parallel = slots if slots > 1 and not settings.suspends else 1
    timeout = settings.number("SHUTDOWN_TIMEOUT")
    # One after the other the worst case is every guest's timeout added up, and nobody has set a limit for that.
    if settings.suspends or not timeout or parallel == 1:
        deadline, why = max(SERIAL_DEADLINE, timeout + 60), "libvirt-guests has no limit for the whole"
    else:
        deadline = min(_LONGEST, timeout * len(settings.uris) + 60)
        why = "SHUTDOWN_TIMEOUT for each connection, and a minute"
    return [f"  deadline: {deadline}s  # {why}", f"  parallel: {parallel}  # PARALLEL_SHUTDOWN={slots}"]


def _ladder(settings: GuestsSettings) -> str:
    """A save that fails is not the end: the guest is asked to shut down, where libvirt-guests leaves it running."""
    if not settings.suspends:
        return "[agent, acpi]"
    cached = ", bypass_cache: true" if settings.is_on("BYPASS_CACHE") else ""
    return f"[{{save: {{timeout: {SAVE_TIME}s{cached}}}}}, agent, acpi]"


def _transient(settings: GuestsSettings) -> str:
    """A transient guest cannot be saved, and is left where the others are."""
    return "leave" if settings.suspends or settings.values["PERSISTENT_ONLY"] == "true" else "stop"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
