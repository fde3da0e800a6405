"""Whole shutdowns, on guests in memory."""

from pathlib import Path

import pytest
from lastcall import Problem, Reason
from lastcall.testing import Lab
from lastcall.testing.pytest_plugin import MakeLab

import lastcall_door_sign as plugin


@pytest.fixture
def lab(lastcall_lab: MakeLab, tmp_path: Path) -> Lab:
    """A host with this plugin, which writes into the test's folder."""
    config = f"plugins: {{door_sign: {{file: {tmp_path}/said}}}}"
    return lastcall_lab(plugins={"door_sign": plugin}, config=config)


def test_it_says_who_was_running(lab: Lab, tmp_path: Path) -> None:
    lab.guest("db-1", takes=30)
    lab.guest("web-1")
    report = lab.shutdown(reason=Reason.REBOOT)
    assert (tmp_path / "said").read_text() == "closed (reboot), 2 guests: db-1 web-1\n"
    assert report.run.exit_code == 0
    assert [hook.evidence for hook in report.hooks] == [{"mentioned": 2}]


def test_a_guest_can_be_left_out(lab: Lab, tmp_path: Path) -> None:
    lab.guest("db-1")
    lab.guest("scratch-1", settings={"door_sign": {"mention": False}})
    lab.shutdown()
    assert (tmp_path / "said").read_text() == "closed (manual), 2 guests: db-1\n"


def test_a_rehearsal_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    guest = lab.guest("db-1")
    lab.fire("on_guest_stop", guest)
    lab.fire("post_shutdown")
    assert lab.lines == [f"would write {tmp_path}/said"]
    assert not (tmp_path / "said").exists()


def problems(lab: Lab) -> list[Problem]:
    """What `lastcall check` says by this plugin."""
    return [problem for problem in lab.check() if problem.what == "door_sign"]


def test_check_names_a_folder_that_is_not_there(lab: Lab, tmp_path: Path) -> None:
    assert problems(lab) == []
    lab.config = f"plugins: {{door_sign: {{file: {tmp_path}/none/said}}}}"
    (problem,) = problems(lab)
    assert problem.where == f"{tmp_path}/none"
    assert problem.remedy == f"mkdir -p {tmp_path}/none"
