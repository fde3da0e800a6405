"""A private libvirtd in namespaces of its own: nothing of it outlives the process that made it, however that ends.

It sees its own /etc/libvirt, /var/lib/libvirt and /run/libvirt (bind mounts), has no network but its own loopback, and
is process 1's child in its own PID namespace, so that the kernel ends libvirtd and every QEMU together with the lab.
"""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_PRIVATE = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run/libvirt")
_LIBVIRTD_CONF = """\
unix_sock_dir = "{sockets}"
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_rw_perms = "0777"
"""
_QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = [ ]
namespaces = [ ]
remember_owner = 0
"""
_INIT = """\
set -e
{mounts}
mkdir -p /run/libvirt
ip link set lo up
while :; do
    libvirtd --config {conf} --pid-file {folder}/libvirtd.pid >> {folder}/libvirtd.log 2>&1 &
    echo $! > {folder}/inner.pid
    wait $! || :
    while [ -e {folder}/hold ]; do sleep 0.05; done
done
"""


class Daemon:
    """One libvirtd. `qemu` and `test` are its URIs."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.folder = folder
        self.process = process
        socket = folder / "sockets" / "libvirt-sock"
        self.qemu = f"qemu+unix:///system?socket={socket}"
        self.test = f"test+unix:///default?socket={socket}"
        self.read_only = f"test+unix:///default?socket={socket}-ro"

    def wait(self, seconds: float = 60) -> None:
        """Wait until it answers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            if subprocess.run(["virsh", "-c", self.qemu, "version"], capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)
        logs = [path.read_text() for path in sorted(self.folder.glob("*.log"))]
        raise RuntimeError(f"libvirtd does not answer:\n{''.join(logs)[-3000:]}")

    def pid(self) -> int:
        """The process id of libvirtd itself, as seen from here."""
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = line.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"libvirtd") and str(self.folder).encode() in b" ".join(words):
                return int(line.parent.name)
        raise RuntimeError("libvirtd is not running")

    def kill(self) -> None:
        """Kill libvirtd (its guests go on) and keep it from being started again until `revive`."""
        (self.folder / "hold").touch()
        os.kill(self.pid(), signal.SIGKILL)

    def revive(self) -> None:
        """Let libvirtd start again, and wait for it."""
        (self.folder / "hold").unlink(missing_ok=True)
        self.wait()

    def virsh(self, *words: str) -> str:
        """Run virsh on the QEMU connection and return what it prints."""
        command = ["virsh", "-q", "-c", self.qemu, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@contextmanager
def daemon() -> Generator[Daemon]:
    """Start a libvirtd and end it with everything it runs."""
    folder = Path(tempfile.mkdtemp(prefix="lastcall-lab-"))
    folder.chmod(0o755)
    try:
        process = _start(folder)
        try:
            lab = Daemon(folder, process)
            lab.wait()
            yield lab
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    for name in ("sockets", *(_under(path) for path in _PRIVATE)):
        (folder / name).mkdir(parents=True)
    (folder / "sockets").chmod(0o755)
    conf = folder / "libvirtd.conf"
    conf.write_text(_LIBVIRTD_CONF.format(sockets=folder / "sockets"))
    (folder / _under("/etc/libvirt") / "qemu.conf").write_text(_QEMU_CONF)
    mounts = "\n".join(f"mkdir -p {path}; mount --bind {folder / _under(path)} {path}" for path in _PRIVATE)
    init = _INIT.format(mounts=mounts, conf=shlex.quote(str(conf)), folder=shlex.quote(str(folder)))
    # pdeathsig: the namespaces' first process is killed with us, even by SIGKILL, and the kernel ends all others.
    words = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    with (folder / "init.log").open("wb") as log:
        command = [*words, "sh", "-c", init]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, start_new_session=True)


def _under(path: str) -> str:
    return path.strip("/").replace("/", "-")
