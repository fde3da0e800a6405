"""A private libvirtd in namespaces of its own: nothing of it outlives the process that made it, however that ends.

It sees its own /etc/libvirt, /var/lib/libvirt and /run/libvirt (bind mounts), has no network but its own loopback, and
is process 1's child in its own PID namespace, so that the kernel ends libvirtd and every QEMU together with the lab.
"""

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.capabilities import known_capabilities
from lab.leftovers import leftovers
from lab.patience import LONGEST, wait_until
from lab.processes import qemu_of

_PRIVATE = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run/libvirt")
_NOBODY = 65534
_PREFIX = "lastcall-lab-"
_YOUNG = 60.0  # seconds in which a folder may have been made and not be held yet
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
_LISTENING = """\
listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
host_uuid = "{uuid}"
"""
# The cable is plugged in from outside, as soon as there is something to plug it into. What `qemu:///system` means there
# is for whoever runs a program on that host.
_JOINING = """\
hostname {name}
mount --bind {folder}/hosts /etc/hosts
until ip link show eth0 > /dev/null 2>&1; do sleep 0.05; done
ip address add {address}/24 dev eth0
ip link set eth0 up
mkdir -p /run/libvirt
ln -s {folder}/sockets/libvirt-sock {folder}/sockets/libvirt-sock-ro /run/libvirt
"""
_INIT = """\
set -e
{mounts}
{cgroups}
mkdir -p /run/libvirt
ip link set lo up
{joining}
while :; do
    {program} >> {folder}/libvirtd.log 2>&1 &
    echo $! > {folder}/inner.pid
    wait $! || :
    while [ -e {folder}/hold ]; do sleep 0.05; done
done
"""


# Containers need cgroups that libvirt can see whole. Where the kernel has them of the first kind it looks for a second
# kind beside them, which a host may have hidden.
_CGROUPS = """\
if ! [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    umount -R -l /sys/fs/cgroup
    mount -t tmpfs -o mode=755 lastcall-lab /sys/fs/cgroup
    for one in cpu cpuacct cpuset memory devices freezer blkio; do
        mkdir /sys/fs/cgroup/$one
        mount -t cgroup -o $one cgroup /sys/fs/cgroup/$one || rmdir /sys/fs/cgroup/$one
    done
fi
"""


@dataclass(frozen=True, slots=True)
class OnNetwork:
    """How a libvirtd is to be reached by others: its host's name, address and UUID, what is in its /etc/hosts, and who
    plugs the cable into a network namespace (a process id).
    """

    name: str
    address: str
    uuid: str
    hosts: str
    plug_in: Callable[[int], None]


class Daemon:
    """One libvirtd. `qemu`, `lxc` and `test` are its URIs."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]", *, session: bool = False) -> None:
        self.folder = folder
        self.process = process
        socket = folder / "sockets" / "libvirt-sock"
        self.qemu = f"qemu+unix:///{'session' if session else 'system'}?socket={socket}"
        self.lxc = f"lxc+unix:///system?socket={socket}"
        self.test = f"test+unix:///default?socket={socket}"
        self.read_only = f"test+unix:///default?socket={socket}-ro"

    @property
    def socket(self) -> Path:
        """Its socket."""
        return self.folder / "sockets" / "libvirt-sock"

    def wait(self) -> None:
        """Wait until it answers."""
        wait_until(self._answers, "libvirtd answers", process=self.process.pid, output=self._logs)

    def _answers(self) -> bool:
        command = ["virsh", "-c", self.qemu, "version"]
        try:
            return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
        except subprocess.TimeoutExpired:  # a daemon that is killed while it is asked
            return False

    def _logs(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def console(self, guest: str) -> str:
        """What a guest said on its console since it was started; empty where it has none."""
        path = self.folder / f"{guest}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def qemu_of(self, guest: str) -> int | None:
        """The process id of a guest's QEMU, as seen from here; None where it does not run."""
        return qemu_of(self.process.pid, guest)

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
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=LONGEST).stdout

    def agent(self, name: str, path: str, *arguments: str) -> None:
        """Have a guest's agent start a program, as soon as the agent answers."""

        def answers() -> bool:
            try:
                self.virsh("qemu-agent-command", name, '{"execute": "guest-ping"}')
            except subprocess.CalledProcessError:
                return False
            return True

        wait_until(answers, f"the agent of {name} answers", process=self.qemu_of(name))
        command = {"execute": "guest-exec", "arguments": {"path": path, "arg": list(arguments)}}
        self.virsh("qemu-agent-command", name, json.dumps(command))


@contextmanager
def daemon(*, session: bool = False, language: str = "en", network: OnNetwork | None = None) -> Generator[Daemon]:
    """Start a libvirtd and end it with everything it runs. `session`: as a user without rights.

    `network`: others reach it, see `lab.neighbours`.
    """
    _sweep_up()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    folder.chmod(0o755)
    groups, held = set(_machine_groups()), os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        _make_folders(folder)
        with known_capabilities(folder / _under("/var/cache/libvirt")):
            process = _start(folder, session=session, language=language, network=network)
            try:
                if network:
                    _wait_for_namespace(process.pid)
                    network.plug_in(process.pid)
                lab = Daemon(folder, process, session=session)
                lab.wait()
                yield lab
            finally:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)
        for group in set(_machine_groups()) - groups:  # containers leave theirs, empty
            _remove_groups(group)


def _sweep_up() -> None:
    """Remove the folders of labs whose process was killed: nobody holds them any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or removed already
            if time.time() - folder.stat().st_mtime > _YOUNG and not leftovers(str(folder)):
                held = os.open(folder, os.O_RDONLY)
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(held)


def _machine_groups() -> list[Path]:
    # Not by a glob, which fails where a container's group goes meanwhile.
    return [Path(folder, "machine") for folder, below, _ in os.walk("/sys/fs/cgroup") if "machine" in below]


def _remove_groups(group: Path) -> None:
    for below, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):  # somebody else's, or removed already
            Path(below).rmdir()


def _make_folders(folder: Path) -> None:
    for name in ("sockets", *(_under(path) for path in _PRIVATE)):
        (folder / name).mkdir(parents=True)
    (folder / "sockets").chmod(0o755)


def _wait_for_namespace(pid: int) -> None:
    """Wait until a process has a network of its own: a moment too early, its cable would be plugged into ours."""
    ours, its = Path("/proc/self/ns/net").readlink(), Path(f"/proc/{pid}/ns/net")
    wait_until(lambda: its.readlink() != ours, "the lab has a network of its own", pause=0.01)


def _start(folder: Path, *, session: bool, language: str, network: OnNetwork | None) -> "subprocess.Popen[bytes]":
    conf = folder / "libvirtd.conf"
    listening, joining = "", ""
    if network:
        (folder / "hosts").write_text(network.hosts)
        listening = _LISTENING.format(address=network.address, uuid=network.uuid)
        joining = _JOINING.format(name=network.name, address=network.address, folder=shlex.quote(str(folder)))
    conf.write_text(_LIBVIRTD_CONF.format(sockets=folder / "sockets") + listening)
    (folder / _under("/etc/libvirt") / "qemu.conf").write_text(_QEMU_CONF)
    mounts = "\n".join(f"mkdir -p {path}; mount --bind {folder / _under(path)} {path}" for path in _PRIVATE)
    pid_file = folder / "sockets" / "libvirtd.pid"
    program = f"libvirtd {'--listen ' if network else ''}--config {shlex.quote(str(conf))} --pid-file {pid_file}"
    if session:
        home = folder / "sockets"
        os.chown(home, _NOBODY, _NOBODY)
        user = f"setpriv --reuid={_NOBODY} --regid={_NOBODY} --clear-groups env HOME={home} XDG_RUNTIME_DIR={home}"
        program = f"{user} XDG_CONFIG_HOME={home} XDG_CACHE_HOME={home} {program}"
        conf.write_text(_LIBVIRTD_CONF.format(sockets=home))
    init = _INIT.format(
        mounts=mounts, cgroups=_CGROUPS, joining=joining, program=program, folder=shlex.quote(str(folder))
    )
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
        *(["--uts"] if network else []),
    ]
    with (folder / "init.log").open("wb") as log:
        command = ["env", "LC_ALL=C.UTF-8", f"LANGUAGE={language}", *words, "sh", "-c", init]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, start_new_session=True)


def _under(path: str) -> str:
    return path.strip("/").replace("/", "-")
