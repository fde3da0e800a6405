"""Which connections end with a user's session on this host."""

import socket
from pathlib import Path

import pytest

from lastcall import Outcome, Reason
from lastcall.presence.session_uris import by_hand_only, is_own_session
from lastcall.testing.memory import FakeGuest, run_shutdown

HERE = [
    "qemu:///session",
    "qemu:///session/",
    "qemu+unix:///session",
    "qemu+unix:///session?socket=/run/user/1000/libvirt/libvirt-sock",
    "qemu:///session?socket=/run/user/1000/libvirt/virtqemud-sock",
    "vbox:///session",
    "vmwareplayer:///session",
    "qemu+ssh://alice@localhost/session",
    "qemu+ssh://alice@LOCALHOST:2222/session?keyfile=/etc/key",
    "qemu+libssh2://127.0.0.1/session",
    "qemu+tcp://[::1]/session",
    f"qemu+ssh://{socket.gethostname()}/session",
    "qemu+ssh://localhost/?name=qemu:///session",
    "qemu+ssh://localhost/system?name=qemu:///session",
]
NOT = [
    "default",
    "qemu:///system",
    "lxc:///system",
    "qemu:///embed?root=/session",
    "test:///session/x",
    "test:///default",
    "qemu+ssh://session/system",
    "qemu+ssh://alice@elsewhere.example/session",
    "qemu+ssh://localhost.example/session",
    "qemu+unix:///system?socket=/run/user/1000/session",
    "qemu+ssh://localhost/session?name=qemu:///system",
    "/session",
    "",
    "qemu://[/session",
]


@pytest.mark.parametrize("uri", HERE)
def test_the_libvirt_of_a_session_on_this_host_serves_runs_by_hand_only(uri: str) -> None:
    assert is_own_session(uri)


@pytest.mark.parametrize("uri", NOT)
def test_that_of_the_system_or_of_another_host_serves_all_runs(uri: str) -> None:
    assert not is_own_session(uri)


def test_each_is_told_of_once_with_what_helps() -> None:
    told = list(by_hand_only([*HERE[:2], *NOT, HERE[0]]))
    assert [problem.where for problem in told] == HERE[:2]
    assert "by hand only" in told[0].message
    assert "lastcall shutdown" in (told[0].remedy or "")


def test_one_that_has_ended_is_not_waited_for_where_a_host_stop_names_it(tmp_path: Path) -> None:
    config = f"connections: ['test:///default', '{HERE[3]}']"
    guest = FakeGuest("on", takes=2, uri="test:///default")
    report = run_shutdown(tmp_path, [guest], reason=Reason.POWER, config=config, dead=[HERE[3]])
    assert report.run.duration < 10
    assert report.guests[0].outcome is Outcome.STOPPED
    assert [problem.where for problem in report.problems] == [HERE[3]]
