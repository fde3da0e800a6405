"""What is left of a lab on this machine."""

import time
from pathlib import Path


def leftovers(folder: str) -> list[str]:
    """The command lines and mounts that name the lab's folder."""
    found = [line for line in Path("/proc/mounts").read_text().splitlines() if folder in line]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [line] if folder in line else []
    return found


def wait_until_nothing_is_left(folder: str, seconds: float = 30) -> None:
    """Raise AssertionError where something still is after that time."""
    until = time.monotonic() + seconds
    while leftovers(folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert leftovers(folder) == []
