"""Records come back from JSON as they were, and what is no record is refused."""

import json
from typing import Any

import pytest

from lastcall import Ended, Guest, GuestState, HookRecord, Outcome, Problem, Reason, RunKind, Severity, Verdict
from lastcall.api.results import Attempt
from lastcall.formats.decoding import decoded
from lastcall.formats.json_text import to_json
from lastcall.records.records import (
    AttemptEnded,
    ChargeAwaited,
    GuestAsked,
    GuestBegun,
    GuestEnded,
    GuestPlanned,
    GuestWentOff,
    HookBegun,
    HookEnded,
    HookSaid,
    PowerChanged,
    ProblemFound,
    Record,
    RunEnded,
    RunJoined,
    RunStarted,
)

KEY = ("qemu:///system", "11111111-2222-3333-4444-555555555555")
EVIDENCE: dict[str, Any] = {"pages": {"before": 7, "after": 0}, "names": ["ä", 1.5, None, True]}
RECORDS: list[Record] = [
    RunStarted(
        at=0.0, id="r", kind=RunKind.SHUTDOWN, reason=Reason.SOFT_REBOOT, started="2026-01-01T00:00:00+00:00",
        deadline=None, boot_id="b", host="h", config="last_good", versions={"lastcall": "1"},
    ),
    ChargeAwaited(at=3, charge=23.5, wanted=40.0, over=False, deadline=None),
    RunJoined(at=1, reason=Reason.POWER, deadline=90.0),
    PowerChanged(at=2, back=True, turned=True, reason=Reason.SHED, deadline=600.0, last_ask=540.0, last_resort=570.0),
    GuestPlanned(at=1.0, guest=Guest(uri=KEY[0], uuid=KEY[1], name="db 1", state=GuestState.PAUSED, persistent=False)),
    GuestBegun(at=1.0, guest=KEY, waited_for=("web", "mail")),
    GuestAsked(at=1.0, guest=KEY, method="acpi", attempt=2, out_of_order=True),
    GuestWentOff(at=1.0, guest=KEY, ended=Ended.DESTROYED),
    AttemptEnded(at=1.0, guest=KEY, attempt=Attempt(method="acpi", result=Verdict.OK, started=0.5, duration=0.5)),
    HookBegun(at=1.0, guest=None, hook="pre_shutdown", plugin="p"),
    HookSaid(at=1.0, guest=KEY, hook="on_guest_stop", plugin="p", line="said"),
    HookEnded(
        at=1.0, guest=KEY,
        record=HookRecord(
            hook="on_guest_stop", plugin="p", result=Verdict.OK, started=0, duration=1, evidence=EVIDENCE
        ),
    ),
    GuestEnded(at=1.0, guest=KEY, outcome=Outcome.FORCED, method=None, ended=Ended.DESTROYED, state=GuestState.OFF),
    ProblemFound(at=1.0, problem=Problem(what="w", where="x", message="m", severity=Severity.WARNING)),
    RunEnded(at=2.0, exit_code=1),
]  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert decoded(type(record), json.loads(to_json(record))) == record


@pytest.mark.parametrize("result", [*Verdict, *Outcome])
def test_how_an_attempt_went_comes_back_as_one_of_its_words(result: Verdict | Outcome) -> None:
    attempt = Attempt(method="acpi", result=result, started=0.5, duration=0.5)
    back = decoded(Attempt, json.loads(to_json(attempt)))
    assert back == attempt
    assert isinstance(back.result, Verdict | Outcome)


@pytest.mark.parametrize("odd", ["nonsense", None, 7, ["ok"]])
def test_a_word_for_how_an_attempt_went_that_there_is_not_is_refused(odd: object) -> None:
    with pytest.raises(ValueError, match=r"nonsense|None|7|ok"):
        decoded(Attempt, {"method": "acpi", "result": odd, "started": 0, "duration": 0})


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": "soon"}, {"at": True}, {"guest": ["one part"]}, {"guest": "text"}, {"outcome": "nonsense"},
        {"outcome": None}, {"method": 7}, {"message": None},
    ],
)  # fmt: skip
def test_a_field_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    good = {"at": 1.0, "guest": list(KEY), "outcome": "stopped", "method": "acpi"}
    assert decoded(GuestEnded, good).method == "acpi"
    with pytest.raises(ValueError, match=r"GuestEnded|nonsense|None"):
        decoded(GuestEnded, {**good, **wrong})


def test_a_field_that_is_missing_is_refused_and_one_of_a_later_version_is_passed_over() -> None:
    with pytest.raises(ValueError, match="guest is missing"):
        decoded(GuestAsked, {"at": 1.0, "method": "acpi"})
    later = {"at": 1.0, "guest": list(KEY), "method": "acpi", "colour": "blue"}
    assert decoded(GuestAsked, later) == GuestAsked(at=1.0, guest=KEY, method="acpi")
