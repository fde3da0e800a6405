"""Two or three hosts side by side: a private libvirtd each, joined by a switch, that guests can move between.

    with neighbours("ha", "hb") as hosts:
        ha, hb = hosts
        ha.qemu, hb.qemu        # URIs that work from here, by their sockets
        hb.tcp                  # qemu+tcp://10.77.0.2/system: works on these hosts alone
        ha.shared               # a folder that all of them see by the same path
        ha.inside("lastcall", "shutdown")   # the words that run a program on that host
        hb.unplug(), hb.plug_in()           # as if it were switched off: no answer, not even a refusal
        hb.freeze(), hb.thaw()              # its libvirtd answers nothing, and its guests go on
        hb.kill(), hb.revive()              # as any `Daemon`

Each is a `Daemon`, so that all of `lab.guests` works with it. It has a UUID and a name of its own, which the others can
resolve; a native migration sends its data to that name. They listen on TCP without any authentication, on a network
that is there in these namespaces only, and reaches nothing else. All files but those of `/var/lib/libvirt`,
`/etc/libvirt` and the like are the same on all of them; libvirt takes no folder of this machine for shared, so that a
guest with a disk moves with VIR_MIGRATE_UNSAFE, or has its disk below `/var/lib/libvirt` of each and has it copied.
"""

import os
import signal
import subprocess
import uuid
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.daemon import Daemon, OnNetwork, daemon
from lab.patience import wait_until
from lab.processes import family

_NETWORK = "10.77.0"
_SWITCH = """\
ip link set lo up
ip link add hosts type bridge
ip link set hosts up
while :; do sleep 3600; done
"""


class Neighbour(Daemon):
    """One of them. `tcp`: its URI for the others; `shared`: a folder of all of them."""

    def __init__(self, started: Daemon, name: str, address: str, shared: Path) -> None:
        super().__init__(started.folder, started.process)
        self.name, self.shared = name, shared
        self.tcp = f"qemu+tcp://{address}/system"

    def inside(self, *words: str) -> list[str]:
        """What runs these words on that host: in its network, with its files and its processes."""
        first = str(self._init())
        return ["nsenter", "--target", first, "--net", "--mount", "--uts", "--pid", "--", *words]

    def unplug(self) -> None:
        """Pull the cable: nobody is told that there is no way."""
        self._cable("down")

    def plug_in(self) -> None:
        """Put it back."""
        self._cable("up")

    def freeze(self) -> None:
        """Stop its libvirtd, which keeps its connections and answers nothing."""
        os.kill(self.pid(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid(), signal.SIGCONT)

    def _cable(self, how: str) -> None:
        words = ["nsenter", "--target", str(self.process.pid), "--net", "ip", "link", "set", "eth0", how]
        subprocess.run(words, check=True)

    def _init(self) -> int:
        """The first process of its namespaces, which the one that has made these has started."""
        return next(one.pid for one in family(self.process.pid) if one.parent == self.process.pid)


@contextmanager
def neighbours(*names: str) -> Generator[Sequence[Neighbour]]:
    """Start such hosts, and end them with everything that they run."""
    addresses = {name: f"{_NETWORK}.{number}" for number, name in enumerate(names, 1)}
    hosts = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items())
    with ExitStack() as stack:
        switch = stack.enter_context(_switch())
        started = list[Neighbour]()
        for name, address in addresses.items():
            network = OnNetwork(name, address, str(uuid.uuid4()), hosts, _Cable(switch, name))
            lab = stack.enter_context(daemon(network=network))
            shared = started[0].shared if started else lab.folder / "shared"
            shared.mkdir(exist_ok=True)
            started.append(Neighbour(lab, name, address, shared))
        yield started


class _Cable:
    """Joins a network namespace with the switch."""

    def __init__(self, switch: int, name: str) -> None:
        self._switch, self._name = switch, name

    def __call__(self, pid: int) -> None:
        ends = f"ip link add {self._name} type veth peer name eth0 netns {pid}"
        joined = f"{ends} && ip link set {self._name} master hosts up"
        subprocess.run(["nsenter", "--target", str(self._switch), "--net", "sh", "-c", joined], check=True)


@contextmanager
def _switch() -> Generator[int]:
    """A network namespace with a bridge, gone with the process whose id it yields, and that with us."""
    words = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-ec",
        _SWITCH,
    ]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: _has_bridge(process.pid), "there is a switch", process=process.pid, pause=0.01)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _has_bridge(pid: int) -> bool:
    words = ["nsenter", "--target", str(pid), "--net", "ip", "link", "show", "hosts"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0
