"""An SSH server on loopback, for connections to a daemon over the network."""

import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lab.daemon import Daemon

# dropbear, as its package starts no service; it finds authorized keys in root's home only, so that is another one here.
_SERVER = """\
mount --bind {home} /root
exec {dropbear} -F -E -s -r {folder}/host -p 127.0.0.1:{port} -P {folder}/pid
"""


@contextmanager
def ssh_uri(lab: Daemon, folder: Path, driver: str = "qemu", path: str = "system") -> Generator[str]:
    """The URI of this lab's daemon as somebody elsewhere would write it."""
    port, home = _free_port(), folder / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "user")], check=True)
    (folder / "user.pub").rename(home / ".ssh" / "authorized_keys")
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", str(folder / "host")], check=True, capture_output=True)
    script = _SERVER.format(
        home=home, dropbear=shutil.which("dropbear") or "/usr/sbin/dropbear", folder=folder, port=port
    )
    with (folder / "ssh.log").open("wb") as log:
        server = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-e", "-c", script]
        process = subprocess.Popen(server, stderr=log)
    try:
        _wait(port, folder)
        netcat = f"proxy=netcat&netcat={_netcat(folder)}"
        options = f"keyfile={folder}/user&no_verify=1&no_tty=1&socket={lab.socket}&{netcat}"
        yield f"{driver}+ssh://root@127.0.0.1:{port}/{path}?{options}"
    finally:
        process.kill()
        process.wait()


def _netcat(folder: Path) -> Path:
    """What libvirt runs at the other end; busybox cannot speak to a socket, so this does."""
    program = folder / "netcat"
    program.write_text(
        "#!/usr/bin/python3\n"
        "import os, select, socket, sys\n"
        "peer = socket.socket(socket.AF_UNIX); peer.connect(sys.argv[-1])\n"
        "while True:\n"
        "    for one in select.select([0, peer], [], [])[0]:\n"
        "        data = os.read(0, 65536) if one == 0 else peer.recv(65536)\n"
        "        if not data: sys.exit()\n"
        "        (peer.sendall if one == 0 else lambda d: os.write(1, d))(data)\n"
    )
    program.chmod(0o755)
    return program


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, folder: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"it does not listen: {(folder / 'ssh.log').read_text()}")
