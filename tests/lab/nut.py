"""NUT as Debian has it, in a folder of its own: a driver whose UPS is a file, and the server before it."""

import os
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab.patience import wait_until

_PROGRAMS = Path("/lib/nut")  # those in /sbin ask /etc/nut whether they are wanted


class NutServer:
    """A UPS called `rack` on loopback. What it says is what `says` has written last; the driver looks every second."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        self.environment = {f"NUT_{name}": str(folder) for name in ("CONFPATH", "STATEPATH", "ALTPIDPATH")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._second = 0
        folder.chmod(0o755)
        driver = "driver = dummy-ups\nport = rack.dev\nmode = dummy-once\n"
        (folder / "ups.conf").write_text(f"pollinterval = 1\n[rack]\n{driver}")
        (folder / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {self.port}\nMAXAGE 3\n")
        (folder / "upsd.users").write_text("[mon]\npassword = pass\nactions = SET\ninstcmds = ALL\nupsmon primary\n")
        for name in ("upsd.conf", "upsd.users"):
            (folder / name).chmod(0o640)

    @property
    def address(self) -> str:
        """Where the UPS is found, as NUT writes it."""
        return f"rack@127.0.0.1:{self.port}"

    def says(self, **values: str) -> None:
        """Have the UPS say this from now on: names with `_` instead of dots."""
        text = "".join(f"{name.replace('_', '.')}: {value}\n" for name, value in values.items())
        fresh = self.folder / "rack.new"
        fresh.write_text(text)
        # The driver reads it anew when it is of another second: of two within one it would never see the later.
        self._second = max(self._second + 1, int(time.time()))
        os.utime(fresh, (self._second, self._second))
        fresh.replace(self.folder / "rack.dev")

    def variables(self) -> Mapping[str, str]:
        """What NUT's own client gets from the server; nothing where it gets nothing."""
        told = subprocess.run(["upsc", self.address], capture_output=True, text=True, timeout=30)
        return dict(line.split(": ", 1) for line in told.stdout.splitlines() if ": " in line)

    def wait_for(self, **values: str) -> None:
        """Say it, and wait until the server does."""
        self.says(**values)
        wanted = {name.replace("_", "."): value for name, value in values.items()}
        wait_until(lambda: wanted.items() <= self.variables().items(), f"the UPS says {wanted}")
        time.sleep(0.1)

    def start(self, *programs: str) -> None:
        """Start the driver (`dummy-ups`) or the server (`upsd`)."""
        options = {"dummy-ups": ["-a", "rack"], "upsd": []}
        for name in programs:
            words = [str(_PROGRAMS / name), *options[name], "-u", "root", "-F", "-D"]
            log = (self.folder / f"{name}.log").open("wb")
            environment = {**os.environ, **self.environment}
            self._processes[name] = subprocess.Popen(words, stdout=log, stderr=log, env=environment, cwd=self.folder)
            log.close()

    def kill(self, *programs: str) -> None:
        """End them, as a crash would."""
        for name in programs:
            self._processes[name].kill()
            self._processes.pop(name).wait()

    def end(self) -> None:
        """End everything."""
        self.kill(*self._processes)


@contextmanager
def nut_server(folder: Path) -> Generator[NutServer]:
    """A UPS on the mains, its driver and its server."""
    server = NutServer(folder)
    server.says(ups_status="OL", battery_charge="100", battery_runtime="1200")
    try:
        server.start("dummy-ups", "upsd")
        wait_until(lambda: server.variables().get("ups.status") == "OL", "the UPS is there")
        yield server
    finally:
        server.end()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def upsmon(folder: Path, text: str) -> "subprocess.Popen[bytes]":
    """Start NUT's upsmon with this configuration, in a folder of its own, as one process of root."""
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "upsmon.conf").write_text(f"RUN_AS_USER root\nPOLLFREQ 1\nPOLLFREQALERT 1\nDEADTIME 30\n{text}")
    (folder / "upsmon.conf").chmod(0o640)
    environment = {**os.environ, **{f"NUT_{name}": str(folder) for name in ("CONFPATH", "STATEPATH", "ALTPIDPATH")}}
    # With a /run of its own: two of them take each other for one that runs already, by /run/nut/upsmon.pid.
    script = f"mount -t tmpfs none /run && mkdir /run/nut && exec {_PROGRAMS}/upsmon -p -F -D"
    with (folder / "log").open("wb") as log:
        words = ["unshare", "--mount", "sh", "-c", script]
        return subprocess.Popen(words, stdout=log, stderr=log, env=environment)
