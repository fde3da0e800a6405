"""What lastcall and the shell script at the end of its unit leave for each other."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lastcall import Guest
from lastcall.cli.invocation import Invocation
from lastcall.cli.main import run
from lastcall.cli.unit.calls import note_boot
from lastcall.errors import LastcallError
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.last_line import AskedByVirsh, answered, note_deadline
from lastcall.persistence.state import StateFile, open_state

UUID = "11111111-2222-3333-4444-55555555555{}"


def test_a_stop_is_answered_unless_a_bug_ends_it_and_only_where_systemd_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "run" / "answered"
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    with answered(note.parent):
        pass
    assert not note.exists(), "by hand nobody waits for it"
    monkeypatch.setenv("INVOCATION_ID", "abc")
    with pytest.raises(ZeroDivisionError), answered(note.parent):
        raise ZeroDivisionError
    assert not note.exists()
    with pytest.raises(LastcallError), answered(note.parent):
        raise LastcallError("another run is under way")
    assert note.read_text() == "abc\n"


def test_a_note_that_cannot_be_written_spoils_no_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOCATION_ID", "abc")
    (tmp_path / "run").write_text("no folder")
    went_on = False
    with answered(tmp_path / "run"):
        went_on = True
    assert went_on
    assert (tmp_path / "run").read_text() == "no folder", "nothing is written elsewhere instead"


def test_the_deadline_is_noted_in_whole_seconds_once_and_costs_nothing_where_it_cannot_be(tmp_path: Path) -> None:
    note_deadline(tmp_path / "state", 90.4)
    written = (tmp_path / "state" / "deadline").stat()
    note_deadline(tmp_path / "state", 90.0)
    assert (tmp_path / "state" / "deadline").read_text() == "90\n"
    assert (tmp_path / "state" / "deadline").stat().st_ino == written.st_ino, "it says that already"
    (tmp_path / "file").touch()
    note_deadline(tmp_path / "file", 90.0)


def stamp(folder: Path, state: Path | None = None) -> Invocation:
    """How lastcall is called on a host that keeps everything in a folder."""
    config = folder / "config.yaml"
    config.write_text(f"paths: {{state: {state or folder}, run: {folder}/run}}\n")
    return Invocation(config=config)


def test_whom_virsh_asked_is_due_after_the_next_stamp_even_where_he_had_been_parked(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.stamp("before")
    parked = Guest(uri="qemu:///system", uuid=UUID.format(1), name="db 1")
    state.add([parked], run="x", boot_id="long ago", cause="hand", due=False, restarting={parked.key})
    state.park(parked.key)
    state.save()
    AskedByVirsh(tmp_path).path.write_text(
        f"qemu:///system {UUID.format(1)} db 1\nlxc:///system {UUID.format(2)} b\udcffx\n"
        f"qemu:///system {UUID.format(3).upper()}\nqemu:///system {UUID.format(1)} db 1\n",
        errors="surrogateescape",
    )
    for _ in range(2):
        assert note_boot(stamp(tmp_path)) == 0
        found = open_state(tmp_path)
        assert (found.boot, found.previous_boot) == (boot_id(), "before")
        assert [(one.uri, one.name, one.driver, one.cause) for one in found.entries.values()] == [
            ("qemu:///system", "db 1", "QEMU", "host"), ("lxc:///system", "b\ufffdx", "LXC", "host"),
            ("qemu:///system", UUID.format(3).upper(), "QEMU", "host"),
        ]  # fmt: skip
        assert all(one.is_due_from("before") for one in found.entries.values())
        assert found.restarting() == {parked.key}, "its on_poweroff may still have to be put back"
        assert not AskedByVirsh(tmp_path).path.exists()


def test_a_list_that_cannot_be_understood_keeps_the_note_for_a_better_day(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    note = AskedByVirsh(tmp_path).path
    note.write_text(f"qemu:///system {UUID.format(1)} db\n")
    with pytest.raises(LastcallError):
        note_boot(stamp(tmp_path))
    assert note.exists()


def test_status_says_who_was_asked_by_virsh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    AskedByVirsh(tmp_path).path.write_text(f"test:///default {UUID.format(1)} db\n")
    invocation = stamp(tmp_path)
    note_boot(invocation)
    run(["--config", str(invocation.config), "status"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("db ")]
    assert line.endswith("(asked by virsh, as lastcall could not run)")


EVIL = f"qemu+ssh://x@h/system?command=/tmp/evil {UUID.format(1)} theirs\n"
LOCAL = f"qemu:///system {UUID.format(2)} ours\n"


def somebody_elses(path: Path) -> None:
    os.chown(path, 12345, 12345)


def writable(path: Path) -> None:
    path.chmod(0o666)


def in_a_folder_that_others_write_to(path: Path) -> None:
    path.parent.chmod(0o777)


@pytest.mark.parametrize("spoil", [somebody_elses, writable, in_a_folder_that_others_write_to])
def test_of_a_note_that_others_could_have_written_no_uri_that_may_run_a_program_gets_on_the_list(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    note = AskedByVirsh(state).path
    note.write_text(EVIL + LOCAL)
    spoil(note)
    assert note_boot(stamp(tmp_path, state)) == 0
    assert [one.name for one in open_state(state).entries.values()] == ["ours"]
    (kept,) = state.glob("asked-by-virsh.odd-*")
    assert kept.read_text() == EVIL + LOCAL
    said = capfd.readouterr().err
    assert "their URIs may run a program: theirs" in said
    assert f"it was moved to {kept}" in said
    assert note_boot(stamp(tmp_path, state)) == 0
    assert "their URIs" not in capfd.readouterr().err, "the next one is not disturbed by the same"


def test_a_note_of_roots_is_believed(tmp_path: Path) -> None:
    AskedByVirsh(tmp_path).path.write_text(EVIL)
    note_boot(stamp(tmp_path))
    assert [one.name for one in open_state(tmp_path).entries.values()] == ["theirs"]


def test_no_name_begins_a_line_of_its_own(tmp_path: Path) -> None:
    AskedByVirsh(tmp_path).path.write_bytes(f"{LOCAL[:-1]}\r{EVIL[:-1]}\u2028{EVIL}".encode())
    note_boot(stamp(tmp_path))
    assert [one.uri for one in open_state(tmp_path).entries.values()] == ["qemu:///system"]


def directory(path: Path) -> None:
    path.mkdir()
    (path / "x").touch()


def circle(path: Path) -> None:
    path.symlink_to(path)


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 33)


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\0\n")


@pytest.mark.parametrize("make", [directory, os.mkfifo, circle, huge, no_text])
def test_what_is_no_note_costs_itself_alone_and_is_kept_and_told_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Callable[[Path], None]
) -> None:
    note = AskedByVirsh(tmp_path).path
    make(note)
    assert note_boot(stamp(tmp_path)) == 0
    assert open_state(tmp_path).boot == boot_id()
    (kept,) = tmp_path.glob("asked-by-virsh.odd-*")
    assert f"it was moved to {kept}" in capfd.readouterr().err
    assert note_boot(stamp(tmp_path)) == 0
    assert capfd.readouterr().err == ""


def test_lines_that_name_no_guest_are_kept_and_told_and_the_others_taken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    AskedByVirsh(tmp_path).path.write_text(f"{LOCAL}nonsense\n")
    note_boot(stamp(tmp_path))
    assert [one.name for one in open_state(tmp_path).entries.values()] == ["ours"]
    assert "1 of its lines name no guest" in capfd.readouterr().err
    assert list(tmp_path.glob("asked-by-virsh.odd-*"))


def test_a_stamp_tells_who_is_left_out_of_a_list_that_others_could_have_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = StateFile(tmp_path)
    theirs = Guest(uri="qemu+ssh://h/system?command=x", uuid=UUID.format(1), name="theirs")
    state.add([theirs], run="x", boot_id="b", cause="host", due=True)
    state.save()
    state.path.chmod(0o666)
    note_boot(stamp(tmp_path))
    assert "their URIs may run a program: theirs" in capfd.readouterr().err


def test_the_answer_says_whether_the_unit_is_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOCATION_ID", "abc")
    with answered(tmp_path) as answer:
        answer.fails = True
    assert (tmp_path / "answered").read_text() == "abc failed\n"
