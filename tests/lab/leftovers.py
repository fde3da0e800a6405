"""What is left of a lab on this machine."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.patience import LONGEST, wait_until
from support import AWAKE


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


@contextmanager
def ended_in_the_middle(program: str, number: signal.Signals) -> Generator[Sequence[str]]:
    """Run a Python program that makes a lab, yield the words of its first line, end it by a signal and see what stays.

    Of the words that are paths nothing may be left; their folders only where nobody could remove them any more.
    """
    process = subprocess.Popen(
        [*AWAKE, sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    words = process.stdout.readline().split()
    folders = [word for word in words if word.startswith("/")]
    assert folders, "it did not get that far"
    try:
        yield words
    finally:
        process.send_signal(number)
        process.wait(LONGEST)
        process.stdout.close()
    for folder in folders:
        wait_until_nothing_is_left(folder)
        assert number is not signal.SIGINT or not Path(folder).exists()
        shutil.rmtree(folder, ignore_errors=True)
