"""A guest's way to another host: who takes it, when its memory may follow it, and what keeps it here."""

import math
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from lastcall import CallExpired, Guest
from lastcall.hypervisor.moving.far_host import FarHost
from lastcall.hypervisor.moving.guest_move import GuestMove, MoveWish
from lastcall.hypervisor.moving.immovable import immovable
from lastcall.hypervisor.moving.moves import Moves

GUEST = Guest(uri="qemu:///system", uuid="8d0d5e3e-0b5c-4b0e-9d4e-0a4f0f6f2d55", name="web")
OTHER = Guest(uri="qemu:///system", uuid="b5b4b4a2-6d55-4f0c-8d3b-0a2b9a4e7c11", name="db")
HB = "qemu+tls://hb/system"
MOUNTS = "/dev/sda1 / ext4 rw 0 0\nnas:/vms /srv/vms nfs4 rw 0 0\n/dev/rbd0 /srv/two\\040words gfs2 rw 0 0\n"
DISK = """<domain><devices><disk type='{kind}'><driver cache='{cache}'/><source {source}/><target dev='vda'/>{more}
</disk></devices></domain>"""


class Time:
    """A call with these seconds, and these until the last resort."""

    def __init__(self, left: float = 600.0, last_resort: float = math.inf) -> None:
        self.left, self.last_resort = left, last_resort

    def remaining(self) -> float:
        if self.left <= 0:
            raise CallExpired("over")
        return self.left

    def to_last_resort(self) -> float:
        return self.last_resort


class Domain:
    """A domain that travels until its memory follows it, or somebody lets it arrive."""

    def __init__(self) -> None:
        self.arrives, self.said = threading.Event(), list[str]()

    def info(self) -> tuple[int, int]:
        return 1, 1 << 20

    def isPersistent(self) -> bool:  # noqa: N802
        return True

    def migrate3(self, _there: object, _parameters: object, flags: int) -> None:
        self.said.append(f"migrate {flags:#x}")
        assert self.arrives.wait(30)

    def migrateStartPostCopy(self, _flags: int) -> None:  # noqa: N802
        self.said.append("post-copy")
        self.arrives.set()


class Host:
    """A connection to this host, whose lanes are all free."""

    def __init__(self, domain: Domain) -> None:
        self.host, self.lanes, self._domain = "ha", self, domain

    @contextmanager
    def borrow(self, _need: str, _uuid: str, *, timeout: float) -> Generator["Host"]:
        yield self

    @property
    def connection(self) -> Any:
        return self

    def lookupByUUIDString(self, _uuid: str) -> Domain:  # noqa: N802
        return self._domain


class There:
    """A connection to another host, with this many bytes of free memory."""

    def __init__(self, free: int = 8 << 30, name: str = "hb") -> None:
        self._free, self._name = free, name

    def getType(self) -> str:  # noqa: N802
        return "QEMU"

    def getHostname(self) -> str:  # noqa: N802
        return self._name

    def getMemoryStats(self, _cells: int) -> dict[str, int]:  # noqa: N802
        return {"total": 1 << 40, "free": self._free >> 11, "buffers": 0, "cached": self._free >> 11}

    def close(self) -> None:
        pass


def going(domain: Domain, call: Time, wish: MoveWish, moves: Moves | None = None) -> Callable[[], str]:
    host, there = Host(domain), There()
    move = GuestMove(host, GUEST, call, moves or Moves(0), None)  # pyright: ignore[reportArgumentType]
    far = FarHost(HB, there)  # pyright: ignore[reportArgumentType]

    def go() -> str:
        move._go(far, wish)  # pyright: ignore[reportPrivateUsage]
        return HB

    return go


@pytest.mark.parametrize(("last_resort", "follows"), [(math.inf, True), (30.0, True), (29.0, False)])
def test_memory_follows_from_half_of_the_time_on_but_not_near_the_last_resort(
    last_resort: float, follows: bool
) -> None:
    domain = Domain()
    threading.Timer(3.0, domain.arrives.set).start()
    going(domain, Time(last_resort=last_resort), MoveWish(converge="postcopy", timeout=2.0))()
    assert ("post-copy" in domain.said) is follows


def test_memory_does_not_follow_where_nobody_has_said_so() -> None:
    domain = Domain()
    threading.Timer(1.5, domain.arrives.set).start()
    going(domain, Time(), MoveWish(timeout=1.0))()
    assert "post-copy" not in domain.said


def test_one_that_was_given_up_is_not_sent_after_its_memory_and_keeps_its_place_until_it_is_over() -> None:
    domain, call, moves = Domain(), Time(), Moves(1)
    moves.take(HB, GUEST.key, 1, call.remaining)
    threading.Timer(0.3, lambda: setattr(call, "left", 0.0)).start()
    with pytest.raises(CallExpired):
        going(domain, call, MoveWish(converge="postcopy", timeout=0.1), moves)()
    waits = Time()
    threading.Timer(0.3, lambda: setattr(waits, "left", 0.0)).start()
    with pytest.raises(CallExpired):
        moves.take(HB, OTHER.key, 1, waits.remaining)
    domain.arrives.set()
    moves.take(HB, OTHER.key, 1, Time().remaining)
    assert "post-copy" not in domain.said


def test_a_host_has_the_memory_that_nobody_was_promised_who_is_on_the_way() -> None:
    moves = Moves(0)
    moves.take(HB, GUEST.key, 1 << 30, Time().remaining)
    moves.take(HB, OTHER.key, 6 << 30, Time().remaining)
    move: Any = GuestMove(Host(Domain()), GUEST, Time(), moves, None)  # pyright: ignore[reportArgumentType]
    there: Any = There(free=8 << 30)
    assert move._why_not(FarHost(HB, there), 2 << 30) == ""
    assert "2048 MiB of memory left" in move._why_not(FarHost(HB, there), 3 << 30)
    same: Any = There(name="ha")
    assert "is this host" in move._why_not(FarHost(HB, same), 1)


@pytest.mark.parametrize(
    ("kind", "source", "cache", "more", "why"),
    [
        ("file", "file='/srv/vms/web.img'", "none", "", ""),
        ("file", "file='/srv/vms/web.img'", "writeback", "", "is cached here"),
        ("file", "file='/srv/vms/../web.img'", "none", "", "this host alone, as far as libvirt can tell (ext4)"),
        ("file", "file='/srv/vms2/web.img'", "none", "", "(ext4)"),
        ("file", "file='/srv/two words/web.img'", "writeback", "", ""),
        ("file", "file='/var/web.iso'", "none", "<readonly/>", ""),
        ("block", "dev='/dev/vg/web'", "none", "", ""),
        ("block", "dev='/dev/vg/web'", "writeback", "", "is cached here"),
        ("network", "protocol='rbd' name='vms/web'", "writeback", "", ""),
    ],
)
def test_a_disk_keeps_a_guest_here_where_libvirt_would_call_it_unsafe(
    kind: str, source: str, cache: str, more: str, why: str
) -> None:
    tree = ET.fromstring(DISK.format(kind=kind, source=source, cache=cache, more=more))  # noqa: S314  our own
    found = immovable(tree, "shared", MOUNTS)
    assert (why in found) if why else (found == "")
    assert immovable(tree, "copy", MOUNTS) == immovable(tree, "unsafe", MOUNTS) == ""
    assert immovable(tree, "shared", None) == "", "of another host's disks nobody can tell"


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("<hostdev mode='subsystem' type='usb'/>", "a host device"),
        ("<interface type='hostdev'/>", "a host device"),
        ("<filesystem type='mount'><driver type='virtiofs'/></filesystem>", "a file system of its host"),
        ("<filesystem type='mount'/>", "a file system of its host"),
        ("<shmem name='shared'/>", "a shared memory device"),
    ],
)
def test_what_belongs_to_a_host_keeps_its_guest_there(device: str, why: str) -> None:
    tree = ET.fromstring(f"<domain><devices>{device}</devices></domain>")  # noqa: S314  our own
    assert why in immovable(tree, "unsafe", MOUNTS)
