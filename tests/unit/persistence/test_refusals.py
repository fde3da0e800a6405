"""Commands by hand whose files the system refuses: exit code 4, with the thing, the place and what helps."""

import errno
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lab.patience import LONGEST
from lastcall import Guest
from lastcall.cli.main import run
from lastcall.errors import NoPermission
from lastcall.persistence.refusals import refusals_told
from lastcall.persistence.state import StateFile
from support import PROGRAM, waiting_guests, write_config

UUID = "11111111-2222-3333-4444-55555555555{}"
WRITERS = {
    "forget": (["forget", "--all"], ["state/state.json", "state/state.new", "run/lock"]),
    "forget one": (["forget", "db"], ["state/state.json", "state/state.new", "run/lock"]),
    "stamp": (["stamp"], ["state/state.json", "state/state.new", "run/lock", "run/on-duty", "run/on-duty.new"]),
    "announce": (["announce", "--reason", "power"], ["run/announcement.json", "run/announcement.new"]),
    "announce --cancel": (["announce", "--cancel"], ["run/announcement.json"]),
    "shutdown": (["shutdown"], ["run/lock"]),
    "restore": (["restore"], ["run/lock", "state/state.json"]),
    "status": (["status"], ["state/state.json"]),
}


def directory(path: Path) -> None:
    path.mkdir()
    (path / "x").touch()


@pytest.mark.parametrize(
    ("words", "name"), [(words, name) for words, names in WRITERS.values() for name in names]
)  # fmt: skip
def test_a_directory_in_the_way_is_exit_code_4_with_its_place_and_what_helps(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: Sequence[str], name: str
) -> None:
    config, place = write_config(tmp_path, "test:///default"), tmp_path / name
    if name != "state/state.json":
        listed(tmp_path / "state", "db")
    directory(place)
    assert run(["--config", str(config), "-q", *words]) == 4
    told = capfd.readouterr().err
    assert str(place).removesuffix(".new") in told
    assert "  → " in told
    assert "Traceback" not in told
    if name != "state/state.json":
        assert waiting_guests(tmp_path / "state") == ["db"], "the list stays as it was"


def listed(folder: Path, *names: str) -> None:
    state = StateFile(folder)
    guests = [Guest(uri="test:///default", uuid=UUID.format(number), name=name) for number, name in enumerate(names)]
    state.add(guests, run="r", boot_id="b", cause="host", due=False)
    state.save()


@pytest.mark.parametrize(
    ("words", "room", "name"),
    [(["forget", "db"], 200, "state/state.json"), (["forget", "db"], 0, "run/lock"),
     (["announce", "--reason", "power"], 0, "run/announcement.json"), (["stamp"], 0, "run/on-duty"),
     (["stamp"], 200, "state/state.json"), (["shutdown"], 0, "run/lock"), (["restore"], 0, "run/lock")],
)  # fmt: skip
def test_without_room_it_is_exit_code_4_and_the_list_stays_as_it_was(
    tmp_path: Path, words: Sequence[str], room: int, name: str
) -> None:
    """A limit on what a file may have is to whoever writes what a full disk is."""
    config = write_config(tmp_path, "test:///default")
    listed(tmp_path / "state", "db", "web")
    command = ["prlimit", f"--fsize={room}", str(PROGRAM), "--config", str(config), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST)
    assert (done.returncode, done.stdout) == (4, "")
    assert f"{tmp_path / name} cannot be read or written: file too large\n  → make room" in done.stderr
    assert waiting_guests(tmp_path / "state") == ["db", "web"]
    assert not list(tmp_path.glob("*/*.new"))


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EROFS, "mount"), (errno.ENOSPC, "make room"), (errno.EDQUOT, "make room"), (errno.EIO, "dmesg"),
     (errno.EISDIR, "move away"), (errno.EACCES, "run as root"), (errno.EPERM, "run as root"), (errno.ENXIO, "root")],
)  # fmt: skip
def test_whatever_the_system_says_is_told_with_the_place_and_what_helps(number: int, remedy: str) -> None:
    for error in (OSError(number, os.strerror(number)), OSError(number, os.strerror(number), "/else")):
        with pytest.raises(NoPermission) as caught, refusals_told(Path("/place")):
            raise error
        assert str(error.filename or "/place") in str(caught.value)
        assert remedy in caught.value.remedy


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "x"), TimeoutError()])
def test_what_is_about_no_file_is_not_told_as_one(error: OSError) -> None:
    with pytest.raises(type(error)), refusals_told(Path("/place")):
        raise error


def circle(path: Path) -> None:
    path.symlink_to(path)


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\0\n")


ODD_FILES: Sequence[Callable[[Path], None]] = (directory, os.mkfifo, circle, no_text)
SIBLINGS = ["run/answered", "run/announcement.json", "run/on-duty", "run/motd", "run/join.json", "run/answer.json",
            "run/lock", "state/deadline", "state/history.json", "state/last-look.json", "state/asked-by-virsh",
            "state/runs", "state/state.json"]  # fmt: skip


@pytest.mark.parametrize("name", SIBLINGS)
@pytest.mark.parametrize("make", ODD_FILES, ids=["directory", "pipe", "circle", "no text"])
def test_odd_files_end_no_command_as_a_bug(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Callable[[Path], None], name: str
) -> None:
    config = write_config(tmp_path, "test:///default")
    make(tmp_path / name)
    for words in (["status"], ["report"], ["stamp"], ["announce", "--reason", "power"], ["announce", "--cancel"],
                  ["forget", "--all"]):  # fmt: skip
        assert run(["--config", str(config), *words]) in {0, 1, 3, 4}, words
    assert "Traceback" not in capfd.readouterr().err
