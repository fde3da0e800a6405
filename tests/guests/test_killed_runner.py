"""The runner is killed at different records of a run with real guests, and run again: every guest ends up right."""

from pathlib import Path

import pytest

from lab.daemon import Daemon
from lab.guests import linux_guests, opened, states
from lastcall.persistence.state import open_state
from support import kill_at, run_lastcall, waiting_guests, write_config

NAMES = ("chained", "first", "saved")
RULES = """
guests:
  - {match: first, depends_on: [chained]}
  - {match: saved, stop: [save]}
"""


@pytest.mark.parametrize("record", [4, 9, 14])
def test_a_killed_run_is_finished_by_the_next_and_everybody_comes_back(
    lab: Daemon, tmp_path: Path, record: int
) -> None:
    config = write_config(tmp_path, lab.qemu, more=RULES)
    with linux_guests(lab, chained="slow=1", first="slow=2", saved="slow=1"):
        kill_at(config, record)
        open_state(tmp_path / "state")
        assert run_lastcall(config, "shutdown").returncode == 0
        with opened(lab.qemu) as connection:
            assert {states(connection)[name] for name in NAMES} == {"off"}
        assert sorted(waiting_guests(tmp_path / "state")) == sorted(NAMES)
        assert run_lastcall(config, "restore").returncode == 0
        with opened(lab.qemu) as connection:
            assert {states(connection)[name] for name in NAMES} == {"running"}
        assert waiting_guests(tmp_path / "state") == []
