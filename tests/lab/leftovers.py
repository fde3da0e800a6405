"""What is left of a lab on this machine."""

from pathlib import Path

from lab.patience import wait_until


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


def wait_until_nothing_is_left(folder: str) -> None:
    """Raise AssertionError where something stays."""
    wait_until(lambda: not leftovers(folder), f"nothing of {folder} is left", output=lambda: str(leftovers(folder)))
