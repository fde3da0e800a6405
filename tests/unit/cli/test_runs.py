"""`lastcall runs`: which runs are listed, by which names one is meant, and what differs between two."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lastcall.api.guests import Reason
from lastcall.api.results import Report
from lastcall.cli.group import cli
from lastcall.errors import UsageError
from lastcall.testing.memory import FakeGuest, run_restore, run_shutdown

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    config = tmp_path / "config.yaml"
    config.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\n")

    def call(*words: str) -> Result:
        return CliRunner().invoke(cli, ["--config", str(config), *words], prog_name="lastcall", standalone_mode=False)

    return call


@pytest.fixture
def three(tmp_path: Path) -> list[Report]:
    """A shutdown that went well, its restore, and a host stop in which the database is deaf."""
    web, db = FakeGuest("web-1"), FakeGuest("db-1")
    reports = [run_shutdown(tmp_path, [web, db]), run_restore(tmp_path, [web, db])]
    reports.append(run_shutdown(tmp_path, [FakeGuest("web-1"), FakeGuest("db-1", deaf_to=frozenset({"acpi", "agent"}))],
                                reason=Reason.POWEROFF))  # fmt: skip
    for age, report in enumerate(reports):  # three of one second are in the order in which they ended
        os.utime(tmp_path / "runs" / f"{report.run.id}.jsonl", (age, age))
    return reports


def ids(result: Result) -> list[str]:
    return [line.split()[0] for line in result.stdout.splitlines()]


def test_runs_are_listed_newest_first_with_what_became_of_the_guests(call: Call, three: list[Report]) -> None:
    listed = call("runs")
    assert ids(listed) == [report.run.id for report in reversed(three)]
    bad, back, good = listed.stdout.splitlines()
    assert "shutdown (poweroff)" in bad
    assert "1 stopped, 1 forced; not everything as planned" in bad
    assert back.endswith("2 started; as planned")
    assert good.endswith("2 stopped; as planned")
    assert call("report", "--list").stdout == listed.stdout


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--kind", "restore"], [1]),
        (["--reason", "poweroff"], [2]),
        (["--failed"], [2]),
        (["--failed", "--kind", "restore"], []),
        (["--guest", "db-*"], [2, 1, 0]),
        (["--guest", "web-1", "--kind", "shutdown"], [2, 0]),
        (["--since", "1h"], [2, 1, 0]),
        (["--since", "2099-01-01"], []),
        (["--last", "2"], [2, 1]),
    ],
)
def test_only_runs_that_fit_everything_are_listed(
    call: Call, three: list[Report], words: list[str], numbers: list[int]
) -> None:
    assert [one["id"] for one in json.loads(call("runs", "--json", *words).stdout)["runs"]] == [
        three[number].run.id for number in numbers
    ]


def test_that_older_runs_are_not_listed_is_told(call: Call, three: list[Report]) -> None:
    assert three
    assert [json.loads(call("runs", "--json", "--last", most).stdout)["more"] for most in "23"] == [True, False]
    assert "--last 10 shows more" in call("runs", "--last", "2").stderr
    assert call("runs", "--last", "3").stderr == ""


def test_a_guest_that_no_run_ever_had_is_a_mistake_and_a_glob_is_not(call: Call, three: list[Report]) -> None:
    assert three
    done = call("runs", "--guest", "wbe-1")
    assert isinstance(done.exception, UsageError)
    assert "no logged run had a guest called 'wbe-1'; did you mean 'web-1'?" in str(done.exception)
    assert call("runs", "--guest", "x*").stdout == "no logged run fits\n"


@pytest.mark.parametrize("words", [["runs", "--since", "yesterday"], ["runs", "--last", "0"], ["runs", "dif"]])
def test_what_cannot_be_meant_is_a_mistake_of_the_call(call: Call, words: list[str]) -> None:
    assert getattr(call(*words).exception, "exit_code", None) == 2


def test_a_run_is_named_by_its_id_its_beginning_or_a_number_that_counts_back(call: Call, three: list[Report]) -> None:
    first, second, third = (report.run.id for report in three)
    for words, wanted in (((first,), first), ((first[:-1],), first), (("1",), third), (("2",), second)):
        (run,) = json.loads(call("report", "--json", *words).stdout)["runs"]
        assert run["run"]["id"] == wanted or len({one[:-1] for one in (first, second, third)}) < 3
        told = json.loads(call("runs", "diff", "--json", *words, "1").stdout)
        assert (told["before"], told["after"]) == (run["run"]["id"], third)


@pytest.mark.parametrize("command", [["report"], ["runs", "diff"]])
def test_a_run_that_is_not_there_is_a_mistake_that_names_the_nearest(
    call: Call, three: list[Report], command: list[str]
) -> None:
    identity = three[0].run.id
    for word, told in (
        (f"x{identity}", f"did you mean '{identity}'?"),
        ("4", "there is no log of the run 4, counted back from the last one"),
        ("0", "there is no log of the run 0"),
        ("20", "there is no log of the run 20,"),
        (identity[:4], "3 runs begin with '2"),
        ("", "there is no log of a run ''"),
    ):
        error = call(*command, word).exception
        assert isinstance(error, UsageError), (word, error)
        assert told in str(error)


def test_a_log_that_is_named_and_cannot_be_understood_is_not_said_to_be_missing(
    call: Call, three: list[Report], tmp_path: Path
) -> None:
    identity = three[0].run.id
    (tmp_path / "runs" / f"{identity}.jsonl").write_text("{}\n")
    assert f"the log of the run {identity} cannot be understood" in str(call("report", identity).exception)


def test_the_difference_of_two_runs_is_who_ended_otherwise_and_how(call: Call, three: list[Report]) -> None:
    told = json.loads(call("runs", "diff", "--json", three[0].run.id, three[2].run.id).stdout)
    (db,) = told["guests"]
    assert (db["name"], told["same"]) == ("db-1", 1)
    assert (db["before"]["outcome"], db["after"]["outcome"]) == ("stopped", "forced")
    assert db["differs"] == ["outcome", "method", "duration", "attempts"]
    assert told["run"]["reason"] == {"before": "manual", "after": "poweroff"}
    assert told["run"]["exit_code"] == {"before": 0, "after": 1}
    text = call("runs", "diff").stdout.splitlines()
    assert text[0].startswith(f"- {three[0].run.id}: shutdown (manual) of ")
    assert any(line.startswith("  db-1: stopped by acpi → forced by destroy; ") for line in text)
    assert "  1 guest as before" in text


def test_a_guest_of_one_run_alone_and_problems_of_one_alone_are_differences(call: Call, tmp_path: Path) -> None:
    run_shutdown(tmp_path, [FakeGuest("web-1")])
    run_shutdown(
        tmp_path, [FakeGuest("web-1"), FakeGuest("new")], config="guests: [{match: {name: new}, depends_on: [no]}]"
    )
    told = json.loads(call("runs", "diff", "2", "1", "--json").stdout)
    back = json.loads(call("runs", "diff", "1", "2", "--json").stdout)
    assert [(one["name"], one["before"]) for one in told["guests"]] == [("new", None)]
    assert [(one["name"], one["after"]) for one in back["guests"]] == [("new", None)]
    assert told["problems_new"] == back["problems_gone"] != []
    assert told["problems_gone"] == back["problems_new"] == []
    assert "  new: only in the second: stopped" in call("runs", "diff", "2", "1").stdout


def test_a_run_compared_with_itself_differs_in_nothing(call: Call, three: list[Report]) -> None:
    told = json.loads(call("runs", "diff", "1", "1", "--json").stdout)
    assert (told["run"], told["guests"], told["same"]) == ({}, [], len(three[2].guests))
    assert isinstance(call("runs", "diff", "1").exception, UsageError), "there is no later one"


def test_without_two_runs_of_a_kind_there_is_nothing_to_compare(call: Call, tmp_path: Path) -> None:
    assert call("runs").stdout == "no run has been logged\n"
    assert isinstance(call("runs", "diff").exception, UsageError)
    run_shutdown(tmp_path, [FakeGuest("web-1")])
    run_restore(tmp_path, [FakeGuest("web-1")])
    assert isinstance(call("runs", "diff").exception, UsageError)
