"""SSH servers on loopback (dropbear, whose package starts no service), as guests would have them."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.patience import wait_until

# dropbear finds authorized keys in root's home only, so that is another one here.
_SERVER = """\
mount --bind {home} /root
exec {dropbear} -F -E -s -r {folder}/host -p 127.0.0.1:{port} -P {folder}/pid
"""


@dataclass(frozen=True, slots=True)
class SshServer:
    """A server: its port, its public host key, the private key that it accepts for root, and its process."""

    port: int
    host_key: str
    key: Path
    process: "subprocess.Popen[bytes]"


def make_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    """A fresh key pair."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    return path


@contextmanager
def ssh_server(folder: Path, key: Path | None = None) -> Generator[SshServer]:
    """Start one in this (new) folder; it accepts `key`, or a key of its own."""
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    key = key or make_key(folder / "user")
    shutil.copy(f"{key}.pub", home / ".ssh" / "authorized_keys")
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", str(folder / "host")], check=True, capture_output=True)
    shown = subprocess.run(
        ["dropbearkey", "-y", "-f", str(folder / "host")], check=True, capture_output=True, text=True
    )
    port = free_port()
    dropbear = shutil.which("dropbear") or "/usr/sbin/dropbear"
    script = _SERVER.format(home=home, dropbear=dropbear, folder=folder, port=port)
    with (folder / "ssh.log").open("wb") as log:
        server = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-e", "-c", script]
        process = subprocess.Popen(server, stderr=log)
    world: Path | None = None
    try:
        wait_until(lambda: _listens(port), "sshd listens", process=process.pid, output=(folder / "ssh.log").read_text)
        world = _world(process.pid)
        yield SshServer(port, shown.stdout, key, process)
    finally:
        process.kill()
        for inhabitant in _inhabitants(world):  # the sessions, and what they have started
            with contextlib.suppress(ProcessLookupError):
                os.kill(inhabitant, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _world(process: int) -> Path | None:
    """Its mount namespace; None where it has ended, or is in ours."""
    try:
        world = Path(f"/proc/{process}/ns/mnt").readlink()
    except OSError:
        return None
    return None if world == Path("/proc/self/ns/mnt").readlink() else world


def _inhabitants(world: Path | None) -> list[int]:
    """The processes in a server's mount namespace."""
    everybody = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [process for process in everybody if world and _world(process) == world]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
