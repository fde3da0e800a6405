"""The guest shell, by lastcall's own suite and from a hook."""

import os
from pathlib import Path

import pytest
from lastcall import Guest, Run, Verdict, hookimpl
from lastcall.testing import Lab, LabGuest, check_shell_provider
from lastcall.testing.pytest_plugin import MakeLab

import lastcall_door_sign as plugin
from lastcall_door_sign.shell import Provider


def container(lab: Lab) -> LabGuest:
    """A guest that it is for."""
    return lab.guest("web-1", driver="LXC")


def test_it_is_a_guest_shell_as_lastcall_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    virsh = tmp_path / "virsh"  # which takes commands nowhere: they run here
    virsh.write_text('#!/bin/sh\nshift 6\nexec "$@"\n')
    virsh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    check_shell_provider(Provider(), guest=container)


class Asking:
    """A plugin that gives a command."""

    @hookimpl
    def on_guest_stop(self, guest: Guest, run: Run) -> None:
        """Give it."""
        run.shell(guest).run("true").check()


def test_it_is_not_for_virtual_machines(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab(plugins={"door_sign": plugin, "asking": Asking()})
    guest = lab.guest("db-1", settings={"shell": "door_sign"})
    (record,) = [one for one in lab.fire("on_guest_stop", guest) if one.plugin == "asking"]
    assert record.result is Verdict.FAILED
    assert "it is no container" in record.message
