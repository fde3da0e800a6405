"""What keeps a guest from being moved to another host, by its XML and by what libvirt would refuse.

A device that cannot be saved cannot be moved either: both write its state into one stream.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from lastcall.api.run import DiskMove
from lastcall.formats.reading import read_text
from lastcall.hypervisor.stopping.save_blockers import unsaveable

# As libvirt has them (virFileIsSharedFSType): on any other a disk is taken for one that the other host does not see.
_SHARED = frozenset({
    "nfs", "nfs4", "cifs", "smb2", "smb3", "gfs", "gfs2", "ocfs2", "afs", "ceph", "gpfs", "lustre", "beegfs", "acfs",
    "fuse.glusterfs", "fuse.quobyte", "fuse.ceph", "fuse.gpfs", "fuse.mfs", "fuse.moosefs",
})  # fmt: skip
_CLUSTERED = frozenset({"gfs2", "ocfs2", "ceph"})  # these keep the page caches of hosts in step
_MOUNTS = 1 << 20  # bytes; of a host with a thousand containers it has some hundred thousand
_UNCACHED = frozenset({"none", "directsync"})


def immovable(tree: ET.Element, disks: DiskMove, mounts: str | None) -> str:
    """Say why a guest cannot be moved, or nothing. `mounts`: `/proc/self/mounts` of its host, None where it is not ours
    to read."""
    if tree.find("./devices/hostdev") is not None or tree.find("./devices/interface[@type='hostdev']") is not None:
        return "it has a host device"
    if tree.find("./devices/filesystem") is not None:
        return "it has a file system of its host"
    why = unsaveable(tree)
    if why or disks != "shared" or mounts is None:
        return why
    return next(_unshared(tree, mounts), "")


def _unshared(tree: ET.Element, mounts: str) -> Iterator[str]:
    """Disks with which libvirt refuses a migration as unsafe (error 81): their last writes could be missing there."""
    for disk in tree.iterfind("./devices/disk"):
        source, target = disk.find("source"), disk.find("target")
        if source is None or disk.find("readonly") is not None or disk.get("type") not in {"file", "block"}:
            continue
        name = "" if target is None else target.get("dev", "")
        kind = _file_system(source.get("file", ""), mounts) if disk.get("type") == "file" else ""
        driver = disk.find("driver")
        cache = "" if driver is None else driver.get("cache", "")
        if kind and kind not in _SHARED:
            yield f"its disk {name} is on this host alone, as far as libvirt can tell ({kind})"
        elif kind not in _CLUSTERED and cache not in _UNCACHED:
            yield f"its disk {name} is cached here, where cache='none' is needed"


def _file_system(path: str, mounts: str) -> str:
    """The kind of file system that a path is on; empty where that is not known. Nothing here touches the path itself:
    that of a server which is gone does not answer."""
    best, kind = "", ""
    wanted = os.path.normpath(path) if path.startswith("/") else ""
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) < 3 or not wanted:
            continue
        point = words[1].replace("\\040", " ").rstrip("/")
        if (wanted == point or wanted.startswith(f"{point}/")) and len(point) >= len(best):
            best, kind = point, words[2]
    return kind


def own_mounts() -> str:
    """What is mounted on this host."""
    return read_text(Path("/proc/self/mounts"), _MOUNTS)
