"""Whom the end of a maintenance brings back."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lastcall import Guest
from lastcall.config.settings import PathSettings, Settings
from lastcall.persistence.state import open_state
from lastcall.runs.fleet.maintenance import begin_maintenance, end_maintenance

if TYPE_CHECKING:
    from lastcall.persistence.waiting.entry import Cause

URI = "qemu:///system"
MODULES = ("lastcall.runs.fleet.maintenance", "lastcall.persistence.fleet.maintenance")


def guest(name: str) -> Guest:
    return Guest(uri=URI, uuid=name, name=name)


@pytest.mark.parametrize("boots", [1, 2, 3])
def test_whoever_would_have_come_back_by_itself_comes_back_with_the_end_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boots: int
) -> None:
    """As whoever was shed: with the mains, or at the next boot."""
    now = ["b1"]
    for module in MODULES:
        monkeypatch.setattr(f"{module}.boot_id", lambda: now[0])
    settings = Settings(paths=PathSettings(state=tmp_path, run=tmp_path, hooks=tmp_path / "hooks"))
    state = open_state(tmp_path)
    state.stamp("b0")
    state.stamp("b1")
    state.restored_in = "b1"
    waiting: list[tuple[str, str, Cause, bool]] = [
        ("shed", "b1", "shed", True), ("named", "b1", "hand", False), ("old", "a", "host", True),
        ("missed", "b0", "host", True), ("by hand", "b1", "host", False),
    ]  # fmt: skip
    for name, boot, cause, due in waiting:
        state.add([guest(name)], run=name, boot_id=boot, cause=cause, due=due)
    state.save()
    assert begin_maintenance(settings)
    state = open_state(tmp_path)
    state.add([guest("stopped")], run="for it", boot_id="b1", cause="host", due=False)
    state.save()
    for number in range(2, boots + 1):
        state = open_state(tmp_path)
        state.make_due(now[0])
        now[0] = f"b{number}"
        state.stamp(now[0])
        state.save()
    kept = end_maintenance(settings)
    assert kept is not None
    assert {uuid for _, uuid in kept} == {"shed", "missed", "stopped"}
