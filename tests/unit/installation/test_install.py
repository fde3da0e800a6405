"""Putting lastcall on duty and taking it away, on a folder that stands for the host."""

import time
from pathlib import Path

import pytest

from fake_systemctl import FakeSystemctl
from lastcall import Guest
from lastcall.config.settings import RestoreSettings, Settings
from lastcall.installation import takeover
from lastcall.installation.completion import completions
from lastcall.installation.install import Duel, Installation, boot_time
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.state import StateFile
from lastcall.systemd.systemctl import Systemctl

GUEST = Guest(uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db 1")


OTHER = Guest(uri="qemu:///system", uuid="66666666-2222-3333-4444-555555555555", name="web")


def installation(root: Path, systemctl: Systemctl, restore: RestoreSettings | None = None) -> Installation:
    def settings(_text: str | None) -> Settings:
        return Settings(restore=restore or RestoreSettings())

    return Installation(program=Path("/opt/lastcall/bin/lastcall"), settings=settings, systemctl=systemctl, root=root)


def test_nothing_is_installed_beside_libvirts_own_shutdown(tmp_path: Path) -> None:
    (tmp_path / "etc/libvirt").mkdir(parents=True)
    (tmp_path / "etc/libvirt/qemu.conf").write_text('auto_shutdown_try_save = "persistent"\n')
    with pytest.raises(Duel, match='set auto_shutdown_try_save = "none"'):
        installation(tmp_path, FakeSystemctl()).plan()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["etc"]


def test_installed_twice_it_changes_nothing_and_uninstalled_it_leaves_the_configuration_and_the_list(
    tmp_path: Path,
) -> None:
    systemctl = FakeSystemctl()
    found: list[dict[Path, str]] = []
    for _ in range(2):
        for step in installation(tmp_path, systemctl).plan():
            step.do()
        found.append({path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()})
    files, again = found
    assert files == again
    assert systemctl.told[-2:] == [
        ("enable", "lastcall.service", "lastcall-restore.service"),
        ("start", "lastcall.service", "lastcall-stamp.service"),
    ]
    names = {str(path.relative_to(tmp_path)) for path in files}
    assert {"etc/lastcall/config.yaml", "etc/lastcall/last-line", "etc/systemd/system/lastcall.service"} <= names
    assert {"lastcall", "lastcall-stamp"} == {path.name for path in (tmp_path / "etc/motd.d").iterdir()}
    assert {name for name, _ in completions()} <= names
    for step in installation(tmp_path, systemctl).undo():
        step.do()
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()}
    assert left == {"etc/lastcall/config.yaml"}
    assert not (tmp_path / "etc/systemd/system/lastcall.service.d").exists()


def test_nobody_is_promised_to_come_back_where_the_configuration_says_that_none_does(tmp_path: Path) -> None:
    (tmp_path / takeover.LIST).parent.mkdir(parents=True)
    (tmp_path / takeover.LIST).write_text(f"default {GUEST.uuid}\n")
    for restore, promised in ((RestoreSettings(), True), (RestoreSettings(policy="none"), False)):
        duty = installation(tmp_path, FakeSystemctl(), restore)
        assert "is on duty: guests are stopped when this host is" in duty.duty()
        assert ("come back with it" in duty.duty(), "none comes back by itself" in duty.duty()) == (
            promised,
            not promised,
        )
        (step,) = [step.text for step in duty.plan() if step.text.startswith("take 1 guest over")]
        assert step.endswith("to the list of those to restore") == promised


def test_where_selinux_is_on_the_program_gets_its_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def steps() -> list[str]:
        return [step.text for step in installation(tmp_path, FakeSystemctl()).plan()]

    assert not any("restorecon" in text for text in steps())
    (tmp_path / "sys/fs/selinux").mkdir(parents=True)
    (tmp_path / "sys/fs/selinux/enforce").write_text("1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/restorecon").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/labelled\n')
    (tmp_path / "bin/restorecon").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    for step in installation(tmp_path, FakeSystemctl()).plan():
        if "restorecon" in step.text:
            step.do()
    assert "/opt/lastcall/bin" in (tmp_path / "labelled").read_text()


def test_libvirt_guests_list_becomes_ours_and_ours_becomes_its(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.boot, state.previous_boot = boot_id(), "before"
    text = f"default {GUEST.uuid} 00000000-0000-0000-0000-000000000000\nlxc:///system {OTHER.uuid.upper()}\n\n"
    older = takeover.GuestsList(text, written=100.0, booted=200.0)
    added = takeover.adopt(older, state, {GUEST.uuid: GUEST})
    assert [(entry.name, entry.uri, entry.boot_id, entry.due) for entry in added] == [
        ("db 1", "qemu:///system", "before", True), (OTHER.uuid, "lxc:///system", "before", True),
    ]  # fmt: skip
    assert all(entry.is_due_from(state.previous_boot) for entry in added)
    assert takeover.adopt(older, state, {}) == [], "who is on the list stays as he is"
    assert takeover.as_list(added) == f"qemu:///system {GUEST.uuid}\nlxc:///system {OTHER.uuid}\n"
    younger = takeover.GuestsList(f"lxc:///system {GUEST.uuid}", written=300.0, booted=200.0)
    (entry,) = takeover.adopt(younger, state, {})
    assert (entry.boot_id, entry.due) == (boot_id(), True)


def test_the_time_of_the_boot_is_systemds() -> None:
    assert boot_time(FakeSystemctl(show="UserspaceTimestamp=@1700000000\n")) == 1700000000
    assert 0 < boot_time(FakeSystemctl(show="UserspaceTimestamp=n/a")) < time.time()
