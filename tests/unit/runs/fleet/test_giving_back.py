"""When a host gives the lock back: after a boot, once everybody is back; and what it remembers of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lastcall
from json_documents import hold_against_schema
from lab.fleetlock import Locks, over_tcp, saying
from lastcall import Guest, GuestState, Run
from lastcall.cli.commands.lock import AGAIN, take_in_time
from lastcall.cli.invocation import Invocation
from lastcall.cli.main import run
from lastcall.cli.unit import restore_at_boot
from lastcall.config.sections.fleet_lock import FleetLockSettings
from lastcall.config.settings import PathSettings, Settings
from lastcall.errors import ExitCode, Severity
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.fleet.held_lock import HeldLockFile
from lastcall.persistence.fleet.maintenance import Maintenance, MaintenanceFile
from lastcall.persistence.state import StateFile
from lastcall.runs.fleet.check import check_fleet_lock
from lastcall.runs.fleet.host_lock import HostLock
from lastcall.runs.fleet.lock_server import LockRefused, LockUnanswered
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.testing.memory import FakeGuest, Hangs, run_restore, run_shutdown


@pytest.fixture
def locks() -> Locks:
    return Locks()


@pytest.fixture
def url(locks: Locks) -> Iterator[str]:
    with over_tcp(locks) as port:
        yield f"http://127.0.0.1:{port}"


def lock_at(url: str, folder: Path, name: str = "a", timeout: float = 1.0) -> HostLock:
    return HostLock(FleetLockSettings(url=url, id=name, timeout=timeout), folder)


def taken_in_a_boot_before(url: str, folder: Path) -> HeldLockFile:
    """The lock, and what is remembered of it after a boot."""
    held = lock_at(url, folder).take()
    file = HeldLockFile(folder)
    file.write(replace(held, boot="before"))
    return file


def section(url: str) -> str:
    return f"fleet_lock: {{url: '{url}', id: a, timeout: 1s}}"


def test_it_is_given_back_by_the_restore_that_brings_everybody_back(tmp_path: Path, url: str, locks: Locks) -> None:
    guests = [FakeGuest("web"), FakeGuest("db")]
    run_shutdown(tmp_path, guests)
    file = taken_in_a_boot_before(url, tmp_path)
    guests[1].state = GuestState.RUNNING  # present: somebody else was quicker
    report = run_restore(tmp_path, guests, config=section(url), at_boot=True)
    assert (report.run.exit_code, report.problems) == (0, ())
    assert (locks.holders, file.read()) == ({"default": set()}, None)


def test_so_it_is_where_nobody_had_to_be_brought_back_and_where_nobody_is_to_be(
    tmp_path: Path, url: str, locks: Locks
) -> None:
    taken_in_a_boot_before(url, tmp_path)
    run_restore(tmp_path, [], config=section(url), at_boot=True)
    assert locks.holders == {"default": set()}
    run_shutdown(tmp_path, [FakeGuest("web")])
    taken_in_a_boot_before(url, tmp_path)
    run_restore(tmp_path, [], config=f"{section(url)}\nrestore: {{policy: none}}", at_boot=True)
    assert locks.holders == {"default": set()}


def test_it_is_given_back_where_it_was_taken_also_once_the_section_has_gone(
    tmp_path: Path, url: str, locks: Locks
) -> None:
    taken_in_a_boot_before(url, tmp_path)
    run_restore(tmp_path, [], at_boot=True)
    assert locks.holders == {"default": set()}


def test_while_one_is_not_back_it_is_kept_and_a_later_restore_gives_it_back(
    tmp_path: Path, url: str, locks: Locks
) -> None:
    guests = [FakeGuest("web"), FakeGuest("db", starts_after=3)]
    run_shutdown(tmp_path, guests)
    file = taken_in_a_boot_before(url, tmp_path)
    config = f"{section(url)}\nrestore: {{attempts: 1}}"
    report = run_restore(tmp_path, guests, config=config, at_boot=True)
    (told,) = [one.message for one in report.problems if one.what == "fleet lock"]
    assert "not back: db" in told
    assert locks.holders == {"default": {"a"}}
    assert file.read()
    run_restore(tmp_path, guests, config=config, names=["db"])
    run_restore(tmp_path, guests, config=config, names=["db"])
    assert (locks.holders, file.read()) == ({"default": set()}, None)


class NeverReady:
    """A plugin by which these guests do not get ready."""

    def __init__(self, *names: str) -> None:
        self._names = names

    @lastcall.hookimpl
    def guest_ready(self, guest: Guest, run: Run) -> bool:
        return guest.name not in self._names


def test_started_and_not_ready_is_not_back_until_a_person_says_so(tmp_path: Path, url: str, locks: Locks) -> None:
    guest = FakeGuest("web")
    run_shutdown(tmp_path, [guest])
    taken_in_a_boot_before(url, tmp_path)
    config = f"{section(url)}\nrestore: {{ready_timeout: 5s}}"
    run_restore(tmp_path, [guest], plugins={"p": NeverReady("web")}, config=config, at_boot=True)
    report = run_restore(tmp_path, [guest], config=config, at_boot=True)  # the unit is begun again: nobody is due now
    assert [one.message for one in report.problems if "not ready: web" in one.message]
    assert locks.holders == {"default": {"a"}}
    run_restore(tmp_path, [guest], config=config)
    assert locks.holders == {"default": set()}


@pytest.mark.parametrize("asked_for", [{"names": ["web"]}, {"causes": ["shed"]}, {"causes": ["host"]}])
def test_a_restore_of_others_does_not_say_that_one_is_well_who_did_not_become_ready(
    tmp_path: Path, url: str, locks: Locks, asked_for: dict[str, Any]
) -> None:
    guests, config = [FakeGuest("web"), FakeGuest("db")], f"{section(url)}\nrestore: {{ready_timeout: 5s}}"
    run_shutdown(tmp_path, guests)
    file = taken_in_a_boot_before(url, tmp_path)
    run_restore(tmp_path, guests, plugins={"p": NeverReady("db")}, config=config, at_boot=True)
    run_shutdown(tmp_path, guests[:1])
    report = run_restore(tmp_path, guests, config=config, **asked_for)
    assert [one.message for one in report.problems if "not ready: db" in one.message]
    held = file.read()
    assert (locks.holders, held and held.unready) == ({"default": {"a"}}, ("db",))


def test_who_is_started_once_more_and_ready_is_well_name_by_name(tmp_path: Path, url: str, locks: Locks) -> None:
    guests, config = [FakeGuest("web"), FakeGuest("db")], f"{section(url)}\nrestore: {{ready_timeout: 5s}}"
    run_shutdown(tmp_path, guests)
    file = taken_in_a_boot_before(url, tmp_path)
    run_restore(tmp_path, guests, plugins={"p": NeverReady("db", "web")}, config=config, at_boot=True)
    for ready, unready in (((), ("web", "db")), (("web",), ("db",)), (("db",), None)):
        run_shutdown(tmp_path, guests)
        late = NeverReady(*({"web", "db"} - set(ready)))
        for name in ready or ("web",):
            run_restore(tmp_path, guests, plugins={"p": late}, config=config, names=[name])
        held = file.read()
        assert (held and set(held.unready)) == (unready and set(unready))
    assert locks.holders == {"default": set()}


def test_who_runs_already_was_not_waited_for_and_may_not_be_ready_still(tmp_path: Path, url: str, locks: Locks) -> None:
    guest, config = FakeGuest("db"), f"{section(url)}\nrestore: {{ready_timeout: 5s}}"
    run_shutdown(tmp_path, [guest])
    taken_in_a_boot_before(url, tmp_path)
    run_restore(tmp_path, [guest], plugins={"p": NeverReady("db")}, config=config, at_boot=True)
    run_shutdown(tmp_path, [guest])
    guest.state = GuestState.RUNNING
    run_restore(tmp_path, [guest], config=config, names=["db"])
    assert locks.holders == {"default": {"a"}}


@pytest.mark.parametrize("held", ["by nobody", "in this boot", "since an earlier boot"])
def test_where_the_time_is_over_only_a_lock_that_is_to_be_given_back_is_a_problem(
    tmp_path: Path, url: str, held: str
) -> None:
    guest = FakeGuest("web")
    run_shutdown(tmp_path, [guest])
    if held == "in this boot":
        lock_at(url, tmp_path).take()
    elif held != "by nobody":
        taken_in_a_boot_before(url, tmp_path)
    config = "restore: {deadline: 20s, ready_timeout: 10min}"
    report = run_restore(tmp_path, [guest], plugins={"p": NeverReady("web")}, config=config, at_boot=True)
    assert report.run.duration >= 20
    told = [one.message for one in report.problems if one.what == "fleet lock"]
    assert told == (["it is not given back: no answer in time"] if held == "since an earlier boot" else [])


def test_a_note_of_the_lock_on_a_disk_that_hangs_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_file: HeldLockFile) -> None:
        raise Hangs

    monkeypatch.setattr(HeldLockFile, "read", hang)
    report = run_restore(tmp_path, [], at_boot=True)
    assert not [one for one in report.problems if one.what == "fleet lock"]


def test_in_the_boot_in_which_it_was_taken_no_restore_gives_it_back(tmp_path: Path, url: str, locks: Locks) -> None:
    lock_at(url, tmp_path).take()
    guest = FakeGuest("web")
    run_shutdown(tmp_path, [guest])
    run_restore(tmp_path, [guest], config=section(url))
    assert locks.holders == {"default": {"a"}}


def test_it_is_kept_while_the_host_is_in_maintenance_and_where_a_connection_is_missing(
    tmp_path: Path, url: str, locks: Locks
) -> None:
    taken_in_a_boot_before(url, tmp_path)
    maintenance = MaintenanceFile(tmp_path)
    maintenance.write(Maintenance.begun_now(()))
    run_restore(tmp_path, [], config=section(url))
    maintenance.remove()
    guest = FakeGuest("web")
    report = run_restore(tmp_path, [guest], config=section(url), at_boot=True, dead=[guest.uri])
    assert [one.message for one in report.problems if "did not come to its end" in one.message]
    assert locks.holders == {"default": {"a"}}


def test_a_server_that_does_not_answer_then_is_a_problem_of_the_report_and_asked_again_later(
    tmp_path: Path, locks: Locks
) -> None:
    with over_tcp(locks) as port:
        url = f"http://127.0.0.1:{port}"
        file = taken_in_a_boot_before(url, tmp_path)
    report = run_restore(tmp_path, [], config=section(url), at_boot=True)
    assert [one.message for one in report.problems if "not given back" in one.message]
    assert report.run.exit_code == 1
    assert file.read()


def test_what_a_server_says_no_to_is_not_remembered(tmp_path: Path, url: str) -> None:
    lock_at(url, tmp_path / "other", "b").take()
    with pytest.raises(LockRefused):
        lock_at(url, tmp_path).take()
    assert HeldLockFile(tmp_path).read() is None


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 500 No\r\n\r\n"])
def test_what_may_be_held_is_remembered_before_it_is_asked_for_and_until_it_is_given_back(
    tmp_path: Path, answer: bytes
) -> None:
    with saying(answer) as port, pytest.raises(LockUnanswered):
        lock_at(f"http://127.0.0.1:{port}", tmp_path).take()
    held = HeldLockFile(tmp_path).read()
    assert held is not None
    assert not held.sure
    with over_tcp(Locks()) as other, pytest.raises(lastcall.LastcallError, match="holds the lock default of"):
        lock_at(f"http://127.0.0.1:{other}", tmp_path).take()


def test_a_lock_that_came_too_late_is_given_back_at_once(tmp_path: Path) -> None:
    class Slow(Locks):
        def answer(self, endpoint: str, headers: object, body: bytes) -> tuple[int, dict[str, str]]:
            found = super().answer(endpoint, headers, body)
            return (503, {}) if endpoint.endswith("pre-reboot") else found

    locks = Slow()
    with over_tcp(locks) as port, pytest.raises(LockUnanswered):
        lock_at(f"http://127.0.0.1:{port}", tmp_path).take()
    assert (locks.holders, HeldLockFile(tmp_path).read()) == ({"default": set()}, None)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"url": 1}', "\x00", '{"url": "u", "group": "g", "id": "i", "since": "x"}']
)
def test_a_note_that_says_nothing_is_told_and_to_give_the_lock_back_removes_it(
    tmp_path: Path, url: str, locks: Locks, text: str
) -> None:
    ours = lock_at(url, tmp_path)
    ours.take()
    file = HeldLockFile(tmp_path)
    file.path.write_text(text)
    report = run_restore(tmp_path, [], config=section(url), at_boot=True)
    assert [one.message for one in report.problems if "cannot be understood" in one.message]
    ours.give_back()
    assert (locks.holders, file.path.exists()) == ({"default": set()}, False)


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\n{section(url)}\n")
    return path


def call(config: Path, *words: str) -> int:
    return run(("--config", str(config), *words), Invocation())


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What systemd was told."""
    words = list[tuple[str, ...]]()

    def tell(_systemctl: Systemctl, *given: str) -> str:
        words.append(given)
        return ""

    monkeypatch.setattr(Systemctl, "tell", tell)
    return words


def test_reboot_takes_the_lock_first_and_refuses_while_another_host_holds_it(
    tmp_path: Path, url: str, locks: Locks, config: Path, told: list[tuple[str, ...]],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    other = lock_at(url, tmp_path / "other", "b")
    other.take()
    for words in (("reboot",), ("reboot", "--anyway"), ("lock", "take")):
        assert call(config, *words) == ExitCode.LOCKED
        assert "all slots are taken, by b" in capfd.readouterr().err
    assert told == []
    assert call(config, "lock", "release", "--id", "b") == ExitCode.OK
    assert call(config, "reboot") == ExitCode.OK
    assert (told, locks.holders) == ([("reboot",)], {"default": {"a"}})
    assert call(config, "lock", "show") == ExitCode.OK
    assert "holds the fleet lock default" in capfd.readouterr().out


def test_while_the_server_is_silent_reboot_refuses_unless_it_is_told_to_go_on_anyway(
    locks: Locks, config: Path, told: list[tuple[str, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    with saying(b"") as port:
        pass
    text = config.read_text()
    config.write_text(text.replace(text.split("127.0.0.1:")[1].split("'")[0], str(port)))
    assert call(config, "reboot") == ExitCode.LOCKED
    assert "--anyway" in capfd.readouterr().err
    assert told == []
    assert call(config, "reboot", "--anyway") == ExitCode.OK
    assert (told, locks.asked) == ([("reboot",)], [])


def test_a_reboot_that_systemd_refuses_gives_the_lock_back(
    monkeypatch: pytest.MonkeyPatch, locks: Locks, config: Path
) -> None:
    def refuse(_systemctl: Systemctl, *_words: str) -> str:
        raise SystemctlFailed("systemctl reboot: there are inhibitors")

    monkeypatch.setattr(Systemctl, "tell", refuse)
    assert call(config, "reboot") == ExitCode.NOT_AS_PLANNED
    assert locks.holders == {"default": set()}


def test_without_a_server_in_the_configuration_the_commands_say_what_is_missing(
    config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\n")
    for words in (("reboot",), ("lock", "take"), ("lock", "show")):
        assert call(config, *words) == ExitCode.USAGE
        assert "fleet_lock.url is missing" in capfd.readouterr().err


@pytest.mark.parametrize("url", [
    "locks.example.org", "ftp://locks", "https://", "https://user:secret@locks", "https://locks/?a=b", "https://locks:0",
    "https://locks:port", "https://lo cks", "https://löcks", "https://[::1", "unix:/run/locks",
])  # fmt: skip
def test_what_is_no_url_of_a_server_is_an_error_of_the_configuration(url: str) -> None:
    with pytest.raises(ValueError, match=r"such as https://locks\.example\.org"):
        FleetLockSettings(url=url)


def test_check_tells_of_a_lock_server_that_cannot_be_reached_and_of_a_lock_that_is_held_for_nobody(
    tmp_path: Path, url: str
) -> None:
    settings = Settings(
        fleet_lock=FleetLockSettings(url=url, id="a"), paths=PathSettings(state=tmp_path, run=tmp_path, hooks=tmp_path)
    )
    assert list(check_fleet_lock(settings)) == []
    taken_in_a_boot_before(url, tmp_path)
    (held,) = check_fleet_lock(settings)
    assert (held.severity, "holds the fleet lock" in held.message) == (Severity.WARNING, True)
    with saying(b"") as port:
        pass
    silent = FleetLockSettings(url=f"http://127.0.0.1:{port}", id="a")
    assert [one.severity for one in check_fleet_lock(settings.model_copy(update={"fleet_lock": silent}))] == [
        Severity.WARNING, Severity.ERROR,
    ]  # fmt: skip


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The restore of this boot is over, nobody is due, and the unit is begun again; returns what systemd is told."""
    state = StateFile(tmp_path)
    state.stamp(boot_id())
    state.restored_in = boot_id()
    state.save()
    begun = list[str]()
    monkeypatch.setenv("INVOCATION_ID", "abc")
    monkeypatch.setattr(restore_at_boot, "begin_again", lambda: begun.append("again"))
    return begun


def test_a_server_that_was_silent_is_asked_again_by_the_unit_until_it_answers(
    tmp_path: Path, locks: Locks, url: str, config: Path, later: list[str]
) -> None:
    file = taken_in_a_boot_before(url, tmp_path)
    held = file.read()
    assert held
    with saying(b"") as silent:
        file.write(replace(held, url=f"http://127.0.0.1:{silent}"))
        assert call(config, "restore", "--from-unit") == ExitCode.WAITING
    assert (later, locks.holders) == (["again"], {"default": {"a"}})
    file.write(held)
    assert call(config, "restore", "--from-unit") == ExitCode.OK
    assert (later, locks.holders, file.read()) == (["again"], {"default": set()}, None)


def test_take_waits_while_another_host_holds_it_as_long_as_it_is_told(
    tmp_path: Path, url: str, locks: Locks, config: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    other = lock_at(url, tmp_path / "other", "b")
    other.take()
    paused = list[float]()

    def pause(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 3:
            other.give_back()

    assert take_in_time(lock_at(url, tmp_path), 60.0, pause).sure
    assert (paused, capfd.readouterr().err.count("asks again")) == ([AGAIN] * 3, 1)
    for words in (("lock", "take"), ("lock", "show"), ("lock", "release")):
        assert call(config, *words, "--json") == ExitCode.OK
        hold_against_schema(capfd.readouterr().out, *words)
    assert locks.holders == {"default": set()}


def test_a_restore_that_a_plugin_aborts_gives_it_back_to_nobody_also_where_nobody_was_due(
    tmp_path: Path, url: str, locks: Locks
) -> None:
    """Nobody has seen whether what this host does for others is there."""

    class Aborts:
        @lastcall.hookimpl
        def pre_restore(self) -> None:
            raise lastcall.HookFailed("storage is not there")

    taken_in_a_boot_before(url, tmp_path)
    config = section(url) + "\nhooks: {plugins: {aborts: {on_failure: abort}}}"
    report = run_restore(tmp_path, [], at_boot=True, config=config, plugins={"aborts": Aborts()})
    assert any("did not come to its end" in problem.message for problem in report.problems)
    assert locks.holders == {"default": {"a"}}
