"""`shed --cancel` against what begins at the same moment."""

from pathlib import Path
from typing import Any

import pytest

from lastcall import Guest
from lastcall.cli.commands import shed_cancel
from lastcall.cli.commands.shed_cancel import cancel_shedding
from lastcall.cli.invocation import Invocation
from lastcall.errors import RunLocked
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.mailbox import Answer
from lastcall.persistence.state import StateFile
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
from support import write_config

SHEDS, DRILLS = Holder("shutdown", "shed", 1), Holder("shutdown", "drill", 1)


class Back(Exception):
    """Guests are brought back."""


def holds_the_lock(folder: Path, patch: pytest.MonkeyPatch, found: Holder) -> list[str]:
    """Have this run take the lock as those are to be brought back that were shed; returns what is done to it."""
    done = list[str]()

    def restore(*_: Any, **__: Any) -> None:
        if "outlast" in done:
            raise Back
        done.append("restore")
        raise RunLocked("another run is under way")

    def call_off(_lock: RunLock) -> tuple[Holder, Answer] | None:
        return (found, Answer(accepted=True, message="it turns round")) if done and found.sheds else None

    def under_way(_lock: RunLock) -> Holder | None:
        return found if done else None

    def outlast(_lock: RunLock, _found: Holder) -> None:
        done.append("outlast")

    patch.setattr(shed_cancel, "restore_by_hand", restore)
    state = StateFile(folder / "state")
    guest = Guest(uri="test:///default", uuid="1" * 8, name="web")
    state.add([guest], run="r", boot_id=boot_id(), due=True, cause="shed")
    state.save()
    for one in (call_off, under_way, outlast):
        patch.setattr(RunLock, one.__name__, one)
    return done


def test_a_run_that_had_looked_for_whom_to_shed_before_and_begins_after_is_called_off_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, "test:///default")
    done = holds_the_lock(tmp_path, monkeypatch, SHEDS)
    with pytest.raises(Back):
        cancel_shedding(Invocation(config=config), as_json=False)
    assert done == ["restore", "outlast"]


def test_any_other_run_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_config(tmp_path, "test:///default")
    done = holds_the_lock(tmp_path, monkeypatch, DRILLS)
    with pytest.raises(RunLocked):
        cancel_shedding(Invocation(config=config), as_json=False)
    assert done == ["restore"]


def test_where_nobody_was_shed_it_says_so_and_nobody_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, "test:///default")
    assert cancel_shedding(Invocation(config=config), as_json=False) == 0
    assert capsys.readouterr().out == "shedding is called off; nobody waits to be brought back\n"
    assert not (tmp_path / "state" / "runs").exists(), "no run that somebody would look at"
