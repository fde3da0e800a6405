"""The sample for a storage guest: nothing is exported any more before it flushes, and again where it goes on."""

from pathlib import Path
from typing import Any

import pytest

from lastcall import Outcome, Reason, Verdict
from lastcall.testing import Lab, LabGuest, Says
from samples import example, record, stage

SAMPLE = "45-unexport.py"
EXPORTS = "/srv/a  *(sync,wdelay,rw)\n/srv/b  *(sync,wdelay,ro)\n"


def lab_of(folder: Path, listed: Any = EXPORTS, unexport: Any = "", **settings: Any) -> tuple[Lab, LabGuest, LabGuest]:
    rules = example(SAMPLE)["guests"]
    rules[0]["shell"] = "lab"
    lab = stage(folder, SAMPLE, config={"guests": rules})
    nas, web = lab.guest("nas", settings=settings), lab.guest("web-1", takes=20)
    nas.shell.answers({"exportfs -s": listed, "exportfs -ua": unexport, "exportfs -ra": "", "sync": Says(takes=3)})
    return lab, nas, web


def test_its_exports_are_taken_back_and_flushed_when_whoever_mounts_them_is_off(tmp_path: Path) -> None:
    lab, nas, web = lab_of(tmp_path)
    report = lab.shutdown(reason=Reason.REBOOT)
    assert [(one.line, one.at >= 20) for one in nas.shell.details] == [
        ("exportfs -s", True), ("exportfs -ua", True), ("sync", True)
    ]  # fmt: skip
    told = record(report.guest("nas"), SAMPLE, "on_guest_stop")
    assert (told.result, told.evidence["exports"]) == (Verdict.OK, 2)
    assert not web.shell.calls


@pytest.mark.parametrize("way", ["saved", "left"])
def test_where_it_goes_on_it_exports_again(tmp_path: Path, way: str) -> None:
    ladder = ["save"] if way == "saved" else [{"acpi": {"timeout": 5}}]
    lab, nas, _ = lab_of(tmp_path, stop=ladder)
    nas.is_deaf_to("acpi")
    result = lab.shutdown().guest("nas")
    assert result.outcome is (Outcome.SAVED if way == "saved" else Outcome.LEFT)
    if way == "saved":
        assert "exportfs -ra" not in nas.shell.calls
        lab.restore()
    assert nas.shell.calls[-1] == "exportfs -ra"
    nas.shell.answers({"exportfs -s": ""})
    lab.shutdown()
    lab.restore()
    assert nas.shell.calls.count("exportfs -ra") == 1, "once"


def test_a_guest_without_exports_is_flushed_all_the_same(tmp_path: Path) -> None:
    lab, nas, _ = lab_of(tmp_path, "")
    lab.shutdown()
    lab.restore()
    assert nas.shell.calls == ["exportfs -s", "sync"]


@pytest.mark.parametrize(
    ("listed", "unexport", "result", "why"),
    [
        (Says(exit_code=127), "", Verdict.SKIPPED, "there is no exportfs in it"),
        (EXPORTS, Says(exit_code=1, stderr="busy"), Verdict.FAILED, "exit code 1: busy"),
        (EXPORTS, Says(takes=1000), Verdict.TIMEOUT, ""),
    ],
)
def test_what_goes_wrong_is_told_and_the_guest_stops(
    tmp_path: Path, listed: Any, unexport: Any, result: Verdict, why: str
) -> None:
    lab, _, _ = lab_of(tmp_path, listed, unexport)
    guest = lab.shutdown(reason=Reason.REBOOT).guest("nas")
    told = record(guest, SAMPLE, "on_guest_stop")
    assert (told.result, guest.outcome) == (result, Outcome.STOPPED)
    assert why in told.message


def test_a_rehearsal_takes_nothing_back(tmp_path: Path) -> None:
    lab, nas, _ = lab_of(tmp_path)
    lab.fire("on_guest_stop", nas)
    assert (lab.lines, nas.shell.calls) == (["would take 2 exports back"], ["exportfs -s"])
