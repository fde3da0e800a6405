"""The judge finds what it is there for, and nothing in a run in which all is well."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from faults.frames import REMOTE, Frame, Kind, Procedure, Way
from faults.rules import Action, Rule
from faults.runs import BY_HAND, HOST_STOP, RESTORE, Mode, Run
from faults.traffic import Passed, Traffic
from faults.verdicts import faults_of
from faults.world import RESTS, RUN

OFF = {**dict.fromkeys(RUN, "off"), RESTS: "off"}
ON = {**dict.fromkeys(RUN, "running"), RESTS: "off"}
LISTED = dict.fromkeys(RUN, False)


def report(mode: Mode, outcome: str, duration: float = 1.0) -> str:
    guests = [{"name": name, "outcome": outcome, "ended": None} for name in RUN]
    return json.dumps({"run": {"duration": duration}, "guests": guests, "problems": [], "mode": mode.name})


def well(mode: Mode) -> Run:
    """A run in which all is well."""
    outcome, before, after = ("started", OFF, ON) if mode.restores else ("stopped", ON, OFF)
    run = Run(case="a run", mode=mode, rules=[], began=100.0, ended=101.0, code=0, out=report(mode, outcome))
    run.before, run.after = dict(before), dict(after)
    run.listed, run.listed_before = ({}, dict(LISTED)) if mode.restores else (dict(LISTED), {})
    return run


def request(procedure: Procedure, at: float, action: Action | None = None) -> Passed:
    body = b"\0\0\0\3web\0" + bytes(20)
    return Passed(at, 1, Way.TO_DAEMON, Frame(REMOTE, 1, procedure, Kind.CALL, int(at), 0, body), action)


def went_by(*passed: Passed) -> Traffic:
    traffic = Traffic()
    traffic.passed += passed
    return traffic


PLUG = request(Procedure.DESTROY, 103.0)
WRONG: Mapping[str, tuple[Mode, Mapping[str, Any]]] = {
    "had to be killed": (BY_HAND, {"code": None}),
    "exit code -15": (BY_HAND, {"code": -15}),
    "exit code 70": (BY_HAND, {"code": 70}),
    "no report": (BY_HAND, {"out": ""}),
    "a traceback": (BY_HAND, {"err": "Traceback (most recent call last):"}),
    "over after 6.60 s": (BY_HAND, {"out": report(BY_HAND, "stopped", 6.6)}),
    "the process ended after": (BY_HAND, {"ended": 117.0}),
    "web is called stopped and is running": (BY_HAND, {"after": ON}),
    "web is called left and is off": (BY_HAND, {"out": report(BY_HAND, "left")}),
    "exit code 0, and": (HOST_STOP, {"after": ON}),
    "though nobody wanted force": (BY_HAND, {"traffic": went_by(PLUG)}),
    "and never asked": (HOST_STOP, {"traffic": went_by(request(Procedure.OPEN, 100.2), PLUG)}),
    "forced off 3.0 s after the start": (
        HOST_STOP,
        {"traffic": went_by(request(Procedure.SHUTDOWN, 100.5, Action.REFUSE), PLUG)},
    ),
    "web is off and not on the list": (BY_HAND, {"listed": {}}),
    "still runs when the host stops (left)": (
        HOST_STOP,
        {"after": ON, "listed": {}, "out": report(HOST_STOP, "left"), "code": 1},
    ),
    "runs on, though the fault was over": (
        HOST_STOP,
        {"after": ON, "out": report(HOST_STOP, "left"), "code": 1, "rules": [Rule(action=Action.CUT)]},
    ),
    "rests was off before": (RESTORE, {"after": {**ON, RESTS: "running"}}),
    "web is off and no longer on the list": (RESTORE, {"after": {**ON, "web": "off"}}),
    "web is called started and is off": (RESTORE, {"after": {**ON, "web": "off"}, "listed": LISTED}),
    "web was parked": (RESTORE, {"listed": {"web": True}}),
}


@pytest.mark.parametrize("mode", [BY_HAND, HOST_STOP, RESTORE], ids=lambda mode: mode.name)
def test_nothing_is_found_where_all_is_well(mode: Mode) -> None:
    assert faults_of(well(mode)) == []


@pytest.mark.parametrize("sentence", WRONG)
def test_what_is_wrong_is_found(sentence: str) -> None:
    mode, changes = WRONG[sentence]
    assert any(sentence in found for found in faults_of(replace(well(mode), **changes)))


def test_a_plug_is_no_fault_after_a_request_that_can_have_been_heard_or_in_the_last_moment() -> None:
    for asked in (request(Procedure.SHUTDOWN, 101.0), request(Procedure.MANAGED_SAVE, 101.0, Action.DROP)):
        assert faults_of(replace(well(HOST_STOP), traffic=went_by(asked, PLUG))) == []
    refused = [request(Procedure.SHUTDOWN, at, Action.REFUSE) for at in (100.5, 102.0, 103.5)]
    plug = request(Procedure.DESTROY, 104.5)
    assert faults_of(replace(well(HOST_STOP), traffic=went_by(*refused, plug))) == [], "nobody could ask it"
    assert faults_of(replace(well(HOST_STOP), traffic=went_by(*refused[:2], plug))) != [], "it was given up too early"
    late = request(Procedure.DESTROY_FLAGS, 100.0 + HOST_STOP.deadline - 0.5)
    assert faults_of(replace(well(HOST_STOP), traffic=went_by(request(Procedure.OPEN, 100.2), late))) == []
