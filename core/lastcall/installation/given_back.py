"""Guests that wait to be brought back, given to libvirt-guests: those alone that it may start."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from lastcall.config.settings import DEFAULT_URI
from lastcall.formats.bounded_text import first_names
from lastcall.formats.reading import read_text
from lastcall.imports import libvirt_guests
from lastcall.installation.steps import InstallStep
from lastcall.installation.takeover import LIST, boot_before
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.fleet.maintenance import Maintenance, MaintenanceFile
from lastcall.persistence.state import StateFile, open_state
from lastcall.persistence.waiting.entry import Entry

_DEFAULT = "default"
_FEW = 10  # names in a line


def give_list_back_steps(folder: Path, root: Path) -> Iterator[InstallStep]:
    """Write its list, and say who stays on ours, and why. `folder`: where ours is kept."""
    state, maintenance = open_state(folder), MaintenanceFile(folder).read()
    path, uris = root / LIST, _its_uris(root)
    stay: dict[str, list[str]] = {}
    given: list[Entry] = []
    for entry in state.entries.values():
        why = f"waits, as there is a {path}" if path.exists() else _why_not(entry, state, maintenance, uris)
        if why:
            stay.setdefault(why, []).append(entry.name)
        else:
            given.append(entry)
    if given:
        text = as_list(given)
        guests = "1 waiting guest" if len(given) == 1 else f"{len(given)} waiting guests"
        yield InstallStep(f"write {guests} to {path}", lambda: path.write_text(text))
    for why, names in stay.items():
        yield InstallStep(f"leave on our list who {why}: {first_names(names, _FEW)}", lambda: None)


def as_list(entries: Iterable[Entry]) -> str:
    """Entries as libvirt-guests keeps them. It knows a connection by what URIS calls it, passes over the others, and
    forgets the list then: one that has two names has a line for each, of which the second finds its guests running.
    """
    by_uri: dict[str, list[str]] = {}
    for entry in entries:
        for name in _names(entry.uri):
            by_uri.setdefault(name, []).append(entry.uuid)
    return "".join(f"{uri} {' '.join(uuids)}\n" for uri, uuids in by_uri.items())


def _why_not(entry: Entry, state: StateFile, maintenance: Maintenance | None, uris: Collection[str] | None) -> str:
    """Why libvirt-guests is not to start it; else nothing."""
    # It starts whoever is listed: a guest whom our next boot would have left alone may run elsewhere by then.
    if entry.where:
        return "may run on another host"
    if maintenance and maintenance.concerns(entry):
        return "stays off while this host is in maintenance"
    if entry.parked:
        return "could not be started"
    if not entry.due or not (entry.boot_id == boot_id() or entry.is_due_from(boot_before(state))):
        return "was stopped by hand, or in an earlier boot"
    if uris is not None and not any(name in uris for name in _names(entry.uri)):
        return f"is on {entry.uri}, which URIS of libvirt-guests has not"
    return ""


def _its_uris(root: Path) -> set[str] | None:
    """The connections that libvirt-guests looks at; None where only a shell could tell."""
    file = libvirt_guests.find_file(root)
    try:
        text = read_text(file, libvirt_guests.LARGEST, errors="replace") if file else ""
        found = libvirt_guests.read_settings(text, libvirt_guests.distribution_defaults(root))
    except OSError:
        return None
    return None if found.unread else set(found.meaning.uris)


def _names(uri: str) -> tuple[str, ...]:
    return (_DEFAULT, DEFAULT_URI) if uri in {_DEFAULT, DEFAULT_URI} else (uri,)
