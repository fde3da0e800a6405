"""Files of any kind: reading one never hangs and never grows, and what is no plain file costs only itself."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lastcall import LastcallError
from lastcall.cli.main import run
from lastcall.config.load import read
from lastcall.errors import ConfigInvalid
from lastcall.formats.decoding import DEEPEST, from_json
from lastcall.formats.reading import Unreadable, open_plain, read_text
from lastcall.options import Secret
from lastcall.persistence.announcement import NoticeBoard
from lastcall.persistence.boot_stamp import BootStamp, boot_id
from lastcall.persistence.last_good import LastGood
from lastcall.persistence.last_look import LastLook
from lastcall.persistence.mailbox import Mailbox
from lastcall.persistence.state import StateInvalid, open_state
from lastcall.planning.history import History
from lastcall.records.run_log import read_log
from lastcall.report.run_history import past_runs
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
from lastcall.testing.memory import FakeGuest, run_shutdown

KEY = ("qemu:///system", "a")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_directory(path: Path) -> None:
    path.mkdir()


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_circle(path: Path) -> None:
    path.symlink_to(path)


def a_gigabyte(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)
    path.chmod(0o600)


ODD: dict[str, Callable[[Path], None]] = {
    make.__name__: make for make in (a_pipe, a_directory, a_socket, a_device, a_circle, a_gigabyte)
}
odd = pytest.mark.parametrize("make", ODD.values(), ids=ODD)


@odd
def test_what_is_no_plain_file_of_that_size_is_an_error_that_names_it_and_what_helps(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "odd"
    make(path)
    with pytest.raises(Unreadable) as caught:
        read_text(path, 1000)
    assert str(caught.value).startswith(f"{path} is ")
    assert f" {path}" in caught.value.remedy


def test_as_much_as_there_may_be_is_read_and_a_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x" * 1000)
    assert read_text(path, 1000) == "x" * 1000
    with pytest.raises(Unreadable, match="is larger than 999 bytes"):
        read_text(path, 999)


def test_no_child_inherits_what_is_open(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    descriptor = open_plain(tmp_path / "file")
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


@odd
def test_it_is_an_error_of_the_configuration(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "config.yaml")
    with pytest.raises(ConfigInvalid) as caught:
        read(tmp_path / "config.yaml")
    (problem,) = caught.value.problems
    assert problem.where == str(tmp_path / "config.yaml")
    assert problem.remedy


@odd
def test_it_is_an_error_of_the_list(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "state.json"
    make(path)
    with pytest.raises(StateInvalid) as caught:
        open_state(tmp_path)
    assert str(path) in str(caught.value)
    assert str(path) in caught.value.remedy


@odd
def test_it_is_as_good_as_none_where_nothing_is_lost_by_that(tmp_path: Path, make: Callable[[Path], None]) -> None:
    for name in ("history.json", "last-look.json", "announcement.json", "on-duty", "join.json", "lock"):
        make(tmp_path / name)
    history = History(tmp_path)
    history.load()
    assert history.usual(KEY) is None
    assert LastLook(tmp_path).recall([KEY]) == {}
    assert NoticeBoard(tmp_path).read() is None
    assert not BootStamp(tmp_path).on
    assert RunLock(tmp_path).holder() is None
    if make is not a_directory:  # which is not taken away
        assert Mailbox(tmp_path).request() is None


@odd
def test_it_is_no_last_good_configuration(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "last-good.json")
    with pytest.raises(OSError):  # noqa: PT011  which, is said above
        LastGood(tmp_path / "last-good.json").recall()


@odd
def test_among_run_logs_it_hides_no_other_and_is_told_of(tmp_path: Path, make: Callable[[Path], None]) -> None:
    run_shutdown(tmp_path, [FakeGuest("a")])
    path = tmp_path / "runs" / "20990101T000000Z-abcd.jsonl"
    make(path)
    told: list[str] = []
    (past,) = past_runs(tmp_path / "runs", told.append)
    assert past.complete
    (line,) = told
    assert str(path) in line


@odd
def test_it_is_no_secret(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "secret"
    make(path)
    if not path.is_symlink():
        path.chmod(0o600)
    with pytest.raises(LastcallError) as caught:
        Secret(str(path)).read()
    assert str(path) in str(caught.value)
    assert caught.value.remedy


@odd
def test_it_is_nothing_to_import(
    tmp_path: Path, make: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "libvirt-guests"
    make(path)
    assert run(["config", "import", str(path)]) == 2
    assert str(path) in capfd.readouterr().err


DAMAGE: dict[str, str] = {
    "deep lists": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deeper than anybody means": "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
    "a huge number": "9" * 400,
    "a number that Python refuses": "9" * 6000,
    "a number that is infinite": "1e999",
    "infinity": "Infinity",
    "no number": "NaN",
}


@pytest.mark.parametrize("text", DAMAGE.values(), ids=DAMAGE)
def test_json_that_we_would_not_have_written_is_a_value_error(text: str) -> None:
    for whole in (text, f"[{text}]", f'{{"a": {text}}}'):
        with pytest.raises(ValueError, match=r"."):
            from_json(whole)


def test_json_that_we_write_is_read() -> None:
    content = {"a": [1, 2.5, None, True, {"b": "[" * 1000}], "c": -(2**63), "d": 2**64 - 1}
    assert from_json(json.dumps(content)) == content


def odd_values(text: str) -> Iterator[Any]:
    """What may stand where a number, a text or a list is expected."""
    for said in ("null", "true", "[]", "{}", '"x"', "-1", "1e300", "[[[]]]", '["x"]'):
        yield json.loads(said)
    yield text


def test_a_note_with_odd_values_is_none_or_can_be_used(tmp_path: Path) -> None:
    board = NoticeBoard(tmp_path)
    whole = {"reason": "power", "ends": 1e9, "until": 1e9, "boot": boot_id()}
    for key in whole:
        for odd_value in odd_values("x"):
            board.path.write_text(json.dumps({**whole, key: odd_value}))
            found = board.read()
            assert found is None or found.left() is None or (found.left() or 0) >= 0


def test_a_request_with_odd_values_is_taken_away(tmp_path: Path) -> None:
    whole = {"reason": "power", "ends": 1e9, "announced": False, "by": 1}
    values: list[tuple[str, object]] = [
        ("reason", 5),
        ("reason", "nonsense"),
        ("ends", "x"),
        ("announced", []),
        ("by", {}),
    ]
    for key, odd_value in values:
        (tmp_path / "join.json").write_text(json.dumps({**whole, key: odd_value}))
        assert Mailbox(tmp_path).request() is None
        assert not (tmp_path / "join.json").exists()


def test_an_answer_with_odd_values_is_none(tmp_path: Path) -> None:
    whole = {"accepted": True, "message": "m", "run": "r", "connections": ["u"], "to": os.getpid()}
    values: list[tuple[str, object]] = [
        ("accepted", 5),
        ("message", None),
        ("run", []),
        ("connections", 5),
        ("connections", [5]),
    ]
    for key, odd_value in values:
        (tmp_path / "answer.json").write_text(json.dumps({**whole, key: odd_value}))
        assert Mailbox(tmp_path).answer() is None


@pytest.mark.parametrize("process", [-1, 0, 1 << 40, 10**19, "1", True, None])
def test_a_lock_that_names_no_process_names_nobody_who_could_be_sent_a_signal(tmp_path: Path, process: object) -> None:
    lock = RunLock(tmp_path)
    lock.take(Holder("shutdown", "manual", os.getpid()))
    lock.path.write_text(json.dumps({"kind": "shutdown", "reason": "manual", "process": process}))
    assert lock.holder() is None
    lock.release()


def test_times_that_no_guest_takes_are_no_history(tmp_path: Path) -> None:
    name = " ".join(KEY)
    past: dict[str, Any] = {"seen": "2026-01-01", "times": [["acpi", 3]], "calls": {"on_guest_stop x": [2]}}
    bad: Any = ([-1], ["nan"], [None], 5, "12", [[1]], [["acpi"]], [["acpi", -1]], [["acpi", None]], [["acpi", 1, 2]])
    broken: list[Any] = ["x", [], None, *({**past, "times": times} for times in bad)]
    calls: Any = (5, [], {"on_guest_stop x": 5}, {"on_guest_stop x": [-1]})
    broken += [{**past, "calls": told} for told in calls]
    for told in (past, *broken):
        (tmp_path / "history.json").write_text(json.dumps({"version": 2, "run": past, "guests": {name: told}}))
        history = History(tmp_path)
        history.load()
        assert (history.usual(KEY) is None) is (told is not past)
        assert (history.usual_call("on_guest_stop", "x") is None) is (told is not past)


ENTRY = {
    "uri": "qemu:///system", "uuid": "a", "name": "a", "driver": "QEMU", "state": "running", "run": "r",
    "boot_id": "b", "since": "2026-01-01T00:00:00+00:00", "due": False, "parked": False, "cause": "hand",
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [("since", "yesterday"), ("since", "2026-01-01T00:00:00"), ("due", "no"), ("parked", 1), ("left", None),
     ("cause", "x"), ("cause", []), ("state", []), ("name", {}), ("restarts", [])]
)  # fmt: skip
def test_a_list_with_odd_values_is_damaged(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"version": 1, "guests": [ENTRY]}))
    assert open_state(tmp_path).entries
    path.write_text(json.dumps({"version": 1, "guests": [{**ENTRY, key: value}]}))
    with pytest.raises(StateInvalid):
        open_state(tmp_path)


@pytest.mark.parametrize("text", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("key", ["version", "guests", "boot", "previous_boot", "restored_in"])
def test_a_list_of_deep_or_huge_values_is_damaged(tmp_path: Path, key: str, text: str) -> None:
    whole = {"version": "1", "guests": "[]"} | {key: text}
    (tmp_path / "state.json").write_text("{" + ", ".join(f'"{name}": {said}' for name, said in whole.items()) + "}")
    with pytest.raises(StateInvalid):
        open_state(tmp_path)


@pytest.mark.parametrize("text", DAMAGE.values(), ids=DAMAGE)
def test_a_run_log_of_deep_or_huge_values_is_damaged(tmp_path: Path, text: str) -> None:
    log = tmp_path / "20260101T000000Z-abcd.jsonl"
    log.write_text(f'{{"type": "RunEnded", "at": 1.0, "exit_code": {text}}}\n')
    with pytest.raises(ValueError, match=r"."):
        list(read_log(log))
    assert list(past_runs(tmp_path)) == []
