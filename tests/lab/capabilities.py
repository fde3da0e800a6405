"""What a libvirtd finds out about QEMU before it answers: kept, as it takes a processor a second, and each lab is new.

libvirt looks by itself whether it is still true.
"""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lab.cache import CACHE, made_once

_PROGRAMS = ("qemu-system-x86_64", "libvirtd")


@contextmanager
def known_capabilities(folder: Path) -> Generator[None]:
    """Put them into the `/var/cache/libvirt` of a libvirtd that is about to start, and keep what is found first."""
    changed = (str(Path(found).stat().st_ctime_ns) for found in map(shutil.which, _PROGRAMS) if found)
    name = f"capabilities-{'-'.join(changed)}"

    def keep(made: Path) -> None:
        shutil.copytree(folder, made, dirs_exist_ok=True)

    if (CACHE / name).exists():
        shutil.copytree(CACHE / name, folder, dirs_exist_ok=True)
    yield
    if any(folder.rglob("*.xml")):
        made_once(name, keep)
