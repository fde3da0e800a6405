"""A report's guests by name, and the guest behind a result."""

import json
from pathlib import Path

import pytest

import lastcall
from lastcall import (
    AmbiguousGuest,
    GuestResult,
    GuestState,
    LastcallError,
    Outcome,
    Report,
    Run,
    UnknownGuest,
    Verdict,
)
from lastcall.report.text import report_json
from lastcall.testing.memory import FakeGuest, run_shutdown


def report_of_three(folder: Path) -> Report:
    guests = [
        FakeGuest("db-1", driver="LXC", persistent=False, state=GuestState.PAUSED),
        FakeGuest("twin", deaf_to=frozenset({"acpi"})),
        FakeGuest("twin", uri="fake:///other"),
    ]
    config = "shutdown: {deadline: 60s}\ndefaults: {stop: [agent, acpi], timeout: 5s}"
    return run_shutdown(folder, guests, config=config, force=True)


def test_the_result_of_a_guest_is_found_by_its_name_or_uuid(tmp_path: Path) -> None:
    report = report_of_three(tmp_path)
    one = report.guest("db-1")
    assert report.guest(one.uuid.upper()) is report.guest("db-1", uri="fake:///system") is one
    assert report.guest("twin", uri="fake:///other").uri == "fake:///other"


@pytest.mark.parametrize(
    ("name", "uri", "error"),
    [("db-2", None, UnknownGuest), ("db-1", "fake:///other", UnknownGuest), ("twin", None, AmbiguousGuest)],
)
def test_a_result_that_is_not_there_or_there_twice_is_an_error(
    tmp_path: Path, name: str, uri: str | None, error: type[LastcallError]
) -> None:
    with pytest.raises(error, match=name):
        report_of_three(tmp_path).guest(name, uri=uri)


def test_a_result_has_its_guest_as_it_was_at_planning(tmp_path: Path) -> None:
    guest = report_of_three(tmp_path).guest("db-1").guest
    assert (guest.driver, guest.persistent, guest.state) == ("LXC", False, GuestState.PAUSED)
    assert guest.key == FakeGuest("db-1").guest.key


def test_a_results_guest_is_good_for_the_run_that_tells_it(tmp_path: Path) -> None:
    class Asks:
        @lastcall.hookimpl
        def post_shutdown(self, run: Run, report: Report) -> None:
            run.evidence(order={one.name: run.settings(one.guest).order for one in report.guests})

    report = run_shutdown(tmp_path, [FakeGuest("a")], plugins={"asks": Asks()}, config="defaults: {order: 7}")
    assert report.hooks[0].evidence == {"order": {"a": 7}}


def results(result: GuestResult) -> list[tuple[str, Verdict | Outcome]]:
    return [(attempt.method, attempt.result) for attempt in result.attempts]


def test_how_an_attempt_went_is_a_verdict_or_the_outcome_that_it_brought(tmp_path: Path) -> None:
    report = report_of_three(tmp_path)
    deaf, good = report.guest("twin", uri="fake:///system"), report.guest("twin", uri="fake:///other")
    assert results(deaf) == [
        ("agent", Verdict.SKIPPED), ("acpi", Verdict.TIMEOUT), ("destroy", Outcome.FORCED),
    ]  # fmt: skip
    assert results(good)[-1] == ("acpi", Outcome.STOPPED)
    assert all(isinstance(one.result, Verdict | Outcome) for guest in report.guests for one in guest.attempts)


def test_the_json_has_the_driver_and_no_guest_within_the_guest(tmp_path: Path) -> None:
    told = json.loads(report_json(report_of_three(tmp_path)))
    assert {guest["driver"] for guest in told["guests"]} == {"LXC", "QEMU"}
    assert not [guest for guest in told["guests"] if "guest" in guest]
