"""Nobody is said to be missing before libvirt was asked: `status`, `check` and the line at login, on a real daemon."""

import json
import os
import signal
from pathlib import Path

from lab.daemon import Daemon, daemon
from lab.guests import driver_guests, states
from support import next_boot, run_lastcall, waiting_guests, write_config

NOBODY = "no guest waits to be restored"


def login_line(folder: Path) -> str:
    """What a login shows."""
    line = folder / "run" / "motd"
    return line.read_text() if line.exists() else ""


def waiting(config: Path) -> dict[str, bool | None]:
    """Who is not back by `status`: False, or None where that is not known."""
    return {
        guest["name"]: guest["back"] for guest in json.loads(run_lastcall(config, "status", "--json").stdout)["guests"]
    }


def test_who_was_started_by_somebody_else_is_not_missing(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["db", "web"]) as connection:
        run_lastcall(config, "shutdown", "--yes")
        assert waiting(config) == {"db": False, "web": False}
        connection.lookupByName("db").create()
        assert waiting(config) == {"web": False}, "in the same boot"
        next_boot(tmp_path / "state", "a")
        shown = run_lastcall(config, "status").stdout
        assert "db  was running" not in shown
        assert f"web  was running on {lab.test}  off for " in shown
        assert "1 guest is not back since the last shutdown: web. As of" in login_line(tmp_path)
        assert "1 guest of an earlier shutdown waits to be restored" in run_lastcall(config, "check").stdout
        connection.lookupByName("web").create()
        assert "earlier shutdown" not in run_lastcall(config, "check").stdout
        assert login_line(tmp_path) == "", "whoever looks makes it true"
        assert NOBODY in run_lastcall(config, "status").stdout
        assert sorted(waiting_guests(tmp_path / "state")) == ["db", "web"], "to look changes nothing on the list"


def test_every_run_by_hand_and_forget_make_the_line_at_login_true(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["db", "web", "mail"]) as connection:
        run_lastcall(config, "shutdown", "--yes")
        next_boot(tmp_path / "state", "a")
        run_lastcall(config, "restore", "mail")
        assert "2 guests are not back since the last shutdown: db, web. As of" in login_line(tmp_path)
        connection.lookupByName("db").create()
        run_lastcall(config, "shutdown", "mail", "--yes")
        assert "1 guest is not back since the last shutdown: web. As of" in login_line(tmp_path)
        run_lastcall(config, "forget", "db")
        assert "1 guest is perhaps not back since the last shutdown: web. As of" in login_line(tmp_path)
        run_lastcall(config, "forget", "web")
        assert login_line(tmp_path) == ""


def test_a_daemon_that_does_not_answer_holds_up_nobody_for_long_and_nothing_is_claimed(tmp_path: Path) -> None:
    with daemon() as frozen, driver_guests(frozen, ["db"]) as connection:
        config = write_config(tmp_path, frozen.test, "test:///default")
        uri = json.dumps(frozen.test)
        config.write_text(config.read_text().replace(uri, f"{{uri: {uri}, timeout: 1s}}"))
        run_lastcall(config, "shutdown", "--yes")
        connection.lookupByName("db").create()
        next_boot(tmp_path / "state", "a")
        os.kill(frozen.pid(), signal.SIGSTOP)
        try:
            shown = run_lastcall(config, "status")
            said, db, _ = shown.stdout.replace("db    was", "db  was").splitlines()[1:4]
            assert said.startswith(
                f"libvirt did not answer for {frozen.test} (no answer within 4 s): whether its guests"
            )
            assert db.startswith(f"db  was running on {frozen.test}  listed for ")
            assert db.endswith("  perhaps waits to be restored by `lastcall restore db`")
            assert "is perhaps not back since the last shutdown: db" in login_line(tmp_path).replace("guests are", "is")
            checked = run_lastcall(config, "check").stdout
            assert "whether 1 guest of an earlier shutdown is back is not known: no answer within 4 s" in checked
            assert "1 guest of an earlier shutdown waits" in checked, "of the other driver's guest nobody can be asked"
        finally:
            os.kill(frozen.pid(), signal.SIGCONT)
    gone = json.loads(run_lastcall(config, "status", "--json").stdout)
    assert {guest["name"]: guest["back"] for guest in gone["guests"]} == {"db": None, "test": None}
    assert "Failed to connect" in gone["silent"][frozen.test]


def test_where_nobody_is_to_come_back_nobody_waits_and_nothing_is_promised(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="restore: {policy: none}")
    with driver_guests(lab, ["db"]) as connection:
        assert "; not restored" in run_lastcall(config, "plan", "--reason", "power").stdout
        assert json.loads(run_lastcall(config, "plan", "--json").stdout)["guests"][0]["restore"] is False
        run_lastcall(config, "shutdown", "--reason", "power")
        next_boot(tmp_path / "state", "a")
        assert f"{NOBODY}: restore.policy is none" in run_lastcall(config, "status").stdout
        assert waiting(config) == {}
        assert "earlier shutdown" not in run_lastcall(config, "check").stdout
        run_lastcall(config, "restore")
        assert login_line(tmp_path) == ""
        assert states(connection) == {"db": "off"}
        run_lastcall(config, "restore", "db")
        assert states(connection) == {"db": "running"}, "who names one has it started"
