"""Guests that were moved to another host come back from there: two real libvirtds, and a host that has booted anew."""

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest

from lab.guests import FIRMWARE, heavy, opened, remove, states
from lab.neighbours import Neighbour, neighbours
from lab.patience import LONGEST, wait_until
from lastcall import Guest
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.state import StateFile
from support import PROGRAM, by_name_in, kill_at, report_of, run_lastcall, write_config

pytestmark = pytest.mark.real_guests
QUICKLY = "restore: {deadline: 24s, attempts: 2, retry: 0.5s}"


@pytest.fixture(scope="module")
def hosts() -> Iterator[Sequence[Neighbour]]:
    with neighbours("ha", "hb") as started:
        yield started


@pytest.fixture
def ha(hosts: Sequence[Neighbour]) -> Iterator[libvirt.virConnect]:
    """This host's libvirt."""
    with opened(hosts[0].qemu) as connection:
        yield connection
    with opened(hosts[0].qemu) as connection:
        remove(connection, states(connection))


@pytest.fixture
def hb(hosts: Sequence[Neighbour]) -> Iterator[libvirt.virConnect]:
    """The other host's."""
    with opened(hosts[1].qemu) as connection:
        yield connection
    with opened(hosts[1].qemu) as connection:  # a new one: it may have been killed
        remove(connection, states(connection))


@pytest.fixture
def config(tmp_path: Path, hosts: Sequence[Neighbour]) -> Path:
    return write_config(tmp_path, hosts[0].qemu, more=QUICKLY)


def defined(connection: libvirt.virConnect, name: str, like: libvirt.virDomain | None = None) -> libvirt.virDomain:
    """A guest with a firmware only; the same as on another host, where that is given."""
    xml = FIRMWARE.format(name=name)
    return connection.defineXML(xml.replace("<memory", f"<uuid>{like.UUIDString()}</uuid><memory") if like else xml)


def moved(folder: Path, hosts: Sequence[Neighbour], *domains: libvirt.virDomain, **marks: Any) -> None:
    """Write the list that the host stop just before this boot has left: these were moved to the other host."""
    (ha, hb), state = hosts, StateFile(folder / "state")
    with opened(ha.qemu) as connection:
        uri = connection.getURI()
    guests = [Guest(uri=uri, uuid=domain.UUIDString(), name=domain.name()) for domain in domains]
    state.add(guests, run="r", boot_id="the boot before", cause="host", due=True)
    state.entries = {key: replace(entry, where=(hb.qemu,), **marks) for key, entry in state.entries.items()}
    state.boot, state.previous_boot = boot_id(), "the boot before"
    state.save()


def strand(connection: libvirt.virConnect, domain: libvirt.virDomain, file: Path) -> None:
    """Let it stand as libvirt leaves one whose migration was cut off at its very end: paused for that, and no job."""
    domain.save(str(file))
    connection.restoreFlags(str(file), None, libvirt.VIR_DOMAIN_SAVE_PAUSED)
    assert domain.state() == [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION]


def await_migration(guest: libvirt.virDomain) -> None:
    """Return once it is on its way."""
    job: Any = guest.jobInfo
    wait_until(lambda: job()[0] != libvirt.VIR_DOMAIN_JOB_NONE, "it is on its way", pause=0.005)


def migrated_slowly(guest: libvirt.virDomain, here: str, there: str) -> "subprocess.Popen[bytes]":
    """Let somebody migrate it, who has begun by now and takes until it is given a higher speed."""
    guest.migrateSetMaxSpeed(1)
    somebody = subprocess.Popen(["virsh", "-c", here, "migrate", "--live", guest.name(), there])
    await_migration(guest)
    return somebody


def waiting(folder: Path) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads((folder / "state" / "state.json").read_text())["guests"]}


def test_at_boot_they_come_back_from_where_they_run_and_nobody_runs_twice(
    tmp_path: Path, config: Path, hosts: Sequence[Neighbour], ha: libvirt.virConnect, hb: libvirt.virConnect
) -> None:
    runs, stands, off, here, cut_off = (defined(hb, name) for name in ("runs", "stands", "off", "here", "cut-off"))
    cut_off.create()
    strand(hb, cut_off, tmp_path / "saved")
    runs.create()
    stands.create()
    stands.suspend()
    for domain in (defined(ha, "here", here), defined(ha, "twice")):
        domain.create()
    twice = defined(hb, "twice", ha.lookupByName("twice"))
    twice.create()
    moved(tmp_path, hosts, runs, stands, off, here, twice, cut_off, autostart=True)
    lives = runs.UUIDString()
    report = report_of(run_lastcall(config, "restore", "--from-unit", "--json"))
    found = {one["name"]: one["outcome"] for one in report["guests"]}
    moves = dict.fromkeys(("runs", "stands", "cut-off"), "moved")
    assert found == {**moves, "off": "started", "here": "present", "twice": "failed"}
    assert by_name_in(report, "runs")["moved_from"] == hosts[1].qemu
    # Who was cut off ran when it left; who stands was paused by somebody.
    assert states(ha) == {
        "cut-off": "running",
        "here": "running",
        "off": "running",
        "runs": "running",
        "stands": "paused",
        "twice": "running",
    }
    assert states(hb) == {"here": "off", "twice": "running"}
    assert ha.lookupByName("runs").UUIDString() == lives
    assert all(ha.lookupByName(name).autostart() for name in ("runs", "stands", "off", "here"))
    (problem,) = [one for one in report["problems"] if one["severity"] == "error"]
    assert problem["message"] == f"it runs here and at {hosts[1].qemu}: nothing was touched"
    assert waiting(tmp_path).keys() == {"twice"}


@pytest.mark.parametrize("how", ["freeze", "kill"])
def test_of_a_host_that_says_nothing_nobody_is_started_here_and_they_come_when_it_answers(
    tmp_path: Path, config: Path, hosts: Sequence[Neighbour], ha: libvirt.virConnect, hb: libvirt.virConnect, how: str
) -> None:
    guest = defined(hb, "web")
    guest.create()
    defined(ha, "web", guest)  # as a run that was killed has left it
    moved(tmp_path, hosts, guest)
    getattr(hosts[1], how)()
    try:
        report = report_of(run_lastcall(config, "restore", "--json"))
        shown = run_lastcall(config, "status").stdout
    finally:
        hosts[1].thaw() if how == "freeze" else hosts[1].revive()
    assert by_name_in(report, "web")["outcome"] == "failed"
    assert report["run"]["duration"] <= 30.0
    assert states(ha) == {"web": "off"}
    assert "moved to" in shown
    assert "waits for an answer of" in shown
    assert by_name_in(report_of(run_lastcall(config, "restore", "--json")), "web")["outcome"] == "moved"
    assert (states(ha), waiting(tmp_path)) == ({"web": "running"}, {})


@pytest.mark.parametrize("at", ["the request", "the middle", "the end"])
def test_a_restore_that_is_killed_on_the_way_is_brought_to_its_end_by_the_next(
    tmp_path: Path, config: Path, hosts: Sequence[Neighbour], ha: libvirt.virConnect, hb: libvirt.virConnect, at: str
) -> None:
    guests = [heavy(hb, "one", tmp_path), defined(hb, "two")]
    guests[0].create()
    moved(tmp_path, hosts, *guests)
    if at == "the middle":
        guests[0].migrateSetMaxSpeed(1)
        process = subprocess.Popen([PROGRAM, "--config", config, "restore", "one"], stderr=subprocess.DEVNULL)
        await_migration(guests[0])
        process.kill()
        assert process.wait(LONGEST) == -signal.SIGKILL
        guests[0].migrateSetMaxSpeed(1000)
    else:
        kill_at(config, {"the request": 6, "the end": 9}[at], "restore")
    report = report_of(run_lastcall(config, "restore", "--json"))
    assert (states(ha), waiting(tmp_path)) == ({"one": "running", "two": "running"}, {})
    # Killed between its definition here and the end of that there, one is defined twice; it is off there, and told of.
    twice = [one["where"] for one in report["problems"] if "it is defined at" in one["message"]]
    assert states(hb) == dict.fromkeys(twice, "off")


def test_who_is_on_the_way_by_somebodys_own_migration_is_waited_for_and_not_said_to_run_twice(
    tmp_path: Path, config: Path, hosts: Sequence[Neighbour], ha: libvirt.virConnect, hb: libvirt.virConnect
) -> None:
    guest = heavy(hb, "web", tmp_path)
    guest.create()
    moved(tmp_path, hosts, guest)
    somebody = migrated_slowly(guest, hosts[1].qemu, ha.getURI())
    restore = subprocess.Popen([PROGRAM, "--config", config, "restore", "--json"], stdout=subprocess.PIPE, text=True)
    lacks = "the restore says what it waits for, or is over"
    wait_until(lambda: waiting(tmp_path).get("web", {}).get("waits_for") or restore.poll() is not None, lacks)
    assert waiting(tmp_path)["web"]["waits_for"] == "the end of its migration"
    guest.migrateSetMaxSpeed(1000)
    report = json.loads(restore.communicate(timeout=LONGEST)[0])
    assert (somebody.wait(LONGEST), restore.returncode) == (0, 0)
    assert by_name_in(report, "web")["outcome"] == "present"
    assert report["problems"] == []
    assert (states(ha), waiting(tmp_path)) == ({"web": "running"}, {})


def test_who_is_just_being_moved_away_by_somebody_is_neither_touched_nor_taken_off_the_list(
    tmp_path: Path, config: Path, hosts: Sequence[Neighbour], ha: libvirt.virConnect, hb: libvirt.virConnect
) -> None:
    guest = heavy(ha, "web", tmp_path)
    guest.create()
    moved(tmp_path, hosts, guest)
    somebody = migrated_slowly(guest, hosts[0].qemu, hb.getURI())
    report = report_of(run_lastcall(config, "restore", "--json"))
    assert (by_name_in(report, "web")["outcome"], report["problems"]) == ("present", [])
    assert waiting(tmp_path).keys() == {"web"}, "it is somewhere else in a moment"
    guest.migrateSetMaxSpeed(1000)
    assert somebody.wait(LONGEST) == 0
    assert states(hb) == {"web": "running"}


def test_whoever_a_run_has_moved_is_back_after_the_boot_as_it_was(
    tmp_path: Path, hosts: Sequence[Neighbour], ha: libvirt.virConnect, hb: libvirt.virConnect
) -> None:
    more = f"defaults: {{stop: [{{migrate: {{to: {json.dumps(hosts[1].qemu)}}}}}, acpi]}}\n{QUICKLY}"
    config = write_config(tmp_path, hosts[0].qemu, more=more)
    guest = defined(ha, "web")
    guest.setAutostart(1)
    guest.create()
    gone = report_of(run_lastcall(config, "shutdown", "--json"))
    assert by_name_in(gone, "web")["moved_to"] == hosts[1].qemu
    assert (states(ha), states(hb)) == ({}, {"web": "running"})
    assert not hb.lookupByName("web").autostart()
    back = report_of(run_lastcall(config, "restore", "--json"))
    assert by_name_in(back, "web")["moved_from"] == hosts[1].qemu
    assert (states(ha), states(hb), waiting(tmp_path)) == ({"web": "running"}, {}, {})
    assert ha.lookupByName("web").autostart()


NETWORK = "<network><name>lan</name><bridge name='lan0' stp='off'/></network>"
CARD = "<devices><interface type='network'><source network='lan'/></interface></devices></domain>"


def test_check_asks_the_host_that_guests_would_be_moved_to_and_changes_nothing_there(
    tmp_path: Path, hosts: Sequence[Neighbour], ha: libvirt.virConnect, hb: libvirt.virConnect
) -> None:
    more = f"defaults: {{stop: [{{migrate: {{to: {json.dumps(hosts[1].qemu)}, storage: unsafe}}}}, acpi]}}"
    config = write_config(tmp_path, hosts[0].qemu, more=more)
    network = ha.networkCreateXML(NETWORK)
    try:
        for domain in (defined(ha, "free"), defined(ha, "double"), defined(ha, "namesake")):
            domain.create()
        ha.defineXML(FIRMWARE.format(name="wired").replace("</domain>", CARD)).create()
        defined(hb, "double", ha.lookupByName("double"))
        defined(hb, "namesake")
        before = states(hb)
        told = json.loads(run_lastcall(config, "check", "--json").stdout)["problems"]
        found = {one["where"]: one["message"] for one in told if one["what"] == "migrate"}
        assert found.keys() == {"double", "namesake", "wired"}
        assert "is defined at" in found["double"]
        assert "has another guest of that name" in found["namesake"]
        assert "has no active network lan" in found["wired"]
        assert states(hb) == before
        hosts[1].freeze()
        told = json.loads(run_lastcall(config, "check", "--json").stdout)["problems"]
        (problem,) = [one for one in told if one["what"] == "migrate"]
        assert problem["where"] == hosts[1].qemu
        assert "cannot be reached" in problem["message"]
    finally:
        hosts[1].thaw()
        network.destroy()
