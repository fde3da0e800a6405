"""Guests move to another host instead of stopping: two libvirtds side by side, and what may become of the other one."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.guests import FIRMWARE, opened, remove, states
from lab.neighbours import Neighbour, neighbours
from lab.patience import LONGEST
from support import PROGRAM, write_config

ON_HA = "qemu:///system"


@pytest.fixture(scope="module")
def pair() -> Iterator[Sequence[Neighbour]]:
    """Two hosts that guests can move between."""
    with neighbours("ha", "hb") as hosts:
        yield hosts


def ladder(hb: Neighbour, options: str = "", *, then: str = "acpi", more: str = "") -> str:
    """A configuration by which everybody moves to that host, or is stopped here."""
    return f"defaults: {{stop: [{{migrate: {{to: '{hb.tcp}', {options}}}}}, {then}]}}\n{more}"


def shutdown(ha: Neighbour, config: Path, *words: str) -> Any:
    """Stop the guests of a host, by a program that runs there; returns its report."""
    command = ha.inside(str(PROGRAM), "--config", str(config), "shutdown", "--json", *words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def places(folder: Path) -> dict[str, list[str]]:
    """Where those are that wait for a restore, as is written down."""
    listed = json.loads((folder / "state" / "state.json").read_text())["guests"]
    return {one["name"]: one["where"] for one in listed}


def test_guests_move_two_at_a_time_and_are_there_what_they_were_here(pair: Sequence[Neighbour], tmp_path: Path) -> None:
    ha, hb = pair
    config = write_config(tmp_path, ON_HA, more=ladder(hb))
    names = ["one", "two", "three", "four", "paused", "phoenix"]
    with opened(ha.qemu) as here, opened(hb.qemu) as there:
        try:
            for name in names:
                xml = FIRMWARE.format(name=name)
                if name == "phoenix":
                    xml = xml.replace("<features>", "<on_poweroff>restart</on_poweroff><features>")
                here.defineXML(xml).create()
            here.lookupByName("paused").suspend()
            report = shutdown(ha, config)
            assert {one["name"]: one["outcome"] for one in report["guests"]} == dict.fromkeys(names, "moved"), report
            assert {one["moved_to"] for one in report["guests"]} == {hb.tcp}
            assert report["run"]["exit_code"] == 0
            assert states(here) == {}
            assert states(there) == {name: "paused" if name == "paused" else "running" for name in sorted(names)}
            assert "<on_poweroff>restart" in there.lookupByName("phoenix").XMLDesc(0)
            assert places(tmp_path) == {name: [hb.tcp] for name in names}
        finally:
            remove(here, names)
            remove(there, names)
