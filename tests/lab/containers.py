"""Containers for a lab: a folder with busybox and an init that hears signals, or does not."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager

import libvirt

from lab.daemon import Daemon
from lab.guests import opened, remove

_INIT = """\
#!/bin/sh
{trap}
while :; do sleep 1; done
"""
_XML = """\
<domain type='lxc'><name>{name}</name><memory unit='MiB'>64</memory>
<os><type>exe</type><init>/init</init></os>
<devices><filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem><console type='pty'/></devices>
</domain>
"""


@contextmanager
def containers(lab: Daemon, **hears: str) -> Generator[libvirt.virConnect]:
    """Start containers; each is given by the signals that end its init, such as `TERM`, or nothing."""
    with opened(lab.lxc) as connection:
        try:
            for name, signals in hears.items():
                connection.defineXML(_container(lab, name, signals)).create()
            yield connection
        finally:
            remove(connection, hears)


def _container(lab: Daemon, name: str, signals: str) -> str:
    root = lab.folder / f"container-{name}"
    for folder in ("bin", "proc", "sys", "dev", "etc"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "bin" / "busybox")
    for applet in ("sh", "sleep"):
        link = root / "bin" / applet
        link.unlink(missing_ok=True)  # a container of that name was in this lab before
        link.symlink_to("busybox")
    init = root / "init"
    init.write_text(_INIT.format(trap=f"trap 'exit 0' {signals}" if signals else ":"))
    init.chmod(0o755)
    return _XML.format(name=name, root=root)
