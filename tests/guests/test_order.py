"""Chains of real guests: the order of events is that of the plan, and nothing is waited for in vain."""

import json
import socket
from pathlib import Path

from lab.daemon import Daemon
from lab.guests import linux_guests, opened, states
from support import order_asked, records, report_of, run_lastcall, write_config

CHAIN = """\
guests:
  - {match: web, depends_on: [app], ready: {agent: true}}
  - {match: app, depends_on: [db], ready: {agent: true}}
  - {match: db, depends_on: [storage], ready: {agent: true}}
  - {match: storage, ready: {agent: true}}
restore: {parallel: 0}
"""


def test_a_chain_and_independent_guests_stop_in_order_and_start_in_reverse(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more=CHAIN)
    takes = {"web": 1, "app": 2, "db": 2, "storage": 1, "alone": 3, "other": 1}
    with linux_guests(lab, **{name: f"slow={seconds}" for name, seconds in takes.items()}) as guests:
        done = run_lastcall(config, "shutdown", "--json")
        report = report_of(done)
        found = {guest["name"]: guest for guest in report["guests"]}
        assert {guest["outcome"] for guest in report["guests"]} == {"stopped"}, done.stderr
        names = {guest["uuid"]: guest["name"] for guest in report["guests"]}
        asked = order_asked(tmp_path, report)
        assert sorted(asked[:3]) == ["alone", "other", "web"]
        assert asked[3:] == ["app", "db", "storage"]
        off = {names[record["guest"][1]]: record["at"] for record in records(tmp_path, report, "GuestWentOff")}
        for needing, needed in (("web", "app"), ("app", "db"), ("db", "storage")):
            assert off[needing] <= found[needed]["asked"] + 0.002
        chain = sum(found[name]["duration"] for name in ("web", "app", "db", "storage"))
        # From the first request on: how long the program takes to start is for the machine to say.
        took = max(off.values()) - min(one["asked"] for one in report["guests"])
        assert took <= 1.25 * chain, "the longest chain decides, and nothing else"
        assert all(guest.went_down_cleanly for guest in guests.values())

        plan = json.loads(run_lastcall(config, "plan", "--json").stdout)
        assert plan["guests"] == [], "nobody runs"
        done = run_lastcall(config, "restore", "--json")
        back = {guest["name"]: guest for guest in report_of(done)["guests"]}
        assert {guest["outcome"] for guest in back.values()} == {"started"}, done.stderr
        for needed, needing in (("storage", "db"), ("db", "app"), ("app", "web")):
            ready = back[needed]["started"] + back[needed]["duration"]
            assert ready <= back[needing]["asked"] + 0.002, f"{needing} has to wait until {needed} is ready"
            assert back[needed]["duration"] > 1.0, "a guest's agent does not answer at once"

        plan = json.loads(run_lastcall(config, "plan", "--json").stdout)
        assert plan["run"]["usual"]["path"] == ["web", "app", "db", "storage"]
        assert abs(plan["run"]["usual"]["seconds"] - chain) < chain / 8, "past runs teach the plan how long guests take"
        moments = {guest["name"]: guest["asked_usually"] for guest in plan["guests"]}
        assert moments["web"] == 0 < moments["app"] < moments["db"] < moments["storage"]


def test_a_guest_is_ready_when_its_port_is_open_and_its_command_succeeds(lab: Daemon, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with socket.socket() as server, linux_guests(lab, gated="slow=0") as _:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        conditions = f"{{tcp: '127.0.0.1:{port}', command: 'test -e {flag}', delay: 2s}}"
        more = f"guests: [{{match: gated, ready: {conditions}, ready_timeout: 6s}}]"
        config = write_config(tmp_path, lab.qemu, more=more)
        patient = more.replace("6s", "5min")
        run_lastcall(config, "shutdown")
        done = run_lastcall(config, "restore", "--json")
        assert report_of(done)["guests"][0]["outcome"] == "unready", "the port is closed"
        run_lastcall(config, "shutdown", "--force")
        server.listen()
        flag.touch()
        write_config(tmp_path, lab.qemu, more=patient)
        done = run_lastcall(config, "restore", "--json")
        guest = report_of(done)["guests"][0]
        assert guest["outcome"] == "started"
        assert guest["duration"] >= 2
        with opened(lab.qemu) as connection:
            assert states(connection)["gated"] == "running"
