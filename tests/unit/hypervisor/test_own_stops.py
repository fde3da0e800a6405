"""Whom a daemon has stopped by itself: no claim without its setting, its log, and the right time."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lastcall.api.guests import Ended, Guest
from lastcall.hypervisor.stopping.own_stops import in_force, may_stop_guests, traces

URI = "qemu:///system"
DB = Guest(uri=URI, uuid="6695eb01-f6a4-8304-79aa-97f2502e193f", name="db", driver="QEMU")


def conf(root: Path, text: str, *, age: float = 100.0) -> None:
    """The daemon's settings, and a daemon that was started half as long ago."""
    for name, content, seconds in (("etc/libvirt/qemu.conf", text, age), ("run/libvirtd.pid", "1", 50.0)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        changed = time.time() - seconds
        os.utime(path, (changed, changed))


def log(root: Path, *ends: tuple[float, str]) -> None:
    """Ends of the guest, each so many seconds ago."""
    path = root / "var/log/libvirt/qemu/db.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{datetime.fromtimestamp(time.time() - ago, UTC):%Y-%m-%d %H:%M:%S}.000+0000: shutting down, reason={reason}\n"
        for ago, reason in ends
    ]
    path.write_text("starting up\n" + "x" * 100_000 + "\n" + "".join(lines) + "qemu: terminating on signal 15\n")


@pytest.mark.parametrize(
    ("name", "reason", "ended"),
    [
        ("try_save", "saved", Ended.SAVED),
        ("try_shutdown", "shutdown", Ended.SHUTDOWN),
        ("poweroff", "destroyed", Ended.DESTROYED),
    ],
)
def test_who_ended_as_is_set_since_logind_s_signal_was_stopped_by_libvirt(
    tmp_path: Path, name: str, reason: str, ended: Ended
) -> None:
    conf(tmp_path, f'auto_shutdown_{name} = "all"\n')
    log(tmp_path, (9000, "crashed"), (3, reason))
    (found,) = traces([DB], in_force(tmp_path), 1.0, tmp_path)
    assert (found.guest, found.ended, found.setting.name) == (DB, ended, f"auto_shutdown_{name}")


@pytest.mark.parametrize(
    ("setting", "ends"),
    [
        ("auto_shutdown_try_save = 'persistent'", [(60, "saved")]),  # long before
        ("auto_shutdown_try_save = 'persistent'", [(3, "shutdown")]),  # in another way
        ("auto_shutdown_try_save = 'persistent'", [(3, "saved"), (2, "destroyed")]),  # the last one counts
        ("auto_shutdown_try_save = 'transient'", [(3, "saved")]),  # not set for such a guest
        ("auto_shutdown_try_save = 'none'", [(3, "saved")]),
        ("auto_shutdown_try_save = 'all'", []),
        ("", [(3, "saved")]),
    ],
)
def test_without_all_the_evidence_nothing_is_claimed(
    tmp_path: Path, setting: str, ends: list[tuple[float, str]]
) -> None:
    conf(tmp_path, setting)
    log(tmp_path, *ends)
    assert traces([DB], in_force(tmp_path), 1.0, tmp_path) == []


def test_a_setting_that_the_daemon_has_not_read_does_nothing(tmp_path: Path) -> None:
    conf(tmp_path, 'auto_shutdown_try_save = "all"\n', age=10.0)
    assert in_force(tmp_path) == []
    (tmp_path / "run/libvirtd.pid").unlink()
    assert in_force(tmp_path) == [], "nor is anything known of one that does not run"


def test_a_log_that_is_none_tells_nothing(tmp_path: Path) -> None:
    conf(tmp_path, 'auto_shutdown_try_save = "all"\n')
    folder = tmp_path / "var/log/libvirt/qemu"
    folder.mkdir(parents=True)
    assert traces([DB], in_force(tmp_path), 1.0, tmp_path) == []
    os.mkfifo(folder / "db.log")
    assert traces([DB], in_force(tmp_path), 1.0, tmp_path) == []
    (folder / "db.log").unlink()
    (folder / "db.log").write_bytes(b"\xff\n9999-99-99 99:99:99.999+0000: shutting down, reason=saved\n")
    assert traces([DB], in_force(tmp_path), 1.0, tmp_path) == []


@pytest.mark.parametrize(
    ("uri", "may"),
    [
        ("qemu:///system", True),
        ("qemu+unix:///system", True),
        ("lxc:///system", False),
        ("qemu:///session", False),
        ("qemu+ssh://elsewhere/system", False),
        ("test:///default", False),
    ],
)
def test_only_the_system_daemon_of_this_host_leaves_its_logs_here(uri: str, *, may: bool) -> None:
    assert may_stop_guests(uri) is may
