"""libvirt's own shutdown of guests (11.2 and later): what is set for it, and how long logind waits for that."""

import re
from collections.abc import Iterator
from pathlib import Path

from lastcall.formats.quantities import parse_duration
from lastcall.formats.reading import read_text
from lastcall.formats.values import value

INHIBIT_DELAY = 5.0  # seconds, logind's default
_LARGEST = 4 << 20  # bytes
# It begins at logind's signal, before any unit is stopped.
_AUTO = re.compile(r"^[ \t]*(auto_shutdown_(?:try_save|try_shutdown|poweroff))[ \t]*=[ \t]*[\"']?(\w+)", re.MULTILINE)
_DELAY = re.compile(r"^[ \t]*InhibitDelayMaxSec[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_LOGIND = "systemd/logind.conf"
_FOLDERS = ("usr/lib", "usr/local/lib", "run", "etc")  # what the later ones have of a name counts


@value
class AutoShutdown:
    """One of its settings by which guests are stopped: `chosen` is whose, such as `persistent` or `all`."""

    path: Path
    name: str
    chosen: str

    @property
    def remedy(self) -> str:
        """What ends it."""
        return f'set {self.name} = "none", and restart the daemon'

    def __str__(self) -> str:
        return f"{self.name} is {self.chosen}"


def auto_shutdown(root: Path = Path("/")) -> Iterator[AutoShutdown]:
    """What is set in the files of libvirt's daemons. Blocks."""
    for path in sorted((root / "etc/libvirt").glob("*.conf")):
        for name, chosen in _AUTO.findall(_text(path)):
            if chosen != "none":
                yield AutoShutdown(path, name, chosen)


def inhibit_delay(root: Path = Path("/")) -> float:
    """Seconds that logind waits, after its signal, until the host's units are stopped. Blocks."""
    drop_ins: dict[str, Path] = {}
    for folder in _FOLDERS:
        drop_ins |= {path.name: path for path in (root / folder / f"{_LOGIND}.d").glob("*.conf")}
    # The main file is the first of etc, run, usr/local/lib and usr/lib that is there; drop-ins come after it, by name.
    main = next((path for folder in reversed(_FOLDERS) if (path := root / folder / _LOGIND).exists()), None)
    found = INHIBIT_DELAY
    for path in (*([main] if main else []), *(drop_ins[name] for name in sorted(drop_ins))):
        for text in _DELAY.findall(_text(path)):
            try:
                seconds = parse_duration(text) if text else INHIBIT_DELAY
            except ValueError:  # logind passes over it, too
                continue
            found = seconds if isinstance(seconds, float) else found
    return found


def _text(path: Path) -> str:
    try:
        return read_text(path, _LARGEST, errors="replace")
    except OSError:
        return ""
