"""Guests that were forced off, left or failed: what stays of them until somebody says that it was seen."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from lastcall import GuestState, Outcome, Reason
from lastcall.formats.reading import read_bytes
from lastcall.persistence import boot_stamp
from lastcall.report import unseen
from lastcall.report.unseen import MOST, SeenRuns, bad_guests, login_words, unseen_at_login
from lastcall.testing.memory import FakeGuest, run_restore, run_shutdown

DEAF = frozenset({"acpi", "agent"})


def names(folder: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (one.run.kind.value, [(guest.name, guest.outcome.value) for guest in one.run.guests])
        for one in SeenRuns(folder).unseen()
    ]


def stop(folder: Path, reason: Reason = Reason.POWEROFF, *, config: str = "") -> str:
    guests = [FakeGuest("web-1"), FakeGuest("db-1", deaf_to=DEAF)]
    return run_shutdown(folder, guests, reason=reason, config=config).run.id


def cut(folder: Path, identity: str, boot: str) -> None:
    """As if the run had been killed in this boot before a guest had ended."""
    log = folder / "runs" / f"{identity}.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    kept = [{**one, **({"boot_id": boot} if one["type"] == "RunStarted" else {})} for one in lines]
    kept = [one for one in kept if one["type"] not in {"GuestEnded", "RunEnded"}]
    log.write_text("".join(json.dumps(one, separators=(",", ":")) + "\n" for one in kept))


@pytest.mark.parametrize(("reason", "outcome"), [(Reason.POWEROFF, "forced"), (Reason.MANUAL, "left")])
def test_a_guest_that_did_not_stop_by_itself_is_unseen_whoever_asked_it(
    tmp_path: Path, reason: Reason, outcome: str
) -> None:
    stop(tmp_path, reason)
    assert names(tmp_path) == [("shutdown", [("db-1", outcome)])]


def test_a_guest_that_could_not_be_started_is_unseen(tmp_path: Path) -> None:
    run_shutdown(tmp_path, [FakeGuest("web-1")])
    broken = FakeGuest("web-1", starts_after=9, state=GuestState.OFF)
    report = run_restore(tmp_path, [broken], config="restore: {attempts: 1}")
    assert [guest.outcome for guest in report.guests] == [Outcome.FAILED]
    assert names(tmp_path) == [("restore", [("web-1", "failed")])]


@pytest.mark.parametrize("torn", [b"{", b'{"type":"RunEnded","exit_code":0', b"\0" * 200, b'{"type":"GuestPlanned"'])
def test_a_torn_line_behind_the_last_one_hides_nothing(tmp_path: Path, torn: bytes) -> None:
    identity = stop(tmp_path)
    with (tmp_path / "runs" / f"{identity}.jsonl").open("ab") as log:
        log.write(torn)
    assert names(tmp_path) == [("shutdown", [("db-1", "forced")])]


def test_whoever_is_to_be_forced_off_by_its_first_rung_leaves_no_trace(tmp_path: Path) -> None:
    stop(tmp_path, config="defaults: {stop: [destroy]}")
    assert names(tmp_path) == []


def test_good_runs_leave_no_trace_and_change_none(tmp_path: Path) -> None:
    stop(tmp_path)
    run_restore(tmp_path, [FakeGuest("web-1"), FakeGuest("db-1")])
    run_shutdown(tmp_path, [FakeGuest("web-1")])
    assert names(tmp_path) == [("shutdown", [("db-1", "forced")])]


def test_of_a_run_that_went_as_planned_no_more_is_read_than_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_shutdown(tmp_path, [FakeGuest("web-1")])
    stop(tmp_path)
    whole = list[str]()

    def spy(path: Path, limit: int) -> bytes:
        whole.append(path.name)
        return read_bytes(path, limit)

    monkeypatch.setattr("lastcall.report.unseen.read_bytes", spy)
    assert names(tmp_path) == [("shutdown", [("db-1", "forced")])]
    assert len(whole) == 1, "a log of 5000 guests has ten megabytes, and most runs are good ones"


def test_what_was_seen_is_told_no_more_and_what_comes_later_is(tmp_path: Path) -> None:
    first, seen = stop(tmp_path), SeenRuns(tmp_path)
    assert seen.last() is None
    noted, runs = seen.acknowledge("ada")
    assert ([one.run.id for one in runs], noted.by, seen.last()) == ([first], "ada", noted)
    assert names(tmp_path) == []
    second = stop(tmp_path)
    assert [one.run.id for one in SeenRuns(tmp_path).unseen()] == [second]
    assert [one.run.id for one in seen.acknowledge("ada")[1]] == [second]
    assert seen.acknowledge("ada")[1] == []
    assert (tmp_path / "seen.json").stat().st_mode & 0o777 == 0o600


def test_a_clock_that_was_set_back_hides_no_later_run(tmp_path: Path) -> None:
    identity = stop(tmp_path)
    SeenRuns(tmp_path).acknowledge("ada")
    log = tmp_path / "runs" / f"{identity}.jsonl"
    earlier = log.with_name("20010101T000000Z-ffff.jsonl")
    earlier.write_text(log.read_text())
    os.utime(earlier, (0, 0))
    assert len(names(tmp_path)) == 1


@pytest.mark.parametrize("boot", [boot_stamp.boot_id(), "the boot before"])
def test_a_host_stop_that_was_cut_off_is_told_and_one_that_is_under_way_is_not(tmp_path: Path, boot: str) -> None:
    identity = stop(tmp_path)
    cut(tmp_path, identity, boot)
    with (tmp_path / "runs" / f"{identity}.jsonl").open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        assert names(tmp_path) == []
        assert SeenRuns(tmp_path).acknowledge("ada")[1] == []
    (told,) = SeenRuns(tmp_path).unseen()
    assert [guest.outcome for guest in told.run.guests] == [Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert "which did not come to its end: 2 unknown (db-1, web-1)" in told.line


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2, "runs": []}', '{"version": 1, "runs": 3}', "\udcff"])
def test_a_note_that_cannot_be_understood_hides_nothing(tmp_path: Path, text: str) -> None:
    stop(tmp_path)
    SeenRuns(tmp_path).acknowledge("ada")
    (tmp_path / "seen.json").write_text(text, errors="surrogateescape")
    assert len(names(tmp_path)) == 1
    assert SeenRuns(tmp_path).last() is None


def test_a_log_that_cannot_be_understood_is_no_bad_run(tmp_path: Path) -> None:
    identity = stop(tmp_path)
    (tmp_path / "runs" / f"{identity}.jsonl").write_text('{"type":"GuestEnded","outcome":"forced"}\n')
    assert names(tmp_path) == []


def test_whoever_logs_in_reads_of_the_newest_and_how_many_there_are(tmp_path: Path) -> None:
    assert unseen_at_login(tmp_path) == ""
    for _ in range(2):
        stop(tmp_path)
    words = unseen_at_login(tmp_path)
    assert words.startswith("shutdown (poweroff) of ")
    assert words.endswith(": 1 forced (db-1); and earlier runs like it. `lastcall report --ack` once it is seen.")
    assert login_words(SeenRuns(tmp_path).unseen()[:1]).endswith(
        ": 1 forced (db-1). `lastcall report --ack` once it is seen."
    )


def test_of_many_guests_a_few_are_named(tmp_path: Path) -> None:
    guests = [FakeGuest(f"db-{number}", deaf_to=DEAF) for number in range(40)]
    report = run_shutdown(tmp_path, guests, reason=Reason.POWEROFF)
    assert len(bad_guests(report)) == 40
    (told,) = SeenRuns(tmp_path).unseen()
    assert "40 forced (db-0, db-1, db-10, db-11, db-12 and 35 more)" in told.line
    assert len(told.run.guests) == 40


def test_logs_that_may_not_be_read_are_an_error_and_not_a_good_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(tmp_path)

    def refused(_log: Path, _bytes: int) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(unseen, "read_bytes", refused)
    with pytest.raises(PermissionError):
        SeenRuns(tmp_path).unseen()
    assert unseen_at_login(tmp_path) == ""


def test_of_many_runs_the_newest_are_told_and_all_are_seen_at_once(tmp_path: Path) -> None:
    log = tmp_path / "runs" / f"{stop(tmp_path)}.jsonl"
    for second in range(30):
        log.with_name(f"20990101T0000{second:02d}Z-ffff.jsonl").write_text(log.read_text())
    assert len(SeenRuns(tmp_path).unseen()) == MOST
    SeenRuns(tmp_path).acknowledge("ada")
    assert SeenRuns(tmp_path).unseen() == []


def test_what_cannot_be_read_hinders_nobody_to_say_that_the_rest_was_seen(tmp_path: Path) -> None:
    stop(tmp_path)
    (tmp_path / "runs" / "20990101T000000Z-ffff.jsonl").mkdir()
    assert len(SeenRuns(tmp_path).acknowledge("ada")[1]) == 1
    assert names(tmp_path) == []
