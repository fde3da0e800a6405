"""What plugins and guests say, in whole runs on guests in memory: bounded, and it costs nobody their report."""

import json
import math
from pathlib import Path
from typing import Any

import lastcall
from lastcall import Guest, HookFailed, Problem, Run
from lastcall.formats.bounded_text import MESSAGE_LIMIT, NAME_LIMIT
from lastcall.records.records import ProblemFound, Record
from lastcall.records.stream import Stream
from lastcall.report.run_history import past_runs
from lastcall.report.text import report_json
from lastcall.testing.memory import FakeGuest, run_shutdown

LONG = "m" * 835_635


class Talks:
    @lastcall.hookimpl
    def on_guest_stop(self, guest: Guest, run: Run) -> None:
        odd: Any = {"said": "a\udcff", "share": math.nan, "object": object(), "long": LONG, "many": list(range(10**5))}
        run.evidence(**odd)
        run.log(f"from the agent: \udcfe {LONG}")
        raise HookFailed(f"two bytes \udc80\udc81 {LONG}", LONG)


def test_long_and_broken_texts_cost_nothing_but_themselves(tmp_path: Path) -> None:
    guests = [FakeGuest("db"), FakeGuest("n" * 5000)]
    report = run_shutdown(tmp_path, guests, plugins={"talks": Talks()})
    told = json.loads(report_json(report))
    assert [guest["outcome"] for guest in told["guests"]] == ["stopped", "stopped"]
    (call,) = told["guests"][0]["hooks"]
    assert call["message"].startswith("two bytes \\udc80\\udc81 mmm")
    assert "… cut, " in call["message"]
    assert (call["evidence"]["said"], call["evidence"]["share"]) == ("a\\udcff", "nan")
    assert all(len(text) <= MESSAGE_LIMIT + 100 for text in (call["message"], call["evidence"]["long"]))
    assert len(told["guests"][1]["name"]) <= NAME_LIMIT
    assert len(report_json(report)) < 100_000


def test_a_run_log_with_such_texts_is_read_back_whole(tmp_path: Path) -> None:
    run_shutdown(tmp_path, [FakeGuest("db")], plugins={"talks": Talks()})
    (run,) = past_runs(tmp_path / "runs")
    assert run.complete
    assert "two bytes" in run.report.guests[0].hooks[0].message
    (log,) = (tmp_path / "runs").iterdir()
    assert log.stat().st_size < 100_000


def test_a_problem_of_a_plugin_that_is_no_text_is_told_all_the_same() -> None:
    heard: list[Record] = []
    odd: Any = 5
    Stream(lambda: 0.0, [("heard", heard.append)]).problems([Problem(what=odd, where="x", message=LONG, remedy=LONG)])
    (found,) = heard
    assert isinstance(found, ProblemFound)
    assert found.problem.what == "5"
    assert max(len(found.problem.message), len(found.problem.remedy)) <= MESSAGE_LIMIT
