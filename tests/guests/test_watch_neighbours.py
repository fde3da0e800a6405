"""Three real libvirtds that watch each other: hosts that stop at once hand over by what each hears of the others."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lab.guests import firmware_guests, linux_guests, opened, states
from lab.neighbours import Neighbour, neighbours
from lab.patience import LONGEST, wait_until
from support import PROGRAM, by_name_in, report_of

RULES = """\
guests:
  - {match: web, depends_on: [db], ready: {agent: true}}
  - {match: db, depends_on: [store], ready: {agent: true}}
  - {match: store, ready: {agent: true}}
"""
PULLED = """\
defaults: {stop: [{destroy: {graceful: false}}]}
guests: [{match: web, depends_on: [db]}]
shutdown: {deadline: 45s, watch: {wait: 12s}}
"""
GONE = [f"qemu+tcp://10.77.0.{number}/system" for number in range(101, 110)]  # where nobody ever was
pytestmark = pytest.mark.real_guests


@pytest.fixture(scope="module")
def hosts() -> Generator[Sequence[Neighbour]]:
    with neighbours("ha", "hb", "hc") as made:
        yield made


def configured(host: Neighbour, others: Sequence[str], more: str) -> Path:
    """Its configuration, by which it watches these others; what it keeps is its own."""
    folder = host.folder / "lastcall"
    for name in ("state", "run", "hooks.d"):
        (folder / name).mkdir(exist_ok=True, parents=True, mode=0o755)
    watched = [{"uri": uri, "watch": True, "reconnect": "3s"} for uri in others]
    paths = {"state": f"{folder}/state", "run": f"{folder}/run", "hooks": f"{folder}/hooks.d"}
    own = json.dumps({"connections": ["qemu:///system", *watched], "paths": paths})[1:-1]
    (folder / "config.yaml").write_text("\n".join(own.replace(', "paths"', '\n"paths"').splitlines()) + f"\n{more}")
    return folder / "config.yaml"


def begin(host: Neighbour, config: Path, *words: str) -> "subprocess.Popen[str]":
    """Begin a run on that host."""
    command = host.inside(str(PROGRAM), "--config", str(config), *words)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(run: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    out, said = run.communicate(timeout=LONGEST)
    return subprocess.CompletedProcess(run.args, run.returncode, out, said)


def moments(report: Any, name: str) -> tuple[float, float]:
    """When a guest was asked, or started, and when it was off, or ready: by the clock of this machine."""
    guest = by_name_in(report, name)
    began = datetime.fromisoformat(report["run"]["started"]).timestamp()
    return began + guest["asked"], began + guest["started"] + guest["duration"]


def test_a_chain_over_three_hosts_stops_in_order_and_comes_back_in_reverse(hosts: Sequence[Neighbour]) -> None:
    ha, hb, hc = hosts
    configs = [configured(host, [one.tcp for one in hosts if one is not host], RULES) for host in hosts]
    with linux_guests(ha, web="slow=3"), linux_guests(hb, db="slow=1"), linux_guests(hc, store="slow=0"):
        runs = [
            begin(host, config, "shutdown", "--reason", "power", "--deadline", "80s", "--json")
            for host, config in zip(hosts, configs, strict=True)
        ]
        done = [finished(run) for run in runs]
        reports = [report_of(one) for one in done]
        assert [one.returncode for one in done] == [0, 0, 0], [one.stdout for one in done]
        names = ["web", "db", "store"]
        times = [moments(report, name) for report, name in zip(reports, names, strict=True)]
        for (_, off), (asked, _) in pairwise(times):
            assert -0.05 <= asked - off <= 1.0, "the hand-over is by events"
        for report, needing in zip(reports[1:], names, strict=False):
            watched = by_name_in(report, needing)
            assert (watched["outcome"], watched["asked"], watched["attempts"]) == ("skipped", None, [])
            assert watched["message"].startswith("waited for, off after ")
        assert {guest["name"] for guest in reports[0]["guests"]} == {"web"}, "who needs nobody here is not waited for"

        runs = [begin(host, config, "restore", "--json") for host, config in zip(hosts, configs, strict=True)]
        done = [finished(run) for run in runs]
        reports = [report_of(one) for one in done]
        assert [one.returncode for one in done] == [0, 0, 0], [one.stdout for one in done]
        times = [moments(report, name) for report, name in zip(reports, names, strict=True)]
        assert times[2][0] < times[1][0] < times[0][0], "each starts when the one that it needs runs over there"

        plan = json.loads(finished(begin(hb, configs[1], "plan", "--reason", "power", "--json")).stdout)
        web = by_name_in(plan, "web")
        assert (web["left_because"], web["watched"], web["past"]["runs"]) == ("watched", 60.0, 1)
        assert by_name_in(plan, "db")["waits_for"] == ["web"]
        by_hand = finished(begin(hb, configs[1], "shutdown", "--json"))
        assert (by_hand.returncode, by_hand.stdout) == (2, "")
        assert "nobody is stopped: web goes on and needs db" in by_hand.stderr
        check = finished(begin(hb, configs[1], "check"))
        assert f"{ha.tcp}:" in check.stdout
        assert "watched, 1 guest" in check.stdout


@contextmanager
def pulled(hb: Neighbour) -> Generator[None]:
    """`db` is there once more."""
    with opened(hb.qemu) as here:
        if states(here)["db"] != "running":
            here.lookupByName("db").create()
    yield
    with opened(hb.qemu) as here:
        assert states(here)["db"] == "off"


def db_asked(run: "subprocess.Popen[str]") -> tuple[float, Any]:
    """How long after the start of the run `db` was asked; and what was watched."""
    done = finished(run)
    report = report_of(done)
    assert report["run"]["duration"] < 45, "over by the deadline"
    assert by_name_in(report, "db")["outcome"] == "forced", done.stdout  # its only rung is the plug
    assert done.returncode == 0, done.stdout
    return by_name_in(report, "db")["asked"], next((one for one in report["guests"] if one["name"] == "web"), None)


def test_a_neighbour_that_is_killed_frozen_unreachable_or_rebooting_costs_no_more_than_is_configured(
    hosts: Sequence[Neighbour],
) -> None:
    ha, hb, _ = hosts
    config = configured(hb, [ha.tcp, *GONE], PULLED)

    def stop() -> "subprocess.Popen[str]":
        return begin(hb, config, "shutdown", "--reason", "power", "--json")

    def stop_and_wait() -> "subprocess.Popen[str]":
        logs, began = hb.folder / "lastcall" / "state" / "runs", time.monotonic()
        before = set(logs.glob("*.jsonl"))
        run = stop()

        def waits() -> bool:
            return any("GuestBegun" in one.read_text() for one in set(logs.glob("*.jsonl")) - before)

        wait_until(waits, "it waits for web", process=run.pid)
        assert time.monotonic() - began < 10, "nine peers that are gone are tried beside each other"
        return run

    with firmware_guests(ha, "web"), firmware_guests(hb, "db"):
        with pulled(hb):  # and nine more peers are gone
            asked, web = db_asked(stop())
            assert 12.0 <= asked <= 20.0, "it stays up"
            waited = re.fullmatch(r"waited for (.*) s, and still running", web["message"])
            assert waited, web
            assert 12.0 <= float(waited[1]) <= 20.0
        with pulled(hb):
            run = stop_and_wait()
            ha.kill()
            asked, web = db_asked(run)
            assert asked <= 11.5, "a dead peer costs its `reconnect`"
            assert "its connection is lost" in web["message"]
            ha.revive()
        with pulled(hb):
            run = stop_and_wait()
            ha.kill()
            os.kill(ha.qemu_of("web") or 0, signal.SIGKILL)  # nobody tells of it
            ha.revive()
            asked, web = db_asked(run)
            assert asked <= 11.5
            assert web["message"].startswith("waited for, off after "), "asked for when its connection was back"
            with opened(ha.qemu) as there:
                there.lookupByName("web").create()
        with pulled(hb):
            run = stop_and_wait()
            ha.freeze()
            asked, web = db_asked(run)
            ha.thaw()
            assert asked <= 20.0, "one that hangs costs `wait`, or its keepalive and `reconnect`"
        for cut, mend in ((ha.freeze, ha.thaw), (ha.unplug, ha.plug_in)):
            with pulled(hb):
                cut()
                asked, web = db_asked(stop())
                mend()
                assert (asked <= 7.5, web) == (True, None), "the opening of its connection, beside ours"
