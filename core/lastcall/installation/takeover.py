"""The list of guests that libvirt-guests keeps, taken over."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lastcall.api.guests import Guest, GuestState, Key
from lastcall.config.settings import DEFAULT_URI
from lastcall.formats.values import value
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.state import StateFile
from lastcall.persistence.waiting.entry import Entry

LIST = Path("var/lib/libvirt/libvirt-guests")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DOMAIN_0 = "00000000-0000-0000-0000-000000000000"


@value
class GuestsList:
    """libvirt-guests' list: a line for each connection, `URI UUID UUID …`.

    `written` and `booted` are seconds since the epoch: a list older than this boot is what the boot before has left,
    and is due now; a younger one is due at the next boot. `on_duty`: whether libvirt-guests is. Else nobody has been
    going to start them, and nobody is due.
    """

    text: str
    written: float
    booted: float
    on_duty: bool = True


def adopt(listed: GuestsList, state: StateFile, known: Mapping[str, Guest]) -> list[Entry]:
    """Put its guests on ours; returns those that were not there. `known`: what libvirt tells of guests, by UUID."""
    boot = boot_id() if listed.written >= listed.booted else boot_before(state)
    since = datetime.fromtimestamp(listed.written, UTC).isoformat(timespec="seconds")
    added: list[Entry] = []
    for unknown in listed_guests(listed.text):
        # The list has UUIDs only; where libvirt does not answer just now, they have to do for names.
        guest = known.get(unknown.uuid, unknown)
        if guest.key not in state.entries:
            entry = Entry(
                uri=guest.uri, uuid=guest.uuid, name=guest.name, driver=guest.driver, state=GuestState.RUNNING,
                run="libvirt-guests", boot_id=boot, since=since, due=listed.on_duty,
            )  # fmt: skip
            state.entries[guest.key] = entry
            added.append(entry)
    return added


def listed_guests(text: str) -> Sequence[Guest]:
    """Whom libvirt-guests' list has, each once."""
    found: dict[Key, Guest] = {}
    # Lines and words as `while read` has them: an exotic space is a part of a URI. But for a last line that was not
    # ended, and for Windows line ends: there it forgets the guests, for which nobody can have meant it.
    for line in text.split("\n"):
        uri, *uuids = re.findall(r"[^ \t\r]+", line) or [""]
        uri = DEFAULT_URI if uri == "default" else uri
        for uuid in map(str.lower, uuids):
            if uuid != _DOMAIN_0 and _UUID.fullmatch(uuid):
                found[uri, uuid] = Guest(uri=uri, uuid=uuid, name=uuid)
    return list(found.values())


def boot_before(state: StateFile) -> str:
    """The boot before this one, as far as our own list knows."""
    return (state.previous_boot if state.boot == boot_id() else state.boot) or ""
