"""A guest that waits to be brought back, and what is known of it: a line of the state file."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Literal, cast, get_args

from lastcall.api.guests import Guest, GuestState
from lastcall.formats.values import value

Cause = Literal["host", "hand", "shed"]


@value(kw_only=True)
class Entry:
    """A guest to bring back. `since` is RFC 3339; `due` = at the next boot by itself; `parked` = only by name.

    `cause`: the host stopped; a person stopped it by name, and may not want it back with the host; or it was shed while
    a battery carried, and comes back with the mains.
    `left`: it still ran when the run that asked it ended, and may go off later; who sees it running may take it off.
    `restarts`: its on_poweroff=restart may have been replaced for its stop; who sees it running puts it back.
    `bad_image`: parked as its saved image does not load. `waits_for`: what it needed for its start and was not there.
    `where`: the URIs of other hosts that it may be at instead of here, as it was moved, or was about to be; it is
    started here only when these say that it does not run there. `autostart`: libvirt started it at boot before that.
    `missed`: the restore of the boot in which it was due has not come to it, or libvirt did not answer for it, or
    something was missing that it needs.
    """

    uri: str
    uuid: str
    name: str
    driver: str
    state: GuestState
    run: str
    boot_id: str
    since: str
    due: bool
    parked: bool = False
    left: bool = False
    cause: Cause = "hand"
    restarts: bool = False
    bad_image: bool = False
    waits_for: str = ""
    where: tuple[str, ...] = ()
    autostart: bool = False
    missed: bool = False

    def is_due_from(self, boot: str | None) -> bool:
        """Whether it is to come back by itself in the boot after this one."""
        return self.due and not self.parked and self.boot_id == (boot or "")

    @property
    def guest(self) -> Guest:
        """The guest as it was."""
        return Guest(uri=self.uri, uuid=self.uuid, name=self.name, driver=self.driver, state=self.state)


_FIELDS = tuple(one.name for one in fields(Entry))


def with_doubts_of(earlier: Entry | None, entry: Entry) -> Entry:
    """A new entry with what the one that it replaces says, and no run of the guest in between has made untrue."""
    if earlier is None:
        return entry
    # Whether libvirt starts it at boot is seen here, unless it was moved: that does not travel.
    autostart = entry.autostart or (earlier.autostart and bool(earlier.where))
    restarts = entry.restarts or earlier.restarts
    return replace(entry, where=earlier.where, restarts=restarts, autostart=autostart)


def line_of(entry: Entry) -> str:
    """The entry as JSON, on one line."""
    values = {name: getattr(entry, name) for name in _FIELDS}  # asdict copies each value, which a thousand guests feel
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def entry_of(fields: Mapping[str, Any]) -> Entry:
    """Read one that `line_of` has written. Raises KeyError, TypeError or ValueError where that is none."""
    if not isinstance(cast("object", fields), Mapping):
        raise TypeError("a guest is no mapping")
    # What a later version knows besides is left out: one such field would cost everybody else their return.
    known: dict[str, Any] = {name: fields[name] for name in _FIELDS if name in fields}
    known |= {"state": GuestState(fields["state"]), "where": uris_of(fields.get("where", []))}
    entry = Entry(**known)
    texts = (entry.uri, entry.uuid, entry.name, entry.driver, entry.run, entry.boot_id, entry.since, entry.waits_for)
    if not all(isinstance(cast("object", text), str) for text in texts):
        raise TypeError("a field of a guest is no text")
    signs = (entry.due, entry.parked, entry.left, entry.restarts, entry.bad_image, entry.autostart, entry.missed)
    if not all(isinstance(cast("object", sign), bool) for sign in signs):
        raise TypeError("a field of a guest is neither true nor false")
    if entry.cause not in get_args(Cause) or datetime.fromisoformat(entry.since).tzinfo is None:
        raise ValueError("a field of a guest says nothing that is known")
    return entry


def uris_of(given: object) -> tuple[str, ...]:
    """Read a list of URIs; raises TypeError where it is none."""
    if not isinstance(given, list) or not all(isinstance(uri, str) and uri for uri in cast("list[object]", given)):
        raise TypeError("what is to be a list of URIs is none")
    return tuple(cast("list[str]", given))
