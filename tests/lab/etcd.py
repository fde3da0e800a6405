"""A real etcd cluster of three members on the loopback device, which can be killed one by one."""

import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from etcd3gw import Etcd3Client, exceptions

from lab.patience import wait_until

_NAMES = ("a", "b", "c")


class Cluster:
    """Its members: where clients reach them, and their processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ports = _free_ports(2 * len(_NAMES))
        self.members: dict[str, str] = dict(zip(_NAMES, (f"127.0.0.1:{port}" for port in ports[::2]), strict=True))
        self._peers: dict[str, str] = dict(
            zip(_NAMES, (f"http://127.0.0.1:{port}" for port in ports[1::2]), strict=True)
        )
        self._processes = dict[str, subprocess.Popen[bytes]]()

    def start(self) -> None:
        """Start all of them, and wait until they have a leader."""
        everybody = ",".join(f"{name}={url}" for name, url in self._peers.items())
        for name in _NAMES:
            client, peer = f"http://{self.members[name]}", self._peers[name]
            with (self._folder / f"{name}.log").open("wb") as log:
                self._processes[name] = subprocess.Popen(
                    [
                        "etcd", "--name", name, "--data-dir", str(self._folder / name), "--initial-cluster", everybody,
                        "--initial-advertise-peer-urls", peer, "--listen-peer-urls", peer,
                        "--advertise-client-urls", client, "--listen-client-urls", client,
                    ],
                    stdout=log, stderr=log,
                )  # fmt: skip
        wait_until(
            lambda: self._answers("a"), "the cluster has a quorum", process=self._processes["a"].pid, output=self._said
        )

    def wait_for(self, key: str) -> None:
        """Wait until there is something under a key."""
        host, _, port = self.members["a"].rpartition(":")
        etcd = Etcd3Client(host, int(port), timeout=5.0)
        process = self._processes["a"].pid
        wait_until(lambda: bool(etcd.get(key)), f"somebody has put {key}", process=process, output=self._said)

    def _answers(self, name: str) -> bool:
        host, _, port = self.members[name].rpartition(":")
        try:
            Etcd3Client(host, int(port), timeout=1.0).put("lab", "1")
        except (exceptions.Etcd3Exception, OSError):
            return False
        return True

    def _said(self) -> str:
        return "\n".join((self._folder / f"{name}.log").read_text()[-2000:] for name in _NAMES)

    def kill(self, name: str) -> None:
        """Take the power from a member."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def end(self) -> None:
        """End those that are left."""
        for name in list(self._processes):
            self.kill(name)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in found]


@contextmanager
def cluster(folder: Path) -> Generator[Cluster]:
    """Three members; nothing of them is left afterwards."""
    assert shutil.which("etcd"), "`make setup` installs etcd-server"
    folder.mkdir()
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.end()
