"""What must survive a reboot, and what happened."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lastcall import Guest, GuestState
from lastcall.persistence.state import StateFile, StateInvalid
from lastcall.records.report_builder import ReportBuilder
from lastcall.records.run_log import read_log
from lastcall.report.text import report_json
from lastcall.testing.memory import FakeGuest, run_restore, run_shutdown

A = Guest(uri="qemu:///system", uuid="a", name="a")
B = Guest(uri="qemu:///system", uuid="b", name="b", state=GuestState.PAUSED)


def saved(folder: Path) -> StateFile:
    state = StateFile(folder)
    state.add([A, B], run="r", boot_id="boot", cause="host", due=False)
    state.save()
    return state


def test_what_was_saved_is_loaded_again(tmp_path: Path) -> None:
    saved(tmp_path)
    state = StateFile(tmp_path)
    state.load()
    assert list(state.entries) == [A.key, B.key]
    assert state.entries[B.key].guest.state is GuestState.PAUSED
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_folders_that_are_made_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    run_shutdown(tmp_path / "var" / "state", [FakeGuest("a")])
    made = [tmp_path / "var", tmp_path / "var" / "state", tmp_path / "var" / "state" / "runs"]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700] * 3


def test_no_file_means_no_guests(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.load()
    assert state.entries == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 2, "guests": []}',
        '{"version": 1}',
        '{"version": 1, "guests": [{"uri": 5}]}',
        '{"version": 1, "guests": ["7"]}',
        '{"version": 1, "guests": [null]}',
        "\xff",
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text, encoding="latin-1")
    state = StateFile(tmp_path)
    with pytest.raises(StateInvalid) as caught:
        state.load()
    assert str(path) in str(caught.value)
    aside = state.set_aside()
    assert aside.read_text(encoding="latin-1") == text


def moved(folder: Path, *where: str) -> Path:
    """A list with a guest that may be at these hosts; returns the file."""
    state = StateFile(folder)
    state.add([A], run="r", boot_id="boot", cause="host", due=True)
    state.note_place(A.key, where)
    state.save()
    return state.path


def test_where_a_guest_was_moved_to_is_loaded_again(tmp_path: Path) -> None:
    moved(tmp_path, "qemu+tls://hb/system", "qemu+tls://hc/system")
    state = StateFile(tmp_path)
    state.load()
    assert state.entries[A.key].where == ("qemu+tls://hb/system", "qemu+tls://hc/system")


def test_what_is_open_of_a_guest_goes_on_to_be_when_it_is_listed_once_more(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.add([A, B], run="1", boot_id="boot", cause="hand", due=False, restarting=[A.key])
    state.park(A.key)
    state.note_place(A.key, ["qemu+tls://hb/system"])
    state.add([A, B], run="2", boot_id="boot", cause="host", due=True)
    a, b = state.entries[A.key], state.entries[B.key]
    assert (a.run, a.restarts, a.where, a.parked) == ("2", True, ("qemu+tls://hb/system",), False)
    assert (b.run, b.restarts, b.where) == ("2", False, ())


@pytest.mark.parametrize("where", ['"qemu+tls://hb/system"', "null", "{}", "5", '[""]', "[5]", '[["a"]]', "true"])
def test_a_place_that_is_no_list_of_uris_is_no_reason_to_start_the_guest_here(tmp_path: Path, where: str) -> None:
    path = moved(tmp_path, "qemu+tls://hb/system")
    path.write_text(path.read_text().replace('["qemu+tls://hb/system"]', where))
    with pytest.raises(StateInvalid):
        StateFile(tmp_path).load()


def test_of_a_list_that_others_could_write_no_host_is_opened_and_who_was_moved_is_left_out(tmp_path: Path) -> None:
    path = moved(tmp_path, "qemu+ssh://hb/system?command=/tmp/sh")
    path.chmod(0o666)
    state = StateFile(tmp_path)
    state.load()
    assert state.entries == {}
    assert state.distrust
    assert "left out" in state.distrust.message


@pytest.mark.parametrize("more", ['"later":1', '"later":{"a":[null]}', '"":""'])
def test_what_a_later_version_knows_of_a_guest_besides_costs_nobody_their_return(tmp_path: Path, more: str) -> None:
    saved(tmp_path)
    path = tmp_path / "state.json"
    path.write_text(path.read_text().replace('{"uri"', f'{{{more},"uri"', 1))
    state = StateFile(tmp_path)
    state.load()
    assert list(state.entries) == [A.key, B.key]


@pytest.mark.parametrize("served", ['"qemu:///system"', "null", "{}", "5", '[""]', "[5]"])
def test_connections_that_were_served_are_a_list_of_uris_or_the_list_is_refused(tmp_path: Path, served: str) -> None:
    state = saved(tmp_path)
    state.path.write_text(state.path.read_text().replace('"served": []', f'"served": {served}'))
    with pytest.raises(StateInvalid):
        StateFile(tmp_path).load()


def test_a_save_that_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    state = saved(tmp_path)
    before = (tmp_path / "state.json").read_text()
    (tmp_path / "state.new").mkdir()  # the fresh file cannot be written
    state.drop([A.key])
    with pytest.raises(OSError, match=r"state\.new"):
        state.save()
    assert (tmp_path / "state.json").read_text() == before


def test_of_writes_that_overlap_or_come_late_the_latest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateFile(tmp_path)
    empty = state.snapshot()
    state.add([A], run="r", boot_id="boot", cause="host", due=False)
    one = state.snapshot()
    state.add([B], run="r", boot_id="boot", cause="host", due=False)
    both = state.snapshot()
    begun, goes_on, sync = threading.Event(), threading.Event(), os.fsync

    def slow(descriptor: int) -> None:
        begun.set()
        assert goes_on.wait(20)
        sync(descriptor)

    monkeypatch.setattr("os.fsync", slow)
    with ThreadPoolExecutor() as threads:
        given_up = threads.submit(one)
        assert begun.wait(20)
        last = threads.submit(both)
        goes_on.set()
        given_up.result(20)
        last.result(20)
        threads.submit(empty).result(20)
    found = StateFile(tmp_path)
    found.load()
    assert list(found.entries) == [A.key, B.key]
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_guests_still_off_from_an_earlier_run_of_this_boot_become_due_when_the_host_stops(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.add([A], run="1", boot_id="now", cause="host", due=False)
    assert not state.entries[A.key].due
    state.make_due("now")
    state.add([B], run="2", boot_id="now", cause="host", due=True)
    assert all(entry.due for entry in state.entries.values())
    other = StateFile(tmp_path)
    other.add([A], run="1", boot_id="before", cause="host", due=False)
    other.make_due("now")
    other.add([B], run="2", boot_id="now", cause="host", due=True)
    assert [entry.due for entry in other.entries.values()] == [False, True]


def test_the_run_log_read_back_gives_the_same_report(tmp_path: Path) -> None:
    guests = [FakeGuest("a", takes=2), FakeGuest("deaf", deaf_to=frozenset({"acpi"}))]
    report = run_shutdown(tmp_path, guests, config="defaults: {stop: [{acpi: {timeout: 5s}}, destroy, nosuch]}")
    (log,) = (tmp_path / "runs").iterdir()
    assert report_json(ReportBuilder(read_log(log)).report()) == report_json(report)
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_run_log_that_was_cut_off_is_readable_up_to_there(tmp_path: Path) -> None:
    run_shutdown(tmp_path, [FakeGuest("a")], config="defaults: {stop: [acpi]}")
    (log,) = (tmp_path / "runs").iterdir()
    whole = log.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(lines[0]), len(whole), 7):
        log.write_bytes(whole[:cut])
        complete = whole[:cut].count(b"\n")
        assert len(list(read_log(log))) == complete
        if complete:
            ReportBuilder(read_log(log)).report()


def test_every_line_of_the_run_log_is_json_with_its_kind_and_time(tmp_path: Path) -> None:
    run_shutdown(tmp_path, [FakeGuest("a")], config="defaults: {stop: [acpi]}")
    (log,) = (tmp_path / "runs").iterdir()
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [records[0]["type"], len(records), records[-1]["type"]] == ["RunStarted", 9, "RunEnded"]
    times = [record["at"] for record in records]
    assert times == sorted(times)


@pytest.mark.parametrize("kind", ["state", "runs"])
def test_a_state_folder_that_cannot_be_written_does_not_stop_the_run(tmp_path: Path, kind: str) -> None:
    blocker = tmp_path / ("state.new" if kind == "state" else "runs")
    blocker.mkdir() if kind == "state" else blocker.write_text("")
    guest = FakeGuest("a")
    report = run_shutdown(tmp_path, [guest])
    assert guest.off_at == 1.0
    assert report.run.exit_code == 1
    assert any(problem.what in {"state", "run log"} for problem in report.problems)


def test_an_invalid_state_file_stops_a_restore_and_loses_nothing(tmp_path: Path) -> None:
    guest = FakeGuest("a")
    run_shutdown(tmp_path, [guest])
    path = tmp_path / "state.json"
    path.write_bytes(path.read_bytes()[:-20])
    before = path.read_bytes()
    with pytest.raises(StateInvalid):
        run_restore(tmp_path, [guest])
    assert path.read_bytes() == before


def test_a_new_boot_is_noted_once_and_the_one_before_is_kept(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    assert [state.stamp("a"), state.stamp("a"), state.stamp("b")] == [True, False, True]
    state.save()
    again = StateFile(tmp_path)
    again.load()
    assert (again.boot, again.previous_boot) == ("b", "a")
