"""A time that is none: it is refused where somebody types it, and what it would cost is not made up."""

from pathlib import Path

import pytest

from lastcall import Reason
from lastcall.report.text import as_text
from lastcall.testing.memory import FakeGuest, run_shutdown
from support import run_lastcall, write_config

LATER = ["shutdown --reason power --deadline", "restore --deadline", "plan --deadline", "plan --within",
         "announce --deadline", "announce --reason power --for", "maintenance begin --deadline",
         "maintenance end --deadline"]  # fmt: skip


@pytest.mark.parametrize("words", LATER)
@pytest.mark.parametrize("none", ["0", "0s", "0.0min"])
def test_no_time_at_all_is_a_mistake(tmp_path: Path, words: str, none: str) -> None:
    config = write_config(tmp_path, "test:///default")
    done = run_lastcall(config, *words.split(), none)
    assert done.returncode == 2
    assert f"{none} leaves no time for anything; give the time that there is, such as 4min" in done.stderr
    assert not list((tmp_path / "run").iterdir())


def test_where_nobody_could_look_nobody_is_said_not_to_run(tmp_path: Path) -> None:
    there = FakeGuest("g", uri="fake:///there")
    report = run_shutdown(tmp_path, [there], reason=Reason.POWER, dead=["fake:///there"])
    assert "shutdown: which guests run is not known; not everything as planned" in as_text(report)


def test_where_none_runs_that_is_said(tmp_path: Path) -> None:
    assert "shutdown: no running guests were found; as planned" in as_text(run_shutdown(tmp_path, []))
