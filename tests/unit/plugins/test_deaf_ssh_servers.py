"""SSH servers that answer as they like: it costs the command its time, and the others nothing."""

import socket
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import paramiko  # noqa: TID253  the servers are its own
import pytest

from lab.patience import LONGEST
from lastcall import Command, CommandTimeout, Guest, Run, ShellError, ShellLost, ShellRefused
from lastcall.guest_shell.shell import ChosenShell
from lastcall_plugins.ssh import session as ssh
from lastcall_plugins.ssh.session import SshSession

GUEST = Guest(uri="qemu:///system", uuid="u", name="g")
KEY = paramiko.ECDSAKey.generate()


class Server(paramiko.ServerInterface):
    """Lets everybody in; what it does with a command is the test's."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour, self.over = behaviour, threading.Event()

    def get_allowed_auths(self, username: str) -> str:
        return "none"

    def check_auth_none(self, username: str) -> int:
        return 0  # AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if self.behaviour == "never opens":
            self.over.wait(LONGEST)
        return 0  # OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self.behaviour == "never answers":
            self.over.wait(LONGEST)
        threading.Thread(target=self._perform, args=(channel,), daemon=True).start()
        return True

    def _perform(self, channel: paramiko.Channel) -> None:
        try:
            while channel.recv(
                65_536
            ):  # so that what it does is an answer to the command, and not to be overtaken by it
                pass
            if self.behaviour == "floods":
                for _ in range(1024):
                    channel.sendall(b"flood\n" * 10_000)
                    channel.sendall_stderr(b"flood\n" * 10_000)
            if self.behaviour in {"floods", "ignores the frame"}:
                channel.sendall(b"Welcome to the appliance\n")
                channel.send_exit_status(0)
            elif self.behaviour == "ends without a word":
                channel.close()
                return
            elif self.behaviour == "ends twice":
                channel.send_exit_status(0)
                channel.send_exit_status(1)
            if self.behaviour != "never ends":
                channel.shutdown_write()
                channel.close()
        except (OSError, EOFError, paramiko.SSHException):
            pass


@contextmanager
def session_with(behaviour: str) -> Generator[SshSession]:
    ours, theirs = socket.socketpair()
    server, client = paramiko.Transport(theirs), paramiko.Transport(ours)
    interface = Server(behaviour)
    server.add_server_key(KEY)
    server.daemon = client.daemon = True
    server.start_server(threading.Event(), interface)
    client.start_client(timeout=LONGEST)
    client.auth_none("root")
    opened = ExitStack()
    opened.callback(client.close)
    session = SshSession(client, opened)
    try:
        yield session
    finally:
        interface.over.set()
        session.close()
        server.close()


@pytest.mark.parametrize("behaviour", ["never opens", "never answers", "never ends"])
def test_a_server_that_never_answers_costs_the_command_its_time(behaviour: str) -> None:
    with session_with(behaviour) as session, pytest.raises((CommandTimeout, ShellLost)):
        session.execute(Command(argv=("true",), timeout=0.5))


def test_a_server_that_never_answers_to_a_command_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "_GRACE", 0.0)
    with session_with("never answers") as session:
        with pytest.raises(CommandTimeout, match="did not answer"):
            session.execute(Command(argv=("true",), timeout=0.2))
        with pytest.raises(ShellError):  # at once: nobody waits for it a second time
            session.execute(Command(argv=("true",), timeout=LONGEST))


def test_a_flood_ends_its_command_and_not_when_it_pleases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "_FLOOD", 1 << 20)
    with session_with("floods") as session, pytest.raises(ShellLost, match="1 MiB of output"):
        session.execute(Command(argv=("true",), timeout=LONGEST))


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [("ignores the frame", ShellRefused), ("ends without a word", ShellLost), ("ends twice", ShellRefused)],
)
def test_a_server_that_heeds_no_frame_is_an_error_of_that_shell(behaviour: str, error: type[ShellError]) -> None:
    class View:
        def remaining(self) -> float:
            return LONGEST

    def view(_plugin: str) -> Any:
        return View()

    with session_with(behaviour) as session:

        class Provider(ssh.SshSession):
            name = "ssh"

            def __init__(self) -> None:
                pass

            def unfit(self, guest: Guest, run: Run) -> None:
                return None

            def connect(self, guest: Guest, run: Run) -> SshSession:
                return session

        provider: Any = Provider()
        with pytest.raises(error):
            ChosenShell(GUEST, ["ssh"], {"ssh": ("ssh", provider)}, view).run("true")
