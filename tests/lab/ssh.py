"""A daemon as somebody elsewhere would reach it: over SSH."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lab.daemon import Daemon
from lab.sshd import ssh_server


@contextmanager
def ssh_uri(lab: Daemon, folder: Path, driver: str = "qemu", path: str = "system") -> Generator[str]:
    """The URI of this lab's daemon as somebody elsewhere would write it."""
    with ssh_server(folder / "server") as server:
        netcat = f"proxy=netcat&netcat={_netcat(folder)}"
        options = f"keyfile={server.key}&no_verify=1&no_tty=1&socket={lab.socket}&{netcat}"
        yield f"{driver}+ssh://root@127.0.0.1:{server.port}/{path}?{options}"


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
