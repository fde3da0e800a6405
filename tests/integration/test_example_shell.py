"""The guest shell of contrib/example-plugin, in a container of libvirt's."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from lab.containers import containers
from lab.daemon import Daemon
from lastcall.testing import Lab, LabGuest, check_shell_provider

SOURCE = Path(__file__).parents[2] / "contrib/example-plugin/src"
APPLETS = ("cat", "head", "kill", "printf", "setsid", "wc")  # beside those that every container of the lab has


def test_it_runs_commands_in_a_real_container(lab: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(SOURCE), *sys.path])
    from lastcall_door_sign.shell import Provider

    # The lab's daemon is in namespaces of its own, and says of a container which process it is in these.
    real = shlex.join(["nsenter", f"--target={lab.pid()}", "--mount", "--pid", str(shutil.which("virsh"))])
    (tmp_path / "virsh").write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    (tmp_path / "virsh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with containers(lab, web="TERM") as connection:
        for applet in APPLETS:
            (lab.folder / "container-web/bin" / applet).symlink_to("busybox")
        uuid = connection.lookupByName("web").UUIDString()

        def web(made: Lab) -> LabGuest:
            guest = made.guest("web", driver="LXC", uri=lab.lxc)
            guest.fake.uuid = uuid
            return guest

        check_shell_provider(Provider(), guest=web)
