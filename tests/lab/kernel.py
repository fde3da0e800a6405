"""Debian's cloud kernel, and an initramfs of busybox that loads the modules that are asked for."""

import hashlib
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.cache import CACHE, made_once

PACKAGE = "linux-image-cloud-amd64"
_LZ4 = bytes.fromhex("02214c18")
START = """\
#!/bin/sh
export PATH=/bin:/sbin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod "$module"; done
"""


def make_kernel(
    made: Path, init: str, modules: Sequence[str], fill: Callable[[Path], None], cache: Path = CACHE
) -> None:
    """Put `vmlinux` and `initramfs` into a folder; `init` is what comes after `START`, `fill` adds files of its own."""
    tree = made_once(f"kernel-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]}", _unpack_kernel, cache)
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    _decompress(kernel, made / "vmlinux")
    with tempfile.TemporaryDirectory(dir=made.parent) as scratch:
        root = Path(scratch)
        for name in ("bin", "sbin", "proc", "sys", "dev", "lib/modules", "tmp"):
            (root / name).mkdir(parents=True)
        _copy_busybox(root)
        _copy_modules(tree, modules, root)
        write_script(root / "init", START + init)
        fill(root)
        files = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        with (made / "initramfs").open("wb") as packed:  # as it is: a guest's processor takes a second to unpack it
            subprocess.run(
                ["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"],
                cwd=root, input=files.encode(), stdout=packed, check=True,
            )  # fmt: skip


def _decompress(kernel: Path, made: Path) -> None:
    """The kernel within a bzImage, which QEMU starts by its PVH note: to unpack it is a third of a boot under TCG."""
    image = kernel.read_bytes()
    # By the header of the boot protocol (2.08 and later): the payload counts from behind the sectors of the setup.
    sectors, (offset, length) = image[0x1F1], struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    packed = image[start : start + length - 4]  # its size, unpacked, comes after it
    assert packed.startswith(_LZ4), f"{kernel} is packed in another way"
    subprocess.run(["lz4", "-d", "-q", "-f", "-", made], input=packed, check=True)


def write_script(path: Path, text: str) -> None:
    """A script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _unpack_kernel(made: Path) -> None:
    """Download the kernel's package and unpack it; nothing is installed."""
    depends = subprocess.run(["apt-cache", "depends", PACKAGE], check=True, capture_output=True, text=True).stdout
    (package,) = set(re.findall(r"Depends: (linux-image-\S+)", depends))
    with tempfile.TemporaryDirectory(dir=made.parent) as scratch:
        subprocess.run(["apt-get", "download", "-q", package], cwd=scratch, check=True, capture_output=True)
        (archive,) = Path(scratch).glob("linux-image-*.deb")
        subprocess.run(["dpkg", "-x", archive, made], check=True)
    (modules,) = (made / "lib/modules").iterdir()
    subprocess.run(["depmod", "-b", made, modules.name], check=True)


def _copy_busybox(root: Path) -> None:
    busybox = shutil.which("busybox") or "/bin/busybox"
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")


def _copy_modules(tree: Path, wanted: Sequence[str], root: Path) -> None:
    """Copy the modules with what they need, in loading order."""
    (modules,) = (tree / "lib/modules").iterdir()
    depends = dict(line.split(":", 1) for line in (modules / "modules.dep").read_text().splitlines())
    by_name = {Path(path).name.split(".")[0].replace("-", "_"): path for path in depends}
    order: list[str] = []
    for name in wanted:
        path = by_name.get(name)
        if path is None:
            continue  # built into this kernel
        order += [one for one in (*reversed(depends[path].split()), path) if one not in order]
    for path in order:
        shutil.copy(modules / path, root / "lib/modules" / Path(path).name)
    (root / "modules").write_text("\n".join(f"/lib/modules/{Path(path).name}" for path in order))
