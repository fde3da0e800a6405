"""Whether the disk has room for the memory of the guests that are to be saved."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from lastcall.api.guests import Guest, GuestState, Key
from lastcall.config.guest_settings import GuestPolicy
from lastcall.config.policies import Policies
from lastcall.config.policy.management import is_ours
from lastcall.errors import Problem, Severity
from lastcall.hypervisor.ports import PLAIN, GuestFacts
from lastcall.planning.plan import SAVE
from lastcall.threads.box import Box

PATIENCE = 2.0  # seconds for a file system to say how much is free
_SYSTEM = Path("/var/lib/libvirt/qemu/save")  # where libvirt keeps managed saves, which no setting of it changes
_SESSION = Path("libvirt/qemu/save")


def save_folder(uri: str) -> Path | None:
    """Where a connection's guests are saved; None where that is another host, or not known."""
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return {"qemu:///system": _SYSTEM, "qemu:///session": own / _SESSION}.get(uri)


def find_tight_folders(
    policies: Policies,
    guests: Iterable[Guest],
    facts: Mapping[Key, GuestFacts],
    folder_of: Callable[[str], Path | None] = save_folder,
) -> Iterator[Problem]:
    """A warning for each folder with less room than the guests that run now may take."""
    needed: dict[Path, list[int]] = {}
    for guest in guests:
        folder, known = folder_of(guest.uri), facts.get(guest.key, PLAIN)
        if folder and not known.unsaveable and _may_be_saved(guest, policies.of(guest)):
            needed.setdefault(folder, []).append(known.memory)
    for folder, sizes in needed.items():
        free = _free(folder)
        if free is not None and free < sum(sizes):
            count = f"{len(sizes)} guest{'' if len(sizes) == 1 else 's'}"
            message = f"saving {count} takes up to {sum(sizes) >> 20} MiB, and {free >> 20} MiB are free"
            remedy = "make room, or save fewer: a save that does not fit fails, and the next step of the ladder comes"
            yield Problem(what="save", where=str(folder), message=message, remedy=remedy, severity=Severity.WARNING)


def _may_be_saved(guest: Guest, policy: GuestPolicy) -> bool:
    """By any step of its ladder: whether it gets so far, nobody knows beforehand."""
    if not is_ours(policy) or not guest.persistent or guest.state is GuestState.OFF:
        return False
    steps = [step.chosen[0] for step in (*policy.stop, *policy.last_resort)]
    return SAVE in steps or (guest.state is GuestState.PAUSED and policy.paused == SAVE)


def _free(folder: Path) -> int | None:
    """Bytes that are free in a folder, or where it is going to be made; None where the disk does not say."""

    def ask() -> int:
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        return shutil.disk_usage(nearest).free

    try:
        return Box().call(ask, timeout=PATIENCE)
    except (OSError, TimeoutError):
        return None
