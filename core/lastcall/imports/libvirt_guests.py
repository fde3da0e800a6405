"""libvirt-guests' settings, read without running them, and told in our words.

The file is a piece of shell that libvirt-guests.sh sources. What each setting means was read from the script of libvirt
9.0 to 12.2; Gentoo's and Alpine's with OpenRC has others (`openrc_guests`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lastcall.formats.bounded_text import bounded
from lastcall.formats.reading import read_text
from lastcall.formats.visible_text import page
from lastcall.imports.imported_config import (
    Dialect,
    ImportedMeaning,
    config_lines,
    words_of,
    wrong_number,
    wrong_text,
)
from lastcall.imports.openrc_guests import OPENRC, is_openrc
from lastcall.imports.shell_settings import NotRead, ShellSetting, shell_settings

# Fedora and SUSE; Debian and Ubuntu; Gentoo with systemd; Arch, and whoever has OpenRC.
_PLACES = ("sysconfig/libvirt-guests", "default/libvirt-guests", "libvirt/libvirt-guests.conf", "conf.d/libvirt-guests")
FILES = tuple(Path("/etc", place) for place in _PLACES)
DEFAULTS = {
    "URIS": "default", "ON_BOOT": "start", "ON_SHUTDOWN": "suspend", "SHUTDOWN_TIMEOUT": "300",
    "PARALLEL_SHUTDOWN": "0", "START_DELAY": "0", "BYPASS_CACHE": "0", "SYNC_TIME": "0", "PERSISTENT_ONLY": "default",
}  # fmt: skip
SCRIPTS = ("usr/lib/libvirt/libvirt-guests.sh", "usr/libexec/libvirt-guests.sh")
LARGEST = 4 << 20  # bytes of its settings, script or list
_NUMBERS = ("SHUTDOWN_TIMEOUT", "PARALLEL_SHUTDOWN")
_OURS = re.compile(rf"^[ \t]*(?:export[ \t]+)?(?:{'|'.join(DEFAULTS)})=", re.MULTILINE)
_PAUSE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([smhd]?)")  # as `sleep` takes it
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_PAUSE = 1_000_000  # seconds


def _wrong(name: str, text: str) -> str:
    if name == "START_DELAY":
        found = _PAUSE.fullmatch(text)
        if found and _seconds(text) > _LONGEST_PAUSE:
            return "it is too large"
        return "" if found else wrong_number(name, text)
    # It is only compared with other numbers, which does not mind zeros in front.
    if name == "PARALLEL_SHUTDOWN":
        text = text.lstrip("0") or text[:1]
    return wrong_number(name, text) if name in _NUMBERS else ""


def _seconds(pause: str) -> float:
    found = _PAUSE.fullmatch(pause)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0


def _meaning(given: Mapping[str, str]) -> ImportedMeaning:
    # An unknown word suspends there without a sound; whoever reads our file sees what it means.
    suspends = given["ON_SHUTDOWN"] != "shutdown"
    slots = int(given["PARALLEL_SHUTDOWN"])
    # A transient guest cannot be saved, and is left where the others are.
    left = suspends or given["PERSISTENT_ONLY"] == "true"
    return ImportedMeaning(
        uris=words_of(given["URIS"]) or ["default"],
        way="save" if suspends else "shutdown",
        slots=slots if slots > 1 and not suspends else 1,
        timeout=int(given["SHUTDOWN_TIMEOUT"]),
        forces=False,
        transient="leave" if left else "stop",
        starts=given["ON_BOOT"] == "start",
        delay=f"{_seconds(given['START_DELAY']):.6f}".rstrip("0").rstrip(".") + "s",
        # Whatever is not 0 is on.
        sync_time=given["SYNC_TIME"] != "0",
        bypass_cache=given["BYPASS_CACHE"] != "0",
        sources={
            "connections": "URIS",
            "parallel": "saved one after the other" if suspends else f"PARALLEL_SHUTDOWN={given['PARALLEL_SHUTDOWN']}",
            "policy": f"ON_BOOT={given['ON_BOOT']}",
            "delay": "START_DELAY",
            "sync_time": f"SYNC_TIME={given['SYNC_TIME']}",
            "bypass_cache": f"BYPASS_CACHE={given['BYPASS_CACHE']}",
            "stop": f"ON_SHUTDOWN={given['ON_SHUTDOWN']}",
            "timeout": f"SHUTDOWN_TIMEOUT={given['SHUTDOWN_TIMEOUT']}",
            "last_resort": "nothing is ever forced",
            "transient": f"PERSISTENT_ONLY={given['PERSISTENT_ONLY']}",
        },
    )


_WORDS = {
    "ON_SHUTDOWN": ("shutdown", "suspend"), "ON_BOOT": ("start", "ignore"),
    "PERSISTENT_ONLY": ("true", "false", "default"),
}  # fmt: skip
LIBVIRT = Dialect(defaults=DEFAULTS, words=_WORDS, wrong=_wrong, meaning=_meaning)


@dataclass(slots=True)
class GuestsSettings:
    """Every setting's value as a text, which of them the file says, and what could not be read: (line, why)."""

    values: dict[str, str] = field(default_factory=lambda: dict(DEFAULTS))
    given: set[str] = field(default_factory=set[str])
    unread: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    dialect: Dialect = LIBVIRT

    @property
    def meaning(self) -> ImportedMeaning:
        """What all of them come to."""
        return self.dialect.meaning(self.values)

    @property
    def notes(self) -> list[str]:
        """What there is to know of what they come to, a line for each."""
        serial = self.meaning.serial
        return [*self.dialect.odd_words(self.values), *([serial] if serial else ())]

    def told(self, file: Path) -> list[str]:
        """What was not taken over from this file, a line for each."""
        return [f"{file}:{line}: not taken over: {what}" for line, what in self.unread]


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
        found = re.search(rf"^{name}=\S*$", text, re.MULTILINE)
        for one in shell_settings(found[0] if found else "", {}):
            if isinstance(one, ShellSetting) and one.value and not _refused(LIBVIRT, name, one.value):
                values[name] = one.value
    return values


def read_settings(text: str, defaults: Mapping[str, str] = DEFAULTS) -> GuestsSettings:
    """Read the settings file; what it does not say is as in `defaults`."""
    openrc = is_openrc(text) and not _OURS.search(text)
    settings = GuestsSettings(dict(OPENRC.defaults if openrc else defaults), dialect=OPENRC if openrc else LIBVIRT)
    before, helpers = dict(settings.values), dict[str, int]()
    # The script sets its defaults before it reads the file; that of OpenRC does so behind it.
    for one in shell_settings(text, {} if openrc else before):
        if isinstance(one, NotRead):
            settings.unread.append((one.line, one.what))
            continue
        for used in one.uses:
            helpers.pop(used, None)
        if one.name not in settings.values:
            helpers[one.name] = one.line
        elif one.value is None:
            told = f"{one.name}: {bounded(one.text.strip())} would have to be worked out by a shell"
            settings.unread.append((one.line, told))
        else:
            wrong = _refused(settings.dialect, one.name, one.value)
            if wrong:
                settings.unread.append((one.line, f"{one.name}: {wrong}; {before[one.name]} is used"))
            settings.values[one.name] = before[one.name] if wrong else one.value
            settings.given.add(one.name)
    # A variable that is of use for others is no misspelt setting.
    settings.unread += ((line, f"{name} is no setting of libvirt-guests") for name, line in helpers.items())
    settings.unread.sort(key=lambda found: found[0])
    return settings


def as_yaml(settings: GuestsSettings, name: str) -> str:
    """The same as our configuration, with a note for each line that says where it comes from."""
    head = [f"# From {name}; see docs/migrate.md for what is different on purpose."]
    head += [f"# {what}" for what in settings.dialect.odd_words(settings.values)]
    head += [f"# not taken over: line {line}: {what}" for line, what in settings.unread]
    # A value may have line ends, at which a comment would end; YAML knows more of them than \n.
    return page(line.replace("\n", " ") for line in [*head, "", *config_lines(settings.meaning)]) + "\n"


def _refused(dialect: Dialect, name: str, text: str) -> str:
    return wrong_text(text) or dialect.wrong(name, text)
