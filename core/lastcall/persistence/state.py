"""What must survive a reboot: the guests to bring back. Written atomically, before any guest is touched."""

import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lastcall.api.guests import Guest, Key
from lastcall.errors import ExitCode, LastcallError, NoPermission, Problem
from lastcall.formats.decoding import from_json
from lastcall.formats.reading import Unreadable, distrusted, read_text
from lastcall.persistence.files import READERS, write_whole
from lastcall.persistence.refusals import permission_remedy
from lastcall.persistence.waiting.entry import Cause, Entry, entry_of, line_of, uris_of, with_doubts_of

VERSION = 1
LARGEST = 16 << 20  # bytes; a guest takes some 400
# A daemon of this host by its usual socket. Any other URI may run a program: `qemu+ssh://…?command=…` does.
_LOCAL_URI = re.compile(r"[a-z0-9]+:///[a-z]*")
_DOUBTFUL = "doubtful"  # of a list that is kept, as not all that was on it is believed


class StateInvalid(LastcallError):
    """The state file cannot be understood; it is left as it is."""


class StateUnreadable(StateInvalid):
    """There is something that the system does not read as a file: a directory, say."""

    exit_code = ExitCode.NO_PERMISSION


class StateFile:
    """`<paths.state>/state.json` (mode 0600, or 0640 for readers).

    `restored_in`: the boot whose restore got an answer from everybody. `served`: the connections (URIs) whose guests
    that are to run always were seen to in this boot. `returned`: whom a restore has brought back that is not over yet.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.json"
        self.entries: dict[Key, Entry] = {}
        self.returned: dict[Key, Entry] = {}
        self.boot: str | None = None
        self.previous_boot: str | None = None
        self.restored_in: str | None = None
        self.served: frozenset[str] = frozenset()
        self.distrust: Problem | None = None  # somebody else could have written what was read
        self._left_out = False
        self._turn = threading.Lock()
        self._taken = self._written = 0  # snapshots, by number

    def load(self) -> None:
        """Read the file; none means no guests. Raises StateInvalid, or OSError."""
        try:
            text = read_text(self.path, LARGEST)
        except FileNotFoundError:
            self.entries, self.returned = {}, {}
            return
        except UnicodeDecodeError as error:
            raise self._invalid(str(error)) from None
        self.entries, self.returned = self._parse(text)
        self._leave_out_what_is_doubtful()

    def _leave_out_what_is_doubtful(self) -> None:
        """Whoever can write the list could have programs run as root, by the URIs that are opened for its guests."""
        why = distrusted(self.path)
        if why is None:
            return
        # No more is left out: a folder with the wrong mode must not keep the guests of this host from coming back.
        # Nor is one left with nothing but its place here: who may run elsewhere is not started here.
        everybody = self.returned | self.entries
        doubtful = {key: one.name for key, one in everybody.items() if not all(map(is_local, (one.uri, *one.where)))}
        self.drop(doubtful)
        self._left_out = bool(doubtful)
        names = ", ".join(doubtful.values())
        told = f"; of those on it these are left out, as their URIs may run a program: {names}" if doubtful else ""
        remedy = why.remedy
        if doubtful:
            remedy += f", and look at {self.path}, or the newest {self.path.name}.{_DOUBTFUL}-…"
        self.distrust = Problem(what="state", where=str(self.path), message=f"{why}{told}", remedy=remedy)

    def _render(self) -> str:
        """The file's content: JSON, one guest a line."""
        boots = {"boot": self.boot, "previous_boot": self.previous_boot, "restored_in": self.restored_in}
        rest = json.dumps({**boots, "served": sorted(self.served)})[1:-1]
        guests, returned = _lines(self.entries), _lines(self.returned)
        return f'{{"version": {VERSION}, {rest}, "guests": {guests}, "returned": {returned}}}\n'

    def stamp(self, boot: str) -> bool:
        """Note that the host has booted; returns whether it is the first note of this boot."""
        if boot == self.boot:
            return False
        if self.boot is not None:
            # Where its power was cut, nobody has; and whom a restore had just brought back went off with it.
            self.entries, self.returned = self.returned | self.entries, {}
            self._keep_due(self.boot, since=self.previous_boot)
        self.boot, self.previous_boot, self.served = boot, self.boot, frozenset()
        return True

    def snapshot(self) -> Callable[[], None]:
        """What writes the entries as they are now, for another thread: it blocks, and raises OSError.

        After any crash the file is the old one or the new one, whole. A write that somebody has given up may still be
        under way when the next one begins, or come after it: whatever the order, the latest snapshot stays.
        """
        self._taken += 1
        number, content = self._taken, self._render()

        def write() -> None:
            # Two writers at once use one name for the fresh file: the second found nothing to put in place.
            with self._turn:
                if number > self._written:
                    if self._left_out:
                        self._left_out = False
                        with contextlib.suppress(OSError):  # a disk without links costs those, and not the list
                            os.link(self.path, self._aside(_DOUBTFUL))
                    write_whole(self.path, content, mode=READERS)
                    self._written = number

        return write

    def save(self) -> None:
        """Write the entries as they are now. Blocks; raises OSError."""
        self.snapshot()()

    def set_aside(self) -> Path:
        """Move a file that cannot be understood out of the way, keeping it; returns its new path. Raises OSError."""
        aside = self._aside("invalid")
        # Kept, as it may be all that is known of guests that are off.
        self.path.rename(aside)
        return aside

    def _aside(self, why: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{why}-{datetime.now(UTC):%Y%m%dT%H%M%S}")

    def add(
        self,
        guests: Iterable[Guest],
        *,
        run: str,
        boot_id: str,
        cause: Cause,
        due: bool,
        restarting: Container[Key] = (),
        autostarting: Container[Key] = (),
    ) -> list[Entry]:
        """Add the guests of a run; what waits already stays. `restarting`, `autostarting`: see `Entry`.

        What an earlier run has noted of one of them, and nobody has answered or undone since, is taken over: where else
        it may be, and that its on_poweroff has to be put back.
        """
        since = datetime.now(UTC).isoformat(timespec="seconds")
        added = [
            Entry(
                uri=guest.uri, uuid=guest.uuid, name=guest.name, driver=guest.driver, state=guest.state,
                run=run, boot_id=boot_id, since=since, due=due, cause=cause,
                restarts=guest.key in restarting, autostart=guest.key in autostarting,
            )
            for guest in guests
        ]  # fmt: skip
        added = [with_doubts_of(self.entries.get(entry.guest.key), entry) for entry in added]
        self.drop(entry.guest.key for entry in added)  # they go to its end
        self.entries |= {entry.guest.key: entry for entry in added}
        return added

    def make_due(self, boot_id: str, run: str = "") -> None:
        """The host stops: what was stopped with it in this boot is to come back by itself at the next.

        So is what `run` has stopped, which turned out to be for the host; and what was to come back in this boot, where
        that was cut off or has missed it. What a person stopped by name stays off until somebody wants it.
        """
        mine = {key: entry for key, entry in self.entries.items() if entry.boot_id == boot_id}
        host = {key: entry for key, entry in mine.items() if entry.cause == "host" or (run and entry.run == run)}
        self.entries |= {key: replace(entry, due=True, cause="host") for key, entry in host.items()}
        self.returned = {}  # who runs is seen, and listed anew
        self._keep_due(boot_id, since=self.previous_boot if self.boot == boot_id else self.boot)

    def _keep_due(self, boot: str, since: str | None) -> None:
        """Whoever was due in a boot, from the one before it, and has missed it, is due in the one after it."""
        due = {key: entry for key, entry in self.entries.items() if entry.is_due_from(since)}
        missed = {key: entry for key, entry in due.items() if entry.missed or self.restored_in != boot}
        self.entries |= {key: replace(entry, boot_id=boot, missed=False) for key, entry in missed.items()}

    def make_shed(self, run: str, but: Container[Key] = ()) -> None:
        """What `run` has stopped was stopped for want of power alone, as it turns out: it comes back with the mains,
        and, where they are cut off before that, at the next boot."""
        shed = {key: entry for key, entry in self.entries.items() if entry.run == run and key not in but}
        self.entries |= {key: replace(entry, due=True, cause="shed") for key, entry in shed.items()}

    def drop(self, keys: Iterable[Key]) -> None:
        """Take guests off the list."""
        for key in keys:
            self.entries.pop(key, None)
            self.returned.pop(key, None)

    def bring_back(self, key: Key) -> None:
        """Take a guest off the list that a restore has brought back; until that is over, a power cut puts it back."""
        if key in self.entries:
            self.returned[key] = self.entries.pop(key)

    def end_return(self) -> None:
        """The restore is over."""
        self.returned = {}

    def park(self, key: Key, *, bad_image: bool = False) -> None:
        """Keep a guest on the list, to be started only by name."""
        self.entries[key] = replace(self.entries[key], parked=True, bad_image=bad_image, waits_for="")

    def note_wait(self, key: Key, what: str) -> None:
        """Note what a guest on the list waits for before it can be started."""
        self.entries[key] = replace(self.entries[key], waits_for=what)

    def note_missed(self, keys: Iterable[Key]) -> None:
        """Note of guests on the list that a restore at boot has not brought back, for no reason of their own."""
        self.entries |= {key: replace(self.entries[key], missed=True) for key in keys if key in self.entries}

    def note_place(self, key: Key, where: Iterable[str]) -> None:
        """Note at which other hosts a guest on the list may be; nowhere but here, where these are none."""
        self.entries[key] = replace(self.entries[key], where=tuple(where))

    def mark_left(self, keys: Iterable[Key]) -> None:
        """Note of guests on the list that they were asked and still ran at the end."""
        self.entries |= {key: replace(self.entries[key], left=True) for key in keys if key in self.entries}

    def restarting(self) -> set[Key]:
        """The guests whose on_poweroff may have to be put back."""
        return {key for key, entry in self.entries.items() if entry.restarts}

    def settle(self, keys: Iterable[Key]) -> None:
        """Note of guests on the list that their on_poweroff is their own."""
        self.entries |= {key: replace(self.entries[key], restarts=False) for key in keys if key in self.entries}

    def _parse(self, text: str) -> tuple[dict[Key, Entry], dict[Key, Entry]]:
        try:
            content: Any = from_json(text)
            if content["version"] != VERSION:
                raise self._invalid(f"version {content['version']!r}; this lastcall knows version {VERSION}")
            entries, returned = _by_key(content["guests"]), _by_key(content.get("returned", []))
            served = uris_of(content.get("served", []))
            boots = [_boot(content.get(name)) for name in ("boot", "previous_boot", "restored_in")]
        except (ValueError, KeyError, TypeError) as error:
            raise self._invalid(f"{type(error).__name__}: {error}") from None
        self.boot, self.previous_boot, self.restored_in = boots
        self.served = frozenset(served)
        return entries, returned

    def _invalid(self, why: str) -> StateInvalid:
        remedy = "it is kept; look at it, then move it away or mend it"
        return StateInvalid(f"{self.path} cannot be understood ({why})", remedy)


def is_local(uri: str) -> bool:
    """Whether to open it leads to a daemon of this host, and to nothing else."""
    return bool(_LOCAL_URI.fullmatch(uri))


def open_state(folder: Path) -> StateFile:
    """Load the state file; raises StateInvalid or StateUnreadable, or NoPermission where it may not be read."""
    state = StateFile(folder)
    try:
        state.load()
    except PermissionError:
        raise NoPermission(f"no permission to read {state.path}", permission_remedy(state.path)) from None
    except OSError as error:
        remedy = error.remedy if isinstance(error, Unreadable) else ""
        raise StateUnreadable(
            f"{state.path} cannot be read: {(error.strerror or str(error)).lower()}", remedy
        ) from None
    return state


def _lines(entries: Mapping[Key, Entry]) -> str:
    return "[\n" + ",\n".join(map(line_of, entries.values())) + "\n]" if entries else "[]"


def _by_key(given: Iterable[Any]) -> dict[Key, Entry]:
    return {entry.guest.key: entry for entry in map(entry_of, given)}


def _boot(given: object) -> str | None:
    if given is not None and not isinstance(given, str):
        raise TypeError("a boot's id is no text")
    return given
