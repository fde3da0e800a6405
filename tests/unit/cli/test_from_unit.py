"""What the unit's stop leaves for the shell script that comes after it."""

from pathlib import Path

import pytest

from lastcall.api.guests import Guest, Reason
from lastcall.api.results import Report
from lastcall.cli.invocation import Invocation
from lastcall.cli.main import run
from lastcall.cli.unit import host_stop, restore_at_boot
from lastcall.errors import ExitCode
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.state import StateFile, open_state
from lastcall.systemd.systemctl import Systemctl
from lastcall.testing.memory import FakeGuest, run_shutdown

FIRST, AGAIN = ("shutdown", "--from-unit"), ("shutdown", "--from-unit", "--again")


@pytest.fixture
def invocation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invocation:
    monkeypatch.setenv("INVOCATION_ID", "abc")
    config = tmp_path / "config.yaml"
    config.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\n")
    return Invocation(config=config)


def test_a_stop_that_a_bug_ends_is_left_to_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invocation: Invocation
) -> None:
    def bug(_systemctl: Systemctl) -> Reason:
        raise ZeroDivisionError

    monkeypatch.setattr(host_stop, "host_stop", bug)
    assert run(FIRST, invocation) == ExitCode.INTERNAL
    assert run(AGAIN, invocation) == ExitCode.OK, "no run had begun with which it could go on"
    assert not (tmp_path / "answered").exists()


def test_a_stop_of_the_unit_alone_is_not_left_to_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invocation: Invocation
) -> None:
    def stays(_systemctl: Systemctl) -> None:
        return None

    def ask(_systemctl: Systemctl, *_words: str) -> str:
        return ""

    monkeypatch.setattr(host_stop, "host_stop", stays)
    monkeypatch.setattr(Systemctl, "ask", ask)
    assert run(FIRST, invocation) == ExitCode.OK
    assert (tmp_path / "answered").read_text() == "abc\n"


def test_neither_is_one_that_ends_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invocation: Invocation
) -> None:
    def stops(_systemctl: Systemctl) -> Reason:
        return Reason.POWEROFF

    monkeypatch.setattr(host_stop, "host_stop", stops)
    assert invocation.config is not None
    invocation.config.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\nshutdown: {{deadline: soon}}\n")
    assert run(FIRST, invocation) == ExitCode.CONFIG_INVALID
    assert (tmp_path / "answered").exists()


@pytest.fixture
def waiting(tmp_path: Path, invocation: Invocation) -> StateFile:
    """The list after the restore of this boot, with a guest whose disk had not come."""
    assert invocation.config is not None
    state = StateFile(tmp_path)
    state.stamp("before")
    # A world of its own: the default one is everybody's in this process.
    world = tmp_path / "world.xml"
    world.write_text(
        "<node><domain type='test'><name>test</name><uuid>6695eb01-f6a4-8304-79aa-97f2502e193f</uuid>"
        "<memory>8192</memory><os><type>hvm</type></os></domain></node>"
    )
    uri = f"test://{world}"
    guest = Guest(uri=uri, uuid="6695eb01-f6a4-8304-79aa-97f2502e193f", name="test", driver="TEST")
    (entry,) = state.add([guest], run="r", boot_id="before", cause="host", due=True)
    state.stamp(boot_id())
    state.restored_in = boot_id()
    state.note_wait(entry.guest.key, str(tmp_path / "srv" / "disk.img"))
    state.save()
    invocation.config.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\nconnections: ['{uri}']\n")
    return state


def test_while_what_its_guests_need_is_not_there_the_restore_unit_ends_at_once_and_is_begun_again(
    tmp_path: Path,
    invocation: Invocation,
    waiting: StateFile,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = list[str]()
    monkeypatch.setattr(restore_at_boot, "begin_again", lambda: begun.append("again"))
    before = waiting.path.read_text()
    assert run(("restore", "--from-unit"), invocation) == ExitCode.WAITING
    assert f"test waits for {tmp_path}/srv/disk.img" in capfd.readouterr().err
    assert waiting.path.read_text() == before
    assert begun == ["again"]
    assert not (tmp_path / "runs").exists(), "no run, and nobody is told of one"


def test_once_it_is_there_the_restore_unit_brings_them_back(
    tmp_path: Path, invocation: Invocation, waiting: StateFile
) -> None:
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "disk.img").touch()
    assert run(("restore", "--from-unit"), invocation) == ExitCode.OK
    waiting.load()
    assert waiting.entries == {}


def test_a_unit_brings_back_nobody_of_a_session_and_opens_no_connection_to_it(
    tmp_path: Path, invocation: Invocation, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it would start there ends with the unit."""
    assert invocation.config is not None
    state = StateFile(tmp_path)
    state.stamp("before")
    guest = Guest(uri="qemu:///session", uuid="6695eb01-f6a4-8304-79aa-97f2502e193f", name="hers", driver="QEMU")
    state.add([guest], run="r", boot_id="before", cause="host", due=True)
    state.save()
    invocation.config.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\nconnections: ['qemu:///session']\n")
    for told in ("serves runs by hand only", "nothing is due"):  # the first restore of a boot, and a later one
        assert run(("restore", "--from-unit"), invocation) == ExitCode.OK
        assert told in "".join(capfd.readouterr())
    assert [entry.name for entry in open_state(tmp_path).entries.values()] == ["hers"]


@pytest.mark.parametrize(("setting", "deaf", "note"), [
    ("fail_unit: true", True, "abc failed\n"), ("fail_unit: true", False, "abc\n"), ("fail_unit: false", True, "abc\n"),
])  # fmt: skip
def test_the_unit_of_a_host_stop_fails_only_by_a_setting_and_only_where_a_guest_was_forced_off(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    invocation: Invocation,
    setting: str,
    note: str,
    *,
    deaf: bool,
) -> None:
    def stops(_systemctl: Systemctl) -> Reason:
        return Reason.POWEROFF

    def perform(*_: object) -> Report:
        guest = FakeGuest("db-1", deaf_to=frozenset({"acpi", "agent"} if deaf else ()))
        return run_shutdown(tmp_path, [guest], reason=Reason.POWEROFF)

    monkeypatch.setattr(host_stop, "host_stop", stops)
    monkeypatch.setattr(host_stop, "perform", perform)
    assert invocation.config is not None
    invocation.config.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\nshutdown: {{{setting}}}\n")
    assert run(FIRST, invocation) == int(deaf)
    assert run(AGAIN, invocation) == ExitCode.OK
    assert (tmp_path / "answered").read_text() == note
