"""The sample that powers off a box over SSH, with a real server: only known, only unused, and only where power goes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lab.sshd import SshServer, free_port, ssh_server
from lastcall import Reason, Verdict
from lastcall.testing import Lab
from samples import record, stage

SAMPLE = "post_shutdown/80-power-off-box"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("box") / "sshd") as started:
        yield started


def lab_of(folder: Path, server: SshServer, environment: Mapping[str, str] | None = None, *, ssh: bool = True) -> Lab:
    known = folder / "known_hosts"
    kind, key = next(line for line in server.host_key.splitlines() if line.startswith("ssh-")).split()[:2]
    known.write_text(f"[127.0.0.1]:{server.port} {kind} {key}\n")
    given = {
        "POWER_OFF_BOX": "root@127.0.0.1", "POWER_OFF_PORT": str(server.port), "POWER_OFF_KEY": str(server.key),
        "POWER_OFF_KNOWN_HOSTS": str(known), "POWER_OFF_COMMAND": f"touch {folder}/off",
    }  # fmt: skip
    lab = stage(folder, SAMPLE, environment={**given, **(environment or {})})
    if ssh:
        (folder / "bin" / "ssh").symlink_to("/usr/bin/ssh")
    lab.guest("db-1")
    return lab


@pytest.mark.parametrize("reason", [Reason.POWEROFF, Reason.HALT, Reason.POWER])
def test_the_box_is_powered_off_when_the_guests_are_off(tmp_path: Path, server: SshServer, reason: Reason) -> None:
    lab = lab_of(tmp_path, server)
    report = lab.shutdown(reason=reason)
    assert record(report, SAMPLE).result is Verdict.OK, lab.lines
    assert lab.lines == ["root@127.0.0.1 powers off"]
    assert (tmp_path / "off").exists()


@pytest.mark.parametrize("reason", [Reason.REBOOT, Reason.KEXEC, Reason.SOFT_REBOOT, Reason.MANUAL])
def test_where_the_host_comes_back_or_goes_on_the_box_stays_on(
    tmp_path: Path, server: SshServer, reason: Reason
) -> None:
    assert "not run" in record(lab_of(tmp_path, server).shutdown(reason=reason), SAMPLE).message
    assert not (tmp_path / "off").exists()


def test_a_guest_that_may_still_use_it_keeps_it_on(tmp_path: Path, server: SshServer) -> None:
    lab = lab_of(tmp_path, server)
    lab.guest("stays", settings={"stop": [{"acpi": {"timeout": 5}}], "last_resort": "leave"}).is_deaf_to("acpi")
    report = lab.shutdown(reason=Reason.POWER)
    assert record(report, SAMPLE).result is Verdict.SKIPPED
    assert lab.lines == ["root@127.0.0.1 stays on, as it may still be in use: stays (left)"]
    assert not (tmp_path / "off").exists()


def test_a_box_that_takes_the_connection_with_it_is_off(tmp_path: Path, server: SshServer) -> None:
    lab = lab_of(tmp_path, server, {"POWER_OFF_COMMAND": f"touch {tmp_path}/off; kill -9 $PPID"})
    assert record(lab.shutdown(reason=Reason.POWER), SAMPLE).result is Verdict.OK, lab.lines
    assert (tmp_path / "off").exists()


@pytest.mark.parametrize("case", ["command", "unknown", "nobody"])
def test_a_box_that_does_not_do_it_is_a_failure_that_says_why(tmp_path: Path, server: SshServer, case: str) -> None:
    environment, said = {
        "command": ({"POWER_OFF_COMMAND": "echo not allowed >&2; exit 3"}, ["not allowed"]),
        "unknown": ({"POWER_OFF_KNOWN_HOSTS": "/dev/null"}, ["Host key verification failed."]),
        "nobody": ({"POWER_OFF_PORT": str(free_port())}, ["Connection refused"]),
    }[case]
    lab = lab_of(tmp_path, server, environment)
    assert record(lab.shutdown(reason=Reason.POWER), SAMPLE).message == "exit code 1"
    assert all(any(words in line for line in lab.lines) for words in said), lab.lines
    assert lab.lines[-1].startswith("root@127.0.0.1 is not powered off: ssh ended with exit code")
    assert not (tmp_path / "off").exists()


def test_in_a_rehearsal_unset_and_without_ssh_nobody_is_reached(tmp_path: Path, server: SshServer) -> None:
    lab = lab_of(tmp_path, server)
    (rehearsed,) = lab.fire("post_shutdown", reason=Reason.POWER)
    assert rehearsed.result is Verdict.OK
    assert lab.lines == [f"would run `touch {tmp_path}/off` on root@127.0.0.1, were all guests off"]
    for name, given, said in (
        ("unset", {"POWER_OFF_BOX": ""}, "POWER_OFF_BOX is not set"),
        ("without", {}, "there is no ssh here"),
    ):
        (tmp_path / name).mkdir()
        lab = lab_of(tmp_path / name, server, given, ssh=False)
        assert record(lab.shutdown(reason=Reason.POWER), SAMPLE).result is Verdict.SKIPPED
        assert lab.lines == [said]
    assert not (tmp_path / "off").exists()
