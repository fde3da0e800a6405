"""The files of plugins: read and written through one door, whose errors are expected ones."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lastcall import Guest, LastcallError, TextFile

ODD: dict[str, Callable[[Path], object]] = {
    "is a named pipe and no plain file": os.mkfifo,
    "is a directory and no plain file": Path.mkdir,
    "is a link that leads in a circle": lambda path: path.symlink_to(path),
    "is larger than 64 bytes": lambda path: path.write_text("x" * 65),
    "is no text (UTF-8): byte 0xff at 2": lambda path: path.write_bytes(b"ab\xff"),
}


@pytest.mark.parametrize("why", ODD)
def test_what_is_odd_is_an_expected_error_that_names_the_file_and_what_helps(tmp_path: Path, why: str) -> None:
    path = tmp_path / "a note"
    ODD[why](path)
    with pytest.raises(LastcallError) as caught:
        TextFile(path, limit=64).read()
    assert str(caught.value) == f"{path} {why}"
    assert f"'{path}'" in caught.value.remedy


@pytest.mark.parametrize("why", ODD)
def test_what_is_odd_is_set_aside_whole_and_a_new_text_takes_its_place(tmp_path: Path, why: str) -> None:
    file = TextFile(tmp_path / "a", limit=64)
    ODD[why](file.path)
    kind = file.path.lstat().st_mode
    aside = file.set_aside()
    assert aside.parent == tmp_path
    assert aside.lstat().st_mode == kind
    file.write("new")
    assert file.read() == "new"


def test_there_is_no_text_where_there_is_no_file_and_none_where_it_was_removed(tmp_path: Path) -> None:
    file = TextFile(tmp_path / "a")
    assert file.read() is None
    file.remove()
    file.write("é\n")
    assert file.read() == "é\n"
    file.remove()
    assert file.read() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0, 0o022, 0o777], ids=oct)
def test_what_is_written_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        TextFile(tmp_path / "a").write("x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o600


def test_a_text_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    file = TextFile(tmp_path / "a", limit=4)
    file.write("éé")
    with pytest.raises(LastcallError, match="more than 4 bytes"):
        file.write("ééé")
    assert file.read() == "éé"


@pytest.mark.parametrize("name", ["x" * 300, "zero\0byte", "no folder/x", "folder"])
def test_what_the_disk_refuses_is_an_expected_error_that_names_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(LastcallError, match="cannot be written") as caught:
        TextFile(tmp_path / name).write("x")
    assert name in str(caught.value)
    assert not list(tmp_path.glob(".*"))


def test_of_two_who_write_at_once_one_text_is_there_whole(tmp_path: Path) -> None:
    file, failed = TextFile(tmp_path / "a"), list[LastcallError]()

    def write(text: str) -> None:
        for _ in range(20):
            try:
                file.write(text)
            except LastcallError as error:
                failed.append(error)

    threads = [threading.Thread(target=write, args=(letter * 50_000,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert file.read() in {letter * 50_000 for letter in "abcd"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_files_about_guests_are_told_apart_by_daemon_and_never_named_by_the_guest() -> None:
    names = {Guest(uri=uri, uuid="u-1", name="../../etc/passwd").file_name for uri in ("qemu:///system", "lxc:///")}
    assert len(names) == 2
    assert all(name.startswith("u-1-") and "/" not in name for name in names)
