"""Who may read and write what lastcall keeps, whatever the umask of its caller is."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lastcall import Reason
from lastcall.persistence.announcement import NoticeBoard, announce
from lastcall.persistence.boot_stamp import BootStamp
from lastcall.persistence.last_line import answered
from lastcall.persistence.mailbox import Mailbox, Request
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
from lastcall.testing.memory import FakeGuest, run_restore, run_shutdown
from support import run_lastcall, write_config

UMASKS = pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777], ids=oct)


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """The tests after these have theirs."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.lstat().st_mode & 0o7777 for path in folder.rglob("*")}


@UMASKS
def test_what_a_run_keeps_is_for_its_owner_alone(tmp_path: Path, umask: int) -> None:
    os.umask(umask)
    run_shutdown(tmp_path / "lib" / "state", [FakeGuest("a")])
    run_restore(tmp_path / "lib" / "state", [FakeGuest("a")])
    os.umask(0o022)
    found = modes(tmp_path / "lib")
    folders = {name for name in found if (tmp_path / "lib" / name).is_dir()}
    assert {"state", "state/runs"} <= folders
    assert {"state/state.json", "state/history.json"} <= found.keys()
    assert {name: oct(mode) for name, mode in found.items() if mode != (0o700 if name in folders else 0o600)} == {}


@UMASKS
def test_of_what_others_may_ask_for_they_may_read_that_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    monkeypatch.setenv("INVOCATION_ID", "abc")
    run = tmp_path / "above" / "run"
    os.umask(umask)
    lock = RunLock(run)
    lock.take(Holder("shutdown", "manual", os.getpid()))
    BootStamp(run).begin()
    NoticeBoard(run).put(announce(Reason.POWER, 60))
    Mailbox(run).post(Request("power", 1.0))
    with answered(run):
        pass
    os.umask(0o022)
    lock.release()
    assert {name: oct(mode) for name, mode in modes(tmp_path).items()} == {
        "above": "0o755", "above/run": "0o755", "above/run/lock": "0o600", "above/run/on-duty": "0o644",
        "above/run/announcement.json": "0o600", "above/run/join.json": "0o600", "above/run/answered": "0o644",
    }  # fmt: skip


def test_a_lock_that_everybody_could_read_is_closed_by_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(0o644)
    lock = RunLock(tmp_path)
    lock.take(Holder("shutdown", "manual", os.getpid()))
    lock.release()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_another_user_cannot_hold_the_lock(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"lastcall-lock-{os.getpid()}"  # where the other user may go
    folder.mkdir(0o755)
    try:
        lock = RunLock(folder)
        lock.take(Holder("shutdown", "manual", os.getpid()))
        lock.release()
        child = os.fork()
        if not child:
            os.setuid(12345)
            try:
                fcntl.flock(os.open(lock.path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except PermissionError:
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        for path in (*folder.iterdir(), folder):
            path.rmdir() if path.is_dir() else path.unlink()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="lock"):
        RunLock(tmp_path).take(Holder("shutdown", "manual", os.getpid()))
    assert (tmp_path / "precious").read_text() == "kept"


def test_what_stands_where_a_fresh_file_is_written_is_neither_followed_nor_waited_for(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "on-duty.new").symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / "announcement.new")
    BootStamp(tmp_path).begin()
    NoticeBoard(tmp_path).put(announce(Reason.POWER, 60))
    assert (tmp_path / "precious").read_text() == "kept"
    assert BootStamp(tmp_path).on
    assert NoticeBoard(tmp_path).read()


@pytest.mark.parametrize("umask", [0, 0o777], ids=oct)
def test_the_program_and_its_plugins_write_as_if_there_were_no_umask(tmp_path: Path, umask: int) -> None:
    config = write_config(tmp_path, "test:///default")
    plugin = "import lastcall\n@lastcall.hookimpl\ndef pre_shutdown(run):\n    (run.folder / 'note').write_text('x')\n"
    (tmp_path / "hooks.d" / "10-writes.py").write_text(plugin)
    os.umask(umask)
    try:
        done = run_lastcall(config, "shutdown")
    finally:
        os.umask(0o022)
    assert done.returncode == 0, done.stderr
    found = modes(tmp_path)
    assert found["state/plugins/writes/note"] == 0o644
    assert (found["state/plugins"], found["state/runs"], found["run/lock"]) == (0o700, 0o700, 0o600)
