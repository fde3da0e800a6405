"""Maintenance on a real daemon: who was stopped for it stays away over boots, and comes back at its end."""

import json
from pathlib import Path

import pytest

from json_documents import hold_against_schema
from lab.daemon import Daemon
from lab.fleetlock import Locks, over_tcp
from lab.guests import driver_guests, states
from lastcall.persistence.fleet.held_lock import HeldLockFile
from lastcall.persistence.fleet.maintenance import Maintenance, MaintenanceFile
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
from support import next_boot, run_lastcall, waiting_guests, write_config

ALL = {"db": "running", "web": "running"}


def boot(config: Path, folder: Path, name: str) -> None:
    """What was this boot is the one before from now on, called `name`."""
    next_boot(folder / "state", name)
    note = folder / "state" / "fleet-lock.json"
    if note.exists():
        held = json.loads(note.read_text())
        note.write_text(json.dumps({**held, "boot": name}))
    assert run_lastcall(config, "stamp").returncode == 0


def test_guests_stay_away_over_boots_and_end_brings_back_those_that_were_stopped_for_it(
    lab: Daemon, tmp_path: Path
) -> None:
    locks = Locks()
    with over_tcp(locks) as port, driver_guests(lab, ["db", "web", "off", "own"]) as connection:
        config = write_config(tmp_path, lab.test, more=f"fleet_lock: {{url: 'http://127.0.0.1:{port}', id: a}}\n")
        connection.lookupByName("off").destroy()
        run_lastcall(
            config, "shutdown", "own", "--yes"
        )  # somebody's, from before, who does not want it back with others
        assert run_lastcall(config, "lock", "take").returncode == 0
        begun = run_lastcall(config, "maintenance", "begin", "--json")
        found = hold_against_schema(begun.stdout, "maintenance", "begin")
        assert (begun.returncode, {one["name"] for one in found["report"]["guests"]}) == (0, {"db", "web"})
        for name in ("a", "b"):
            boot(config, tmp_path, name)
            restored = run_lastcall(config, "restore", "--from-unit")
            assert (restored.returncode, "in maintenance since" in restored.stderr) == (0, True)
            connection.lookupByName("web").create()  # somebody needs it for a moment, and it goes down with the host
            run_lastcall(config, "shutdown", "--reason", "reboot", "--yes")
        boot(config, tmp_path, "c")
        (tmp_path / "run" / "motd").unlink()  # as a boot does
        run_lastcall(config, "restore", "--from-unit")
        assert "in maintenance since" in (tmp_path / "run" / "motd").read_text()
        assert set(states(connection).values()) == {"off"}
        by_hand = run_lastcall(config, "restore")
        assert (by_hand.returncode, "`lastcall maintenance end`" in by_hand.stderr) == (1, True)
        shown = run_lastcall(config, "status").stdout
        assert "in maintenance since" in shown
        assert "stays off until `lastcall maintenance end`" in shown
        assert "holds the fleet lock default" in shown
        assert "in maintenance since" in run_lastcall(config, "check").stdout
        assert locks.holders == {"default": {"a"}}

        ended = run_lastcall(config, "maintenance", "end", "--json")
        found = hold_against_schema(ended.stdout, "maintenance", "end")
        assert (ended.returncode, found["since"]) == (0, None)
        assert states(connection) == {**ALL, "off": "off", "own": "off"}
        assert (waiting_guests(tmp_path / "state"), locks.holders) == (["own"], {"default": set[str]()})
        assert HeldLockFile(tmp_path / "state").read() is None
        again = run_lastcall(config, "maintenance", "end")
        assert (again.returncode, again.stdout.strip()) == (0, "this host is not in maintenance")
        assert "maintenance" not in run_lastcall(config, "check").stdout


def test_one_by_name_comes_back_while_the_others_stay_away(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["db", "web"]) as connection:
        run_lastcall(config, "maintenance", "begin")
        run_lastcall(config, "restore", "db")
        assert states(connection) == {"db": "running", "web": "off"}
        run_lastcall(config, "maintenance", "begin")  # once more: it goes on, and stops whoever runs
        assert set(states(connection).values()) == {"off"}
        run_lastcall(config, "maintenance", "end")
        assert states(connection) == ALL


def test_what_is_not_brought_back_by_its_end_comes_with_the_next_boot(lab: Daemon, tmp_path: Path) -> None:
    """As where the end was cut off: the note is gone, the guests are due."""
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["db", "web"]) as connection:
        run_lastcall(config, "stamp")
        run_lastcall(config, "restore", "--from-unit")
        run_lastcall(config, "maintenance", "begin")
        run_lastcall(config, "maintenance", "end", "--deadline", "1ms")
        assert set(states(connection).values()) == {"off"}
        run_lastcall(config, "shutdown", "--reason", "reboot", "--yes")
        boot(config, tmp_path, "a")
        assert run_lastcall(config, "restore", "--from-unit").returncode == 0
        assert states(connection) == ALL


def test_where_another_run_is_under_way_it_does_not_begin(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["db"]) as connection:
        lock = RunLock(tmp_path / "run")
        lock.take(Holder("shutdown", "manual", 1))
        try:
            assert run_lastcall(config, "maintenance", "begin").returncode == 5
        finally:
            lock.release()
        assert states(connection) == {"db": "running"}
        assert MaintenanceFile(tmp_path / "state").read() is None


@pytest.mark.parametrize("text", ["", "{}", "\x00", '{"since": "x", "boot": "b"}', '{"since": 1, "boot": "b"}'])
def test_a_note_of_maintenance_that_cannot_be_understood_holds_all_the_same(tmp_path: Path, text: str) -> None:
    file = MaintenanceFile(tmp_path)
    file.write(Maintenance.begun_now(()))
    file.path.write_text(text)
    found = file.read()
    assert found is not None
    assert "in maintenance since 20" in found.words
