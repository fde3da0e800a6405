"""The sample that waits for a backup: for units and locks, to its limit, and never on battery."""

import fcntl
from pathlib import Path
from typing import Any

import pytest

from lastcall import Outcome, Reason, Verdict
from lastcall.testing import Lab
from samples import record, said, stage, tool

SAMPLE = "pre_shutdown/20-wait-for-backup"
UNIT = "borgmatic.service loaded activating start Borg backup"
# At work for the first two looks.
SYSTEMCTL = f'echo "$@" >>"$here/asked"; [ "$(cat "$here/asked" | sed -n "\\$=")" -gt 2 ] || echo "{UNIT}"'


def lab_of(folder: Path, tools: dict[str, str], *, box: float = 60, **environment: str) -> Lab:
    config: Any = {"hooks": {"plugins": {SAMPLE: {"timeout": box}}}}
    lab = stage(folder, SAMPLE, tools={"sleep": "exit 0", **tools}, config=config, environment=environment)
    lab.guest("db-1")
    return lab


def test_it_waits_until_the_unit_is_through(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, {"systemctl": SYSTEMCTL})
    report = lab.shutdown(reason=Reason.REBOOT)
    assert record(report, SAMPLE).result is Verdict.OK
    assert lab.lines == ["waiting at most 56 s for borgmatic.service", "the backup is over"]
    asked = said(tmp_path, "asked").splitlines()
    assert len(asked) == 3
    assert asked[0].endswith("backup*.service borgmatic*.service restic*.service"), "globs are for systemctl"


@pytest.mark.parametrize(("box", "limit", "told"), [(60, "1", 1), (4, "300", 2)])
def test_it_waits_no_longer_than_its_limit_and_its_box(tmp_path: Path, box: float, limit: str, told: int) -> None:
    lock = tmp_path / "backup.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        lab = lab_of(tmp_path, {}, box=box, BACKUP_LOCKS=f"{tmp_path}/gone {lock}", BACKUP_WAIT=limit)
        tool(tmp_path, "flock", 'exec /usr/bin/flock "$@"')
        report = lab.shutdown(reason=Reason.REBOOT)
    assert record(report, SAMPLE).message == "exit code 1"
    assert lab.lines[-1] == f"still at work, and not waited for any longer: {lock}"
    assert f"waiting at most {told} s" in lab.lines[0]
    assert report.guest("db-1").outcome is Outcome.STOPPED


def test_a_lock_that_nobody_holds_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "backup.lock").touch()
    lab = lab_of(
        tmp_path, {"flock": 'exec /usr/bin/flock "$@"'}, BACKUP_LOCKS=f"{tmp_path}/backup.lock {tmp_path}/gone"
    )
    assert record(lab.shutdown(reason=Reason.REBOOT), SAMPLE).result is Verdict.SKIPPED
    assert lab.lines == ["no backup is at work"]
    assert not (tmp_path / "gone").exists(), "looking makes none"


@pytest.mark.parametrize("reason", [Reason.POWER, Reason.MANUAL])
def test_on_battery_and_by_hand_nobody_waits(tmp_path: Path, reason: Reason) -> None:
    report = lab_of(tmp_path, {"systemctl": SYSTEMCTL}).shutdown(reason=reason)
    assert "not run" in record(report, SAMPLE).message
    assert not said(tmp_path, "asked")


def test_a_rehearsal_says_for_what_it_would_wait(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, {"systemctl": SYSTEMCTL})
    (rehearsed,) = lab.fire("pre_shutdown", reason=Reason.REBOOT)
    assert (rehearsed.result, lab.lines) == (Verdict.OK, ["would wait at most 56 s for borgmatic.service"])


def test_where_nothing_tells_of_a_backup_it_is_skipped(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, {})
    assert record(lab.shutdown(reason=Reason.REBOOT), SAMPLE).result is Verdict.SKIPPED
    assert lab.lines == ["there is neither systemctl nor flock here: no backup is seen"]
