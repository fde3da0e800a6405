"""What another program's settings mean, told as our configuration."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Literal

from lastcall.formats.bounded_text import bounded
from lastcall.formats.values import value

SERIAL_DEADLINE = 1500  # seconds for one guest after the other; systemd forces the host off five minutes later
SAVE_TIME = 600  # seconds for one save; the original waits for ever
# So long libvirt's own request waits for the agent of a guest before it presses the power button, and only then does
# libvirt-guests begin to count SHUTDOWN_TIMEOUT.
AGENT_TIME = 60
_MARGIN = 60  # seconds of a deadline for connecting, and for the reserve
_NUMBER = re.compile(r"0|[1-9][0-9]{0,5}")  # a million seconds are eleven days
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LONGEST = 1000 * 86_400  # seconds of a deadline; no configuration has more

StopWay = Literal["save", "shutdown", "destroy"]


@value(kw_only=True)
class ImportedMeaning:
    """How guests are stopped and started.

    `slots`: guests that stop at once, 0 = all. `timeout`: seconds from when a guest is asked until it is given up, and
    for all of a connection where several stop at once; 0 = for ever. `forces`: who does not stop then is destroyed.
    `delay`: between two starts, as a duration. `sources`: the settings that say so, for each of our keys.
    """

    uris: Sequence[str]
    way: StopWay
    slots: int
    timeout: int
    forces: bool
    transient: Literal["stop", "leave"]
    starts: bool
    delay: str = "0s"
    sync_time: bool = False
    bypass_cache: bool = False
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def serial(self) -> str:
        """Which setting makes it parallel where guests stop one after the other; else nothing."""
        if self.slots != 1:
            return ""
        return "guests stop one after the other, as before; `shutdown: {parallel: 0}` stops them at once"


@value(kw_only=True)
class Dialect:
    """What one program's settings file may say.

    `defaults`: its settings, and what they are where the file says nothing. `wrong`: why a setting cannot have this
    value; else nothing. `meaning`: of all settings together. `words`: those that a setting may be, of which the last is
    what any other counts as.
    """

    defaults: Mapping[str, str]
    words: Mapping[str, Sequence[str]]
    wrong: Callable[[str, str], str]
    meaning: Callable[[Mapping[str, str]], ImportedMeaning]

    def odd_words(self, given: Mapping[str, str]) -> Iterator[str]:
        """What is said of each setting that is none of its words: who mistyped one never heard of it."""
        for name, (*others, last) in self.words.items():
            if given[name] not in {*others, last}:
                known = f"neither {' nor '.join([*others, last])}"
                yield f"{name}: {bounded(given[name])!r} is {known}; it counts as {last}, as before"


def wrong_number(name: str, text: str) -> str:
    """Why the text is no number of seconds or guests; else nothing."""
    if _NUMBER.fullmatch(text):
        return ""
    if re.fullmatch(r"0[0-9]+", text):
        return f"{text} begins with a zero, with which sh counts in eights"
    if re.fullmatch(r"[0-9]+", text):
        return "it is too large"
    if re.fullmatch(r"-[0-9]+", text) and name == "SHUTDOWN_TIMEOUT":
        return f"{text} is negative, with which libvirt-guests refuses to run"
    return f"{text!r} is not a number"


def wrong_text(text: str) -> str:
    """Why nobody can have meant this text; else nothing."""
    if text.endswith("\r"):
        return "it ends in a carriage return (a Windows line end), which a shell takes for a part of it"
    if _CONTROL.search(text):
        return f"{text!r} has a control character in it"
    return "it is not UTF-8" if "\ufffd" in text else ""


def words_of(text: str) -> list[str]:
    """The words of a list as a shell tells them apart, each once."""
    # Twice in the list there means that every guest is asked twice.
    return list(dict.fromkeys(re.findall(r"[^ \t\n]+", text)))


def config_lines(meaning: ImportedMeaning) -> Iterator[str]:
    """The configuration, with a note for each line that says where it comes from."""
    yield f"connections: [{', '.join(map(_quoted, meaning.uris))}]  # {meaning.sources['connections']}"
    yield "shutdown:"
    deadline, why = _deadline(meaning)
    yield f"  deadline: {deadline}s  # {why}"
    if meaning.serial:
        yield f"  # {meaning.serial[0].upper()}{meaning.serial[1:]}."
    yield f"  parallel: {meaning.slots}  # {meaning.sources['parallel']}"
    yield "restore:"
    yield f"  policy: {'was-running' if meaning.starts else 'none'}  # {meaning.sources['policy']}"
    yield "  parallel: 1  # one after the other, as libvirt-guests starts them"
    yield f"  delay: {meaning.delay}  # {meaning.sources['delay']}"
    yield f"  sync_time: {'always' if meaning.sync_time else 'never'}  # {meaning.sources['sync_time']}"
    yield f"  bypass_cache: {'true' if meaning.bypass_cache else 'false'}  # {meaning.sources['bypass_cache']}"
    yield "defaults:"
    yield f"  stop: [{', '.join(_ladder(meaning))}]  # {meaning.sources['stop']}"
    yield f"  timeout: {meaning.timeout or SERIAL_DEADLINE}s  # {meaning.sources['timeout']}"
    yield f"  last_resort: {'destroy' if meaning.forces else 'leave'}  # {meaning.sources['last_resort']}"
    yield f"  transient: {meaning.transient}  # {meaning.sources['transient']}"


def _deadline(meaning: ImportedMeaning) -> tuple[int, str]:
    """Seconds for the whole run, for which the others have no limit: theirs are for a guest, or for a connection."""
    if meaning.way == "shutdown" and meaning.slots != 1 and meaning.timeout:
        deadline = meaning.timeout * len(meaning.uris) + _MARGIN
        why = f"{meaning.sources['timeout'].partition('=')[0]} for each connection, and a minute"
    else:
        # One after the other the worst case is every guest's timeout added up, and nobody has set a limit for that.
        deadline, why = AGENT_TIME + meaning.timeout + _MARGIN, "libvirt-guests has no limit for the whole"
        deadline = max(SERIAL_DEADLINE, deadline)
    return min(_LONGEST, deadline), why


def _ladder(meaning: ImportedMeaning) -> Iterator[str]:
    """A save that fails is not the end: the guest is asked to shut down, where libvirt-guests leaves it running."""
    if meaning.way == "destroy":
        yield "destroy"
        return
    if meaning.way == "save":
        yield f"{{save: {{timeout: {SAVE_TIME}s{', bypass_cache: true' if meaning.bypass_cache else ''}}}}}"
    yield f"{{agent: {{timeout: {AGENT_TIME}s}}}}"
    # Without a time of its own the last rung of a guest that nobody waits for lasts until the last resort: a deaf one
    # took 24.5 minutes of a host stop where libvirt-guests took five. Where that waits for ever, so does this.
    yield f"{{acpi: {{timeout: {meaning.timeout}s}}}}" if meaning.timeout else "acpi"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
