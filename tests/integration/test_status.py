"""`lastcall status` on a real daemon: who is there now, and what the plan of before still tells."""

import json
import os
import time
from pathlib import Path

from json_documents import hold_against_schema
from lab.daemon import Daemon
from lab.guests import driver_guests
from support import run_lastcall, write_config


def line(config: Path, label: str) -> str:
    (found,) = [one for one in run_lastcall(config, "status").stdout.splitlines() if one.startswith(label)]
    return found.removeprefix(label).strip()


def test_guests_are_counted_by_state_and_the_plan_holds_until_guests_or_configuration_change(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test)
    old = time.time() - 3600
    os.utime(config, (old, old))
    (tmp_path / "state").mkdir(exist_ok=True)
    with driver_guests(lab, ["db", "web", "mail"]) as connection:
        assert line(config, "next stop").startswith("not planned yet")
        connection.lookupByName("mail").suspend()
        assert line(config, "guests now") == f"2 running, 1 paused on {lab.test}"
        for words in (
            ["plan", "db"],
            ["plan", "--manual"],
            ["plan", "--deadline", "1h"],
            ["plan", "--reason", "reboot"],
        ):
            run_lastcall(config, *words)
            assert line(config, "next stop").startswith("not planned yet"), words
        run_lastcall(config, "plan")
        told = line(config, "next stop")
        assert told.startswith("3 guests: usually not known yet, at worst ")
        assert told.endswith(" of 10min; planned just now")
        connection.lookupByName("web").destroy()
        assert line(config, "guests now") == f"1 running, 1 paused, 1 off on {lab.test}"
        assert line(config, "next stop").endswith("planned just now, and since then other guests run: `lastcall plan`")
        connection.lookupByName("web").create()
        assert line(config, "next stop").endswith(" of 10min; planned just now")
        config.write_text(config.read_text() + "runs: {keep: 7}\n")
        assert line(config, "next stop").endswith("the configuration was changed: `lastcall plan`")
        run_lastcall(config, "-q", "shutdown", "--yes")
        assert line(config, "last run").endswith("; as planned")
        assert line(config, "guests now") == f"3 off on {lab.test}"
        document = hold_against_schema(run_lastcall(config, "status", "--json").stdout, "status")
        assert document["connections"] == [{"uri": lab.test, "guests": {"off": 3}}]
        assert document["next_stop"]["outdated"] == "the configuration was changed"
        assert json.loads(run_lastcall(config, "plan", "--json").stdout)["run"]["deadline"] == 600.0
