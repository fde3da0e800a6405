"""A libvirtd that does not speak English, as on a host whose locale is another."""

from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from lab.agent import AgentDoor
from lab.daemon import Daemon, daemon
from lab.guests import LinuxGuest, linux_guests, opened
from lastcall.errors import OperationInvalid
from lastcall.hypervisor.libvirt_errors import translate
from support import report_of, run_lastcall, write_config


@pytest.fixture(scope="module")
def german() -> Iterator[Daemon]:
    with daemon(language="de") as started:
        yield started


def test_an_agent_that_refuses_to_shut_down_is_understood_at_once(german: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, german.qemu)
    with linux_guests(german, unwilling="slow=0") as guests:
        AgentDoor(german, "unwilling").wait().sh("printf '#!/bin/sh\nexit 1\n' > /sbin/shutdown")
        done = run_lastcall(config, "shutdown", "--json")
        (guest,) = report_of(done)["guests"]
        refused, stopped = guest["attempts"]
        assert (refused["method"], refused["result"]) == ("agent", "failed")
        assert "kann nicht ausgeführt werden" in refused["message"]
        assert (stopped["method"], guest["outcome"]) == ("acpi", "stopped")
        assert guests["unwilling"].went_down_cleanly


def test_a_guest_that_does_not_run_is_known_by_the_errors_code(german: Daemon) -> None:
    with opened(german.qemu) as connection:
        domain = connection.defineXML(LinuxGuest(german, "idle", "").xml)
        try:
            with pytest.raises(libvirt.libvirtError, match="Domain läuft nicht") as caught:
                domain.shutdown()
        finally:
            domain.undefine()
    assert isinstance(translate(caught.value), OperationInvalid)
