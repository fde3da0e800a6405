"""Guests move to another host instead of stopping: two libvirtds side by side, and what may become of the other one."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.guests import FIRMWARE, LinuxGuest, heavy, linux_guests, opened, remove, states
from lab.neighbours import Neighbour, neighbours
from lab.patience import LONGEST, wait_until
from lab.processes import family
from support import PROGRAM, write_config

ON_HA = "qemu:///system"
IMAGES = "/var/lib/libvirt/images"
DISK = """<devices><disk type='file' device='disk'><driver name='qemu' type='raw'{cache}/><source file='{path}'/>
<target dev='vda' bus='virtio'/></disk></devices></domain>"""
DIRTIES = "while :; do dd if=/dev/urandom of=/dirt bs=1M count=24 conv=notrunc 2> /dev/null; done"


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
    return report_of(begin(ha, config, *words))


def begin(ha: Neighbour, config: Path, *words: str) -> "subprocess.Popen[str]":
    """Begin that."""
    command = ha.inside(str(PROGRAM), "--config", str(config), "shutdown", "--json", *words)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def report_of(process: "subprocess.Popen[str]") -> Any:
    """The report of a run, once it is over."""
    told, errors = process.communicate(timeout=LONGEST)
    assert told, errors
    return json.loads(told)


def on(host: Neighbour, script: str) -> str:
    """What a script prints on a host, with its files."""
    words = host.inside("sh", "-c", script)
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=LONGEST).stdout


@contextmanager
def busy_guest(pair: Sequence[Neighbour]) -> Generator[LinuxGuest]:
    """A guest that changes its memory faster than it travels by 2 MiB a second."""
    ha, hb = pair
    try:
        with linux_guests(ha, web="slow=1") as guests:
            ha.agent("web", "/bin/sh", "-c", DIRTIES)
            yield guests["web"]
    finally:
        with opened(hb.qemu) as there:
            remove(there, ["web"])


def sets_out(hb: Neighbour) -> None:
    """Wait until a guest is on its way to a host, where it waits for its memory."""
    with opened(hb.qemu) as there:
        wait_until(lambda: states(there).get("web") == "paused", "it is on its way", pause=0.05)


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


def test_disks_that_both_see_stay_where_they_are_and_others_travel_along(
    pair: Sequence[Neighbour], tmp_path: Path
) -> None:
    ha, hb = pair
    rules = f"""
guests:
  - {{match: copied, stop: [{{migrate: {{to: '{hb.tcp}', storage: copy}}}}, destroy]}}
  - {{match: shared, stop: [{{migrate: {{to: '{hb.tcp}', storage: unsafe}}}}, destroy]}}
"""
    config = write_config(tmp_path, ON_HA, more=ladder(hb, then="destroy", more=rules))
    paths = {"copied": f"{IMAGES}/copied.img", "shared": str(ha.shared / "shared.img"), "alone": f"{IMAGES}/alone.img"}
    for host in pair:
        on(host, f"mkdir -p {IMAGES} && truncate -s 8M {paths['copied']}")
    on(ha, f"head -c 2M /dev/urandom | dd conv=notrunc of={paths['copied']}; truncate -s 8M {paths['alone']}")
    on(ha, f"truncate -s 8M {paths['shared']}")
    with opened(ha.qemu) as here, opened(hb.qemu) as there:
        try:
            for name, path in paths.items():
                xml = FIRMWARE.format(name=name).replace("</domain>", DISK.format(path=path, cache=" cache='none'"))
                here.defineXML(xml).create()
            plan = subprocess.run(
                ha.inside(str(PROGRAM), "--config", str(config), "plan", "alone"),
                capture_output=True,
                text=True,
                check=False,
            ).stdout
            assert "its disk vda is on this host alone" in " ".join(plan.split()), plan
            report = shutdown(ha, config)
            found = {one["name"]: one["outcome"] for one in report["guests"]}
            assert found == {"copied": "moved", "shared": "moved", "alone": "forced"}, report
            assert states(there) == {"copied": "running", "shared": "running"}
            sums = {on(host, f"md5sum < {paths['copied']}") for host in pair}
            assert len(sums) == 1, "what was on it is there"
        finally:
            remove(here, paths)
            remove(there, paths)


def test_a_guest_that_changes_faster_than_it_travels_arrives_where_its_memory_follows_it(
    pair: Sequence[Neighbour], tmp_path: Path
) -> None:
    ha, hb = pair
    rungs = [
        f"migrate: {{to: '{hb.tcp}', bandwidth: 2, timeout: 6s}}",
        f"migrate: {{to: '{hb.tcp}', bandwidth: 2, timeout: 6s, converge: postcopy}}",
    ]
    more = f"defaults: {{stop: [{{{rungs[0]}}}, {{{rungs[1]}}}, acpi]}}"
    config = write_config(tmp_path, ON_HA, more=more)
    with busy_guest(pair), opened(hb.qemu) as there:
        report = shutdown(ha, config)
        (guest,) = report["guests"]
        assert [one["result"] for one in guest["attempts"]] == ["timeout", "moved"], guest
        assert (guest["outcome"], guest["asked"], report["run"]["exit_code"]) == ("moved", None, 0)
        assert states(there) == {"web": "running"}


def refuses(hb: Neighbour) -> Callable[[], None]:
    hb.kill()
    return hb.revive


def freezes(hb: Neighbour) -> Callable[[], None]:
    hb.freeze()
    return hb.thaw


def vanishes(hb: Neighbour) -> Callable[[], None]:
    hb.unplug()
    return hb.plug_in


@pytest.mark.parametrize(
    ("trouble", "moment"),
    [
        (refuses, "before"),
        (freezes, "before"),
        (refuses, "in the middle"),
        (freezes, "in the middle"),
        (vanishes, "in the middle"),
    ],
)
def test_a_guest_is_stopped_here_by_its_next_rung_whatever_becomes_of_the_other_host(
    pair: Sequence[Neighbour], tmp_path: Path, trouble: Callable[[Neighbour], Callable[[], None]], moment: str
) -> None:
    ha, hb = pair
    config = write_config(tmp_path, ON_HA, more=ladder(hb, "bandwidth: 2, timeout: 6s"))
    with busy_guest(pair) as guest:
        mend = trouble(hb) if moment == "before" else None
        process = begin(ha, config, "--reason", "reboot", "--deadline", "120s")
        if mend is None:
            sets_out(hb)
            mend = trouble(hb)
        try:
            report = report_of(process)
        finally:
            mend()
        (result,) = report["guests"]
        assert (result["outcome"], result["method"]) == ("stopped", "acpi"), report
        assert guest.went_down_cleanly
        assert result["asked"] < 20, result
        assert places(tmp_path) == {"web": []}
        with opened(ha.qemu) as here, opened(hb.qemu) as there:
            assert states(here) == {"web": "off"}
            wait_until(lambda: not there.listAllDomains(), "nothing is left of it over there")


def test_a_run_that_is_killed_in_the_middle_of_a_move_is_finished_by_the_next(
    pair: Sequence[Neighbour], tmp_path: Path
) -> None:
    ha, hb = pair
    config = write_config(tmp_path, ON_HA, more=ladder(hb, "bandwidth: 2, timeout: 60s"))
    with busy_guest(pair) as guest:
        process = begin(ha, config)
        sets_out(hb)
        for one in family(process.pid):
            os.kill(one.pid, signal.SIGKILL)
        process.communicate()
        assert places(tmp_path) == {"web": [hb.tcp]}
        config.write_text(config.read_text().partition("defaults")[0] + "defaults: {stop: [acpi]}\n")
        report = shutdown(ha, config)
        (result,) = report["guests"]
        assert (result["outcome"], report["run"]["exit_code"]) == ("stopped", 0), report
        assert guest.went_down_cleanly
        with opened(hb.qemu) as there:
            assert states(there) == {}


def test_one_whose_memory_is_on_two_hosts_by_somebodys_migration_is_neither_asked_nor_unplugged(
    pair: Sequence[Neighbour], tmp_path: Path
) -> None:
    """Its half here would have been the end of it on both."""
    ha, hb = pair
    config = write_config(tmp_path, ON_HA, more="defaults: {stop: [{acpi: {timeout: 5s}}]}")
    slowly = "--bandwidth 1 --postcopy-bandwidth 1"
    with opened(ha.qemu) as here, opened(hb.qemu) as there:
        try:
            heavy(here, "web", tmp_path).create()
            with begun(ha, f"virsh migrate --live --p2p --postcopy {slowly} web {hb.tcp}") as somebody:
                sets_out(hb)
                process = begin(ha, config, "--reason", "reboot", "--deadline", "40s")
                time.sleep(3)  # it waits for a migration that is one like others yet
                on(ha, "virsh migrate-postcopy web")
                (result,) = report_of(process)["guests"]
                assert (result["outcome"], result["attempts"]) == ("left", []), result
                assert places(tmp_path) == {}
                assert somebody.poll() is None, "it is on its way yet"
                on(ha, "virsh migrate-setspeed --postcopy --bandwidth 1000 web")
                assert somebody.wait(LONGEST) == 0
            assert (states(here), states(there)) == ({"web": "off"}, {"web": "running"})
        finally:
            remove(here, states(here))
            remove(there, states(there))


@contextmanager
def begun(host: Neighbour, script: str) -> "Generator[subprocess.Popen[bytes]]":
    """What somebody has begun on a host; killed where it is not over then."""
    with subprocess.Popen(host.inside("sh", "-c", f"exec {script}")) as process:
        try:
            yield process
        finally:
            process.kill()
