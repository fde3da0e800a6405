"""The configuration that a host gets with the installation: what libvirt-guests was told, or one to start from."""

from collections.abc import Sequence
from pathlib import Path

from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.imports import libvirt_guests
from lastcall.installation.sample import SAMPLE


@value
class FirstConfiguration:
    """Its text; `notes`: what there is to know of it; `lost`: what of the settings that it replaces it cannot keep."""

    text: str
    notes: Sequence[str] = ()
    lost: Sequence[str] = ()


def first_configuration(root: Path, *, takes_over: bool) -> FirstConfiguration:
    """For this host; `takes_over`: libvirt-guests is on duty there. Raises OSError."""
    theirs = libvirt_guests.find_file(root)
    if not takes_over or theirs is None:
        return FirstConfiguration(SAMPLE)
    text = read_text(theirs, libvirt_guests.LARGEST, errors="replace")
    found = libvirt_guests.read_settings(text, libvirt_guests.distribution_defaults(root))
    # Some distributions enable libvirt-guests unasked: what nobody has set nobody has chosen.
    if not found.given and not found.unread:
        return FirstConfiguration(SAMPLE)
    return FirstConfiguration(libvirt_guests.as_yaml(found, str(theirs)), found.notes, found.told(theirs))
