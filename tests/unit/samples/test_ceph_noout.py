"""The two samples for Ceph's noout: what this host has set it takes back, and nothing else."""

from pathlib import Path

import pytest

from lastcall import HookRecord, Outcome, Reason, Verdict
from lastcall.testing import Lab
from samples import record, said, stage, tool

SET, UNSET = "pre_shutdown/30-ceph-noout", "post_restore/30-ceph-noout"
SETS = 'echo noout,sortbitwise >"$here/flags"'
CEPH = f"""\
echo "$@" >>"$here/asked"
case "$*" in
    *"osd dump") echo "epoch 12"; echo "flags $(cat "$here/flags")" ;;
    *"osd set noout") {SETS} ;;
    *"osd unset noout") echo sortbitwise >"$here/flags" ;;
esac"""


def lab_of(folder: Path, ceph: str | None = CEPH, flags: str = "sortbitwise", **environment: str) -> Lab:
    lab = stage(folder, SET, UNSET, tools={"ceph": ceph} if ceph else {}, environment=environment)
    (folder / "bin" / "flags").write_text(flags)
    lab.guest("db-1")
    return lab


def back(lab: Lab, reason: Reason = Reason.BOOT, *, rehearsal: bool = False) -> HookRecord:
    """What happens when the guests are back."""
    (found,) = lab.fire("post_restore", reason=reason, rehearsal=rehearsal)
    return found


def changes(folder: Path) -> list[str]:
    return [line for line in said(folder, "asked").splitlines() if "set" in line]


def test_it_is_set_for_the_stop_of_the_host_and_taken_back_after_its_boot(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, CEPH_ARGUMENTS="--id lastcall")
    assert record(lab.shutdown(reason=Reason.REBOOT), SET).result is Verdict.OK
    assert "noout" in said(tmp_path, "flags")
    assert back(lab).result is Verdict.OK
    assert changes(tmp_path) == ["--id lastcall osd set noout", "--id lastcall osd unset noout"]
    assert back(lab).result is Verdict.SKIPPED, "once"


def test_what_somebody_else_has_set_stays(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, flags="noout,sortbitwise")
    assert record(lab.shutdown(reason=Reason.REBOOT), SET).result is Verdict.SKIPPED
    assert lab.lines == ["noout is set already, by somebody else, whose it stays"]
    assert back(lab).result is Verdict.SKIPPED
    assert lab.lines == ["this host has set no noout"]
    assert not changes(tmp_path)


def test_what_an_earlier_stop_has_set_is_still_taken_back(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    lab.shutdown(reason=Reason.POWER)
    assert record(lab.shutdown(reason=Reason.POWER), SET).result is Verdict.OK
    assert lab.lines == ["noout is set since an earlier stop of this host"]
    assert back(lab).result is Verdict.OK
    assert said(tmp_path, "flags") == "sortbitwise\n"


def test_what_could_not_be_taken_back_at_boot_is_by_a_restore_by_hand(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    lab.shutdown(reason=Reason.REBOOT)
    tool(tmp_path, "ceph", "exit 1")
    tool(tmp_path, "date", f'n=$(cat "{tmp_path}/now" 2>/dev/null); echo $((n + 100)) | tee "{tmp_path}/now"')
    (tmp_path / "bin" / "tee").symlink_to("/usr/bin/tee")
    assert back(lab).message == "exit code 1"
    assert "noout is still set: `ceph osd unset noout`, or the next restore does it" in lab.lines
    tool(tmp_path, "ceph", CEPH)
    assert back(lab, Reason.MANUAL).result is Verdict.OK
    assert said(tmp_path, "flags") == "sortbitwise\n"


@pytest.mark.parametrize(
    ("ceph", "kept"),
    [(CEPH.replace(SETS, "exit 13"), False), (CEPH.replace(SETS, "exit 124"), True), ("exit 1", False)],
    ids=["refused", "no answer", "no cluster"],
)
def test_a_cluster_that_refuses_or_does_not_answer_costs_no_guest_its_shutdown(
    tmp_path: Path, ceph: str, *, kept: bool
) -> None:
    lab = lab_of(tmp_path, ceph)
    report = lab.shutdown(reason=Reason.REBOOT)
    assert record(report, SET).message == "exit code 1"
    assert report.guest("db-1").outcome is Outcome.STOPPED
    noted = (tmp_path / "plugins" / "executable-ceph-noout" / "noout").exists()
    assert noted == kept, "whoever does not know takes it back"


def test_by_hand_and_in_a_rehearsal_nothing_is_changed(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    assert "not run" in record(lab.shutdown(), SET).message
    (rehearsed,) = lab.fire("pre_shutdown", reason=Reason.REBOOT)
    assert (rehearsed.result, lab.lines) == (Verdict.OK, ["would set noout"])
    assert not changes(tmp_path)
    lab.guest("db-1")
    lab.shutdown(reason=Reason.REBOOT)
    assert back(lab, rehearsal=True).result is Verdict.OK
    assert lab.lines == ["would unset noout"]
    assert "noout" in said(tmp_path, "flags")


def test_without_ceph_it_is_skipped(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, None)
    assert record(lab.shutdown(reason=Reason.REBOOT), SET).result is Verdict.SKIPPED
    assert lab.lines == ["there is no ceph here"]
