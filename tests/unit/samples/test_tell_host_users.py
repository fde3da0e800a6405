"""The sample that tells the users of the host: on their terminals, once, of host stops only."""

from pathlib import Path

import pytest

from lastcall import Outcome, Reason, Verdict
from lastcall.testing import Lab
from samples import record, said, stage

SAMPLE = "pre_shutdown/10-tell-host-users"
WALL = {"wall": 'cat >"$here/told"'}


def lab_of(folder: Path, tools: dict[str, str]) -> Lab:
    lab = stage(folder, SAMPLE, tools=tools)
    lab.guest("db-1")
    return lab


def test_a_host_stop_is_told_with_its_reason_and_its_end(tmp_path: Path) -> None:
    report = lab_of(tmp_path, WALL).shutdown(reason=Reason.REBOOT, deadline=300)
    assert record(report, SAMPLE).result is Verdict.OK
    assert " stop now (reboot); in 300 seconds at most it goes down.\n" in said(tmp_path, "told")


def test_by_hand_and_in_a_rehearsal_nobody_is_told(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, WALL)
    assert "not run" in record(lab.shutdown(), SAMPLE).message
    (rehearsed,) = lab.fire("pre_shutdown", reason=Reason.POWER)
    assert rehearsed.result is Verdict.OK
    assert any(line.startswith("would tell: The guests of ") for line in lab.lines)
    assert not said(tmp_path, "told")


def test_without_wall_it_is_skipped_and_says_so(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, {})
    assert record(lab.shutdown(reason=Reason.REBOOT), SAMPLE).result is Verdict.SKIPPED
    assert lab.lines == ["nobody is told: there is no wall here"]


@pytest.mark.parametrize(
    "tools", [{"wall": "exit 1"}, {**WALL, "timeout": "exit 124  # a terminal that takes nothing"}]
)
def test_a_wall_that_fails_or_hangs_costs_no_guest_its_shutdown(tmp_path: Path, tools: dict[str, str]) -> None:
    lab = lab_of(tmp_path, tools)
    report = lab.shutdown(reason=Reason.REBOOT)
    assert (record(report, SAMPLE).result, lab.lines) == (Verdict.FAILED, ["wall failed"])
    assert report.guest("db-1").outcome is Outcome.STOPPED
