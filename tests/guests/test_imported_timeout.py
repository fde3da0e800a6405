"""SHUTDOWN_TIMEOUT of libvirt-guests, imported: a guest that is deaf costs a host stop the time that it did before."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.daemon import Daemon
from lab.guests import firmware_guests, opened, states
from lab.libvirt_guests import LibvirtGuests
from lastcall.imports.libvirt_guests import as_yaml, read_settings
from support import report_of, run_lastcall, write_config

TIMEOUT = 6  # seconds
SLACK = 4.0  # seconds: starting, connecting, the last look


def imported(folder: Path, uri: str, settings: Mapping[str, str]) -> Path:
    """Our configuration that is made of these settings."""
    config = write_config(folder, uri)
    paths = next(line for line in config.read_text().splitlines() if line.startswith("paths"))
    text = "\n".join(f"{name}='{value}'" for name, value in {**settings, "URIS": uri}.items())
    config.write_text(f"{as_yaml(read_settings(text), 'libvirt-guests')}{paths}\n")
    return config


@pytest.mark.parametrize(
    ("slots", "guests"), [("0", ["deaf"]), ("0", ["deaf-1", "deaf-2"]), ("3", ["deaf-1", "deaf-2"])]
)
def test_a_deaf_guest_is_given_up_when_libvirt_guests_gives_it_up(
    lab: Daemon, tmp_path: Path, slots: str, guests: list[str]
) -> None:
    settings = {"ON_SHUTDOWN": "shutdown", "PARALLEL_SHUTDOWN": slots, "SHUTDOWN_TIMEOUT": str(TIMEOUT)}
    expected = TIMEOUT * (len(guests) if slots == "0" else 1)
    with firmware_guests(lab, *guests):
        theirs = LibvirtGuests(tmp_path / "theirs", lab.qemu, settings=settings).stop(check=False)
        assert expected <= theirs.seconds
        config = imported(tmp_path, lab.qemu, settings)
        report = report_of(run_lastcall(config, "shutdown", "--reason", "poweroff", "--json"))
        with opened(lab.qemu) as connection:
            assert {states(connection)[name] for name in guests} == {"running"}, "nothing is ever forced"
    assert {guest["outcome"] for guest in report["guests"]} == {"left"}
    assert all(guest["asked"] is not None for guest in report["guests"])
    assert expected <= report["run"]["duration"] <= expected + SLACK, (report, theirs)
