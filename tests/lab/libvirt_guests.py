"""Debian's own libvirt-guests.sh, its paths redirected into a folder, for comparison."""

import re
import resource
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PARALLEL = {"ON_SHUTDOWN": "shutdown", "PARALLEL_SHUTDOWN": "10", "SHUTDOWN_TIMEOUT": "300"}
SCRIPT = Path("/usr/lib/libvirt/libvirt-guests.sh")


@dataclass(frozen=True)
class Measured:
    """What a command took: wall and CPU seconds (children included), and peak memory of one process in KiB."""

    seconds: float
    cpu: float
    peak: int
    output: str


class LibvirtGuests:
    """The script with settings of our own."""

    def __init__(self, folder: Path, uri: str, *, settings: Mapping[str, str] = PARALLEL) -> None:
        for name in ("etc/default", "var/lib/libvirt", "var/lock"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        lines = [f"{name}='{value}'" for name, value in {"URIS": uri, **settings}.items()]
        (folder / "etc/default/libvirt-guests").write_text("\n".join(lines))
        text = SCRIPT.read_text()
        for name, path in (("sysconfdir", folder / "etc"), ("localstatedir", folder / "var")):
            text = re.sub(rf"^{name}=.*$", f'{name}="{path}"', text, flags=re.MULTILINE)
        self._script = folder / "libvirt-guests.sh"
        self._script.write_text(text)

    def stop(self, *, check: bool = True) -> Measured:
        """Stop all guests; `check`: raise where something went wrong."""
        return measure(["bash", str(self._script), "stop"], check=check)

    def start(self, *, check: bool = True) -> Measured:
        """Start those that were running."""
        return measure(["bash", str(self._script), "start"], check=check)


def measure(command: "list[str]", *, check: bool = True) -> Measured:
    """Run a command and measure it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(
        ["/usr/bin/time", "-f", "%M", *command], capture_output=True, text=True, check=False, timeout=240
    )
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    *said, peak = done.stderr.strip().splitlines()
    if done.returncode and check:
        raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stdout}\n" + "\n".join(said))
    return Measured(seconds, cpu, int(peak), done.stdout)
