"""The sample that tells the users of guests: those who are logged in, with a moment to react, and not on battery."""

from pathlib import Path
from typing import Any

import pytest

from lastcall import HookRecord, Outcome, Reason, ShellUnreachable, Verdict
from lastcall.testing import Lab, LabGuest, Says
from samples import example, record, stage

SAMPLE = "30-warn-users.py"
WHO = "ann  pts/0  2026-01-01 12:00\nann  pts/1  2026-01-01 12:01\nbob  tty1  2026-01-01 12:02\n"


def lab_of(folder: Path, who: Any = WHO, wall: Any = "", **options: Any) -> tuple[Lab, LabGuest]:
    rules = example(SAMPLE)["guests"]
    rules[0]["warn_users"].update(options)
    lab = stage(folder, SAMPLE, config={"guests": [{**rules[0], "shell": "lab"}]})
    guest = lab.guest("desktop-1")
    guest.shell.answers({"who": who, "wall": wall})
    return lab, guest


def shut(lab: Lab, guest: LabGuest, **more: Any) -> tuple[HookRecord, float]:
    """The call, and when the guest was asked."""
    result = lab.shutdown(**more).guest(guest.name)
    assert result.outcome is Outcome.STOPPED
    return record(result, SAMPLE), result.asked or 0.0


@pytest.mark.parametrize("reason", [Reason.MANUAL, Reason.REBOOT])
def test_whoever_is_logged_in_is_told_and_waited_for(tmp_path: Path, reason: Reason) -> None:
    lab, guest = lab_of(tmp_path)
    told, asked = shut(lab, guest, reason=reason)
    assert (told.result, told.evidence) == (Verdict.OK, {"users": ["ann", "bob"]})
    assert guest.shell.details[1].input == b"This machine stops in 30 seconds.\n"
    assert asked >= 30.0


def test_on_battery_they_are_told_and_not_waited_for(tmp_path: Path) -> None:
    lab, guest = lab_of(tmp_path)
    _, asked = shut(lab, guest, reason=Reason.POWER)
    assert guest.shell.calls == ["who", "wall"]
    assert asked < 1.0


def test_a_run_that_is_short_is_not_used_up(tmp_path: Path) -> None:
    lab, guest = lab_of(tmp_path)
    told, asked = shut(lab, guest, reason=Reason.REBOOT, deadline=40)
    assert told.result is Verdict.OK
    assert asked <= 11.0


@pytest.mark.parametrize(
    ("who", "wall", "why"), [("", "", "nobody is logged in"), (WHO, Says(exit_code=127), "there is no wall in it")]
)
def test_where_nobody_is_to_be_told_or_nothing_tells_them_it_is_skipped(
    tmp_path: Path, who: str, wall: Any, why: str
) -> None:
    told, asked = shut(*lab_of(tmp_path, who, wall))
    assert (told.result, told.message) == (Verdict.SKIPPED, why)
    assert asked < 1.0


@pytest.mark.parametrize(
    ("who", "wall", "why"),
    [
        (ShellUnreachable("the agent does not answer"), "", "the agent does not answer"),
        (WHO, Says(exit_code=1, stderr="no terminal"), "exit code 1: no terminal"),
    ],
)
def test_what_goes_wrong_is_told_and_the_guest_stops(tmp_path: Path, who: Any, wall: Any, why: str) -> None:
    told, asked = shut(*lab_of(tmp_path, who, wall))
    assert told.result is Verdict.FAILED
    assert why in told.message
    assert asked < 1.0


def test_a_rehearsal_tells_nobody(tmp_path: Path) -> None:
    lab, guest = lab_of(tmp_path)
    (told,) = (one for one in lab.fire("on_guest_stop", guest) if one.plugin == "warn_users")
    assert (told.result, lab.lines) == (Verdict.OK, ["would tell ann, bob, and wait 30 s"])
    assert guest.shell.calls == ["who"]


def test_a_guest_that_nobody_names_is_left_in_peace(tmp_path: Path) -> None:
    lab, _ = lab_of(tmp_path)
    other = lab.guest("db-1")
    assert not [one for one in lab.shutdown().guest("db-1").hooks if one.plugin == "warn_users"]
    assert not other.shell.calls
