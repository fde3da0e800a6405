"""The door for daemons that are not root: a real socket, and the program that systemd starts for each connection."""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lastcall import PowerWord
from lastcall.persistence.power.board import PowerBoard
from support import PROGRAM, write_config

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="other users are needed")
USER, GROUP, OTHER = 54321, 54322, 54323


class Door:
    """What systemd does for `Accept=yes`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, write_config(folder, "test:///default")
        self.path = folder / "run" / "power.sock"
        self.board = PowerBoard(folder / "run")
        self.said, self.codes = "", -1
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.path))
        self.path.chmod(0o666)  # so that it is for the program to refuse
        self._listening.listen()

    def serve(self, count: int) -> threading.Thread:
        def answer() -> None:
            for _ in range(count):
                with suppress(OSError):
                    connection, _ = self._listening.accept()
                    with connection:
                        done = subprocess.run(
                            [str(PROGRAM), "power", "answer"], stdin=connection.fileno(), capture_output=True,
                            text=True, env={**os.environ, "LASTCALL_CONFIG": str(self.config)}, check=False, timeout=60,
                        )  # fmt: skip
                    self.said += done.stderr
                    self.codes = done.returncode

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def says(self, *parts: bytes, end: bool = False) -> Any:
        """Send something, and return what is answered."""
        thread = self.serve(1)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(self.path))
            for part in parts:
                peer.sendall(part)
            if end:
                peer.shutdown(socket.SHUT_WR)
            told = b""
            while part := peer.recv(4096):
                told += part
        thread.join()
        return json.loads(told)


@contextmanager
def door_in(folder: Path) -> Generator[Door]:
    door = Door(folder)
    try:
        yield door
    finally:
        door.close()


@pytest.fixture
def door(tmp_path: Path) -> Generator[Door]:
    with door_in(tmp_path) as door:
        yield door


@pytest.fixture
def public_door() -> Generator[Door]:
    """Where other users may go."""
    folder = Path("/tmp") / f"lastcall-door-{os.getpid()}"
    folder.mkdir(0o755)
    folder.chmod(0o755)
    try:
        with door_in(folder) as door:
            os.chown(door.path, 0, GROUP)
            yield door
    finally:
        shutil.rmtree(folder)


def test_a_word_is_noted_and_answered(door: Door) -> None:
    told = door.says(b"battery ups@localhost\n")
    assert (told["word"], told["supply"], told["news"]) == ("battery", "ups@localhost", True)
    assert door.board.read()["ups@localhost"].word == "battery"
    assert "ups@localhost: battery, from user 0, process" in door.said


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"off\n", "line, battery or low"),
        (b"x" * 4000 + b"\n", "64 bytes"),
        (b"x" * 4000, "64 bytes"),
        (b"line\nlow\n", "more than one line"),
        (b"low\0\n", "no plain text"),
        (b"low\x1b[31m\n", "no plain text"),
        (b"\xff\xfe\n", "no plain text"),
        (b"low $(reboot)\n", "name of a UPS"),
    ],
)
def test_what_is_no_word_is_refused_logged_and_without_effect(door: Door, data: bytes, why: str) -> None:
    refused = door.says(data)
    assert list(refused) == ["refused"]
    assert why in refused["refused"]
    assert "refused, from user 0, process" in door.said
    assert len(door.said.splitlines()) == 1, "whatever was sent forges no line"
    assert door.codes == 0, "what others send makes no unit fail"
    assert sorted(path.name for path in door.path.parent.iterdir()) == ["power.sock"]


def test_who_sends_no_whole_line_is_not_waited_for(door: Door) -> None:
    began = time.monotonic()
    assert "no line within 2 s" in door.says(b"low")["refused"]
    assert time.monotonic() - began < 10
    assert door.board.read() == {}


def test_who_sends_a_byte_now_and_then_does_not_keep_it_open(door: Door) -> None:
    thread, began = door.serve(1), time.monotonic()
    with socket.socket(socket.AF_UNIX) as peer, suppress(OSError):
        peer.connect(str(door.path))
        while time.monotonic() - began < 10:
            peer.sendall(b"l")
            time.sleep(0.2)
    thread.join()
    assert "refused" in door.said
    assert time.monotonic() - began < 10


def test_who_hangs_up_without_a_line_end_has_said_nothing(door: Door) -> None:
    assert "does not end" in door.says(b"low", end=True)["refused"]
    assert door.board.read() == {}


def test_who_does_not_wait_for_the_answer_is_heeded_all_the_same(door: Door) -> None:
    thread = door.serve(1)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(door.path))
        peer.sendall(b"battery\n")
    thread.join()
    assert door.board.read()[""].word == "battery"


def test_nothing_but_a_socket_is_answered(tmp_path: Path) -> None:
    config = write_config(tmp_path, "test:///default")
    pair = socket.socketpair()
    with pair[0], pair[1]:
        pair[0].sendall(b"low\n")
        done = subprocess.run(
            [str(PROGRAM), "power", "answer"], stdin=pair[1].fileno(), capture_output=True, text=True, check=False,
            timeout=60, env={**os.environ, "LASTCALL_CONFIG": str(config)},
        )  # fmt: skip
    assert "refused" in done.stderr
    assert PowerBoard(tmp_path / "run").read() == {}


def as_user(door: Door, *words: str, user: int, groups: Sequence[int]) -> "subprocess.CompletedProcess[str]":
    rights = [f"--reuid={user}", f"--regid={groups[0]}", f"--groups={','.join(map(str, groups))}"]
    command = ["setpriv", *rights, "--", str(PROGRAM), "--config", str(door.config), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@ROOT
@pytest.mark.parametrize("groups", [(GROUP,), (OTHER, GROUP)])
def test_a_member_of_the_group_speaks_through_the_socket_and_sees_the_answer(
    public_door: Door, groups: Sequence[int]
) -> None:
    thread = public_door.serve(1)
    done = as_user(public_door, "power", "battery", "--ups", "ups@localhost", user=USER, groups=groups)
    thread.join(30)
    assert "ups@localhost: battery" in done.stdout, done.stderr
    assert public_door.board.read()["ups@localhost"].word == "battery"
    assert f"from user {USER}, process" in public_door.said


@ROOT
def test_somebody_who_is_not_of_the_group_is_refused_though_he_can_connect(public_door: Door) -> None:
    thread = public_door.serve(1)
    done = as_user(public_door, "power", "low", user=USER, groups=[OTHER])
    thread.join(30)
    assert done.returncode == 1
    assert "refuses it: this user may not speak of the power" in done.stderr
    assert f"refused, from user {USER}, process" in public_door.said
    assert public_door.board.read() == {}


def lock_out(path: Path) -> None:
    path.chmod(0o600)


@ROOT
@pytest.mark.parametrize(
    ("spoil", "code", "told"),
    [
        (Path.unlink, 4, "there is no"),
        (lock_out, 4, "is not for this user"),
    ],
)
def test_where_there_is_no_door_for_a_user_it_is_said_what_makes_one(
    public_door: Door, spoil: Callable[[Path], object], code: int, told: str
) -> None:
    spoil(public_door.path)
    done = as_user(public_door, "power", "line", user=USER, groups=[OTHER])
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "lastcall install --power-group" in done.stderr


@ROOT
def test_a_door_that_is_shut_for_some_seconds_is_knocked_at_again(public_door: Door) -> None:
    public_door.close()  # as systemd does after a flood
    public_door.path.unlink()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(public_door.path))  # bound, and nobody listens
    public_door.path.chmod(0o666)

    def open_again() -> None:
        time.sleep(2)
        public_door.path.unlink()
        again = socket.socket(socket.AF_UNIX)
        again.bind(str(public_door.path))
        lock_out(public_door.path)
        again.listen()
        time.sleep(2)  # systemd listens before it has given the socket to the group
        os.chown(public_door.path, 0, GROUP)
        public_door.path.chmod(0o666)
        public_door._listening = again  # pyright: ignore[reportPrivateUsage]
        public_door.serve(1)

    threading.Thread(target=open_again, daemon=True).start()
    done = as_user(public_door, "power", "battery", user=USER, groups=[GROUP])
    assert "power: battery" in done.stdout, done.stderr
    assert public_door.board.read()[""].word == PowerWord.BATTERY
