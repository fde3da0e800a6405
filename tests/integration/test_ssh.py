"""SSH into guests, with real servers: what goes wrong is told apart, in time, and nothing is left behind."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.patience import LONGEST, wait_until
from lab.sshd import SshServer, free_port, make_key, ssh_server
from lastcall import CommandResult, CommandTimeout, Guest, NoShell, ShellLost, ShellRefused, ShellUnreachable
from lastcall.hooks.call import HookCall, RunContext
from lastcall_plugins.agent import AgentShell
from lastcall_plugins.ssh import Ssh
from lastcall_plugins.ssh.addresses import Address, addresses, cid_of
from lastcall_plugins.ssh.hostkeys import KnownKeys, parse
from lastcall_plugins.ssh.settings import SshSettings
from support import run_context

GUEST = Guest(uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db 1")


class PlainDomain:
    """A domain of which libvirt knows some addresses."""

    def __init__(self, xml: str = "<domain/>", **known: tuple[str, ...]) -> None:
        self._xml, self._known = xml, known

    def xml(self) -> str:
        return self._xml

    def agent_connected(self) -> bool:
        return "agent" in self._known

    def addresses(self, source: str) -> tuple[str, ...]:
        return self._known.get(source, ())


def make_context(folder: Path, settings: SshSettings, domain: PlainDomain | None = None) -> RunContext:
    def options(_plugin: str, guest: Guest | None) -> Any:
        return SshSettings, None if guest else settings

    def find(*_: object) -> Any:
        return domain or PlainDomain()

    def by_ssh(_guest: Guest) -> list[str]:
        return ["ssh"]

    return replace(
        run_context(time.monotonic),
        folders=folder,
        options=options,
        domain=find,
        shells={"ssh": ("ssh", Ssh()), "agent": ("agent", AgentShell())},
        shell_names=by_ssh,
    )


def run(
    context: RunContext, command: Any, *, box: float = LONGEST, guest: Guest = GUEST, **options: Any
) -> CommandResult:
    """What a hook would do that has so many seconds."""
    call = HookCall(context, "any", expires=time.monotonic() + box)
    try:
        return call.shell(guest).run(command, **options)
    finally:
        call.release()


def enrol(context: RunContext, server: SshServer, guest: Guest = GUEST) -> None:
    KnownKeys(guest, HookCall(context, "ssh", expires=time.monotonic() + LONGEST)).write(parse(server.host_key))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd") / "one") as started:
        yield started


def settings_for(server: SshServer, **more: Any) -> SshSettings:
    given = {"address": "127.0.0.1", "port": server.port, "key": str(server.key), **more}
    return SshSettings.model_validate(given)


@pytest.fixture
def context(server: SshServer, tmp_path: Path) -> RunContext:
    made = make_context(tmp_path, settings_for(server))
    enrol(made, server)
    return made


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No thread of a connection and no descriptor."""
    before = _descriptors()
    yield
    wait_until(lambda: not _transports() and _descriptors() <= before, "nothing of the connections is left")


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _transports() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if type(thread).__module__.startswith("paramiko")]


def running(words: str) -> bool:
    """Whether there is a process with these words."""
    return subprocess.run(["pgrep", "-f", words], capture_output=True).returncode == 0


def test_commands_say_and_get_exactly_what_they_should(context: RunContext) -> None:
    words = ["a b", "$(id)", "`id`", "'\"\\", "new\nline", "ümläut ☃", "", "*", "!x;&"]
    result = run(context, ["printf", "%s|", *words])
    assert (result.stdout, result.exit_code, result.shell) == ("".join(f"{word}|" for word in words), 0, "ssh")
    result = run(context, "cat; echo err >&2; exit 7", input="given\n")
    assert (result.stdout, result.stderr, result.exit_code) == ("given\n", "err\n", 7)


def test_twenty_megabytes_on_both_streams_neither_hang_nor_fill_the_memory(context: RunContext) -> None:
    result = run(context, "(yes out | head -c 20000000) & yes err | head -c 20000000 >&2; wait")
    assert (result.truncated, len(result.stdout), len(result.stderr)) == (True, 262_144, 262_144)


def test_an_unknown_host_key_is_refused_with_the_remedy(server: SshServer, tmp_path: Path) -> None:
    with pytest.raises(ShellRefused, match="host key of db 1 is not known: ssh-ed25519 SHA256:") as caught:
        run(make_context(tmp_path, settings_for(server)), "true")
    assert caught.value.remedy == "lastcall ssh enroll db 1"


def test_a_changed_host_key_is_refused_and_says_so(server: SshServer, tmp_path: Path) -> None:
    context = make_context(tmp_path, settings_for(server))
    other = make_key(tmp_path / "other")
    enrol(context, replace(server, host_key=Path(f"{other}.pub").read_text()))
    with pytest.raises(ShellRefused, match="has CHANGED"):
        run(context, "true")


def test_a_wrong_key_is_refused(server: SshServer, tmp_path: Path) -> None:
    context = make_context(tmp_path, settings_for(server, key=str(make_key(tmp_path / "wrong"))))
    enrol(context, server)
    with pytest.raises(ShellRefused, match="root was not let in with the key"):
        run(context, "true")


def test_keys_of_all_kinds_and_with_a_passphrase_work_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    for kind in ("ed25519", "ecdsa", "rsa"):
        key = make_key(tmp_path / kind, "open sesame", kind)
        secret = tmp_path / f"{kind}.secret"
        secret.write_text("open sesame\n")
        secret.chmod(0o600)
        with ssh_server(tmp_path / f"{kind}-server", key) as server:
            context = make_context(tmp_path, settings_for(server, passphrase_file=str(secret)))
            enrol(context, server)
            assert run(context, "echo in").stdout == "in\n"
            context = make_context(tmp_path, settings_for(server))
            with pytest.raises(ShellRefused, match=r"needs a passphrase|no usable private key"):
                run(context, "true")


def test_secrets_that_others_can_read_and_keys_that_are_not_there_are_refused(
    server: SshServer, tmp_path: Path
) -> None:
    open_key = tmp_path / "open"
    open_key.write_bytes(server.key.read_bytes())
    open_key.chmod(0o644)
    for key, why in ((open_key, "others may read"), (tmp_path / "none", "no such file"), ("cred", "no systemd cred")):
        context = make_context(tmp_path, settings_for(server, key=str(key)))
        enrol(context, server)
        with pytest.raises(ShellRefused, match=why):
            run(context, "true")


def test_a_systemd_credential_is_a_key(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(server.key.parent))
    context = make_context(tmp_path, settings_for(server, key=server.key.name))
    enrol(context, server)
    assert run(context, "echo in").stdout == "in\n"


def test_a_closed_port_and_a_guest_without_address_are_unreachable(server: SshServer, tmp_path: Path) -> None:
    with pytest.raises(ShellUnreachable, match="connection refused"):
        run(make_context(tmp_path, settings_for(server, port=free_port())), "true")
    with pytest.raises(ShellUnreachable, match="no address of db 1 is known"):
        run(make_context(tmp_path, settings_for(server, address=None)), "true")


def test_a_silent_port_is_unreachable_within_its_timeout(server: SshServer, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        context = make_context(tmp_path, settings_for(server, port=silent.getsockname()[1], timeout=1))
        with pytest.raises(ShellUnreachable, match="no SSH server answers within 1 s"):
            run(context, "true")


GARBAGE = [
    bytes([20, *range(16)]) + b"\0\0\0\4\xff\xfe\xff\xfe" * 10,  # algorithms whose names are no text
    bytes([20, *range(16)]) + b"\xff\xff\xff\xff" * 10,  # lists that are longer than everything
    bytes([20]),  # agreement on nothing
    bytes([255]),  # no message that there is
    bytes([31]) + b"\xff" * 40,  # the answer to a question that nobody has asked
    b"",
]


@pytest.mark.parametrize("payload", GARBAGE, ids=lambda payload: payload[:1].hex() + f"-{len(payload)}")
def test_a_server_whose_answers_are_malformed_is_unreachable(payload: bytes, tmp_path: Path) -> None:
    padding = 12 - (len(payload) + 1) % 8
    packet = (len(payload) + 1 + padding).to_bytes(4) + bytes([padding]) + payload + bytes(padding)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as talk:
                talk.sendall(b"SSH-2.0-evil\r\n" + packet)
                while talk.recv(4096):
                    pass

        serving = threading.Thread(target=serve)
        serving.start()
        settings = SshSettings(address="127.0.0.1", port=listening.getsockname()[1], timeout=10)
        with pytest.raises(ShellUnreachable):
            run(make_context(tmp_path, settings), ["true"])
        serving.join(LONGEST)
    assert not serving.is_alive()


def test_an_address_that_is_none_is_unreachable(tmp_path: Path) -> None:
    for address in ("a" * 300, "x..y", "a\udcffb"):
        with pytest.raises(ShellUnreachable):
            run(make_context(tmp_path, SshSettings(address=address)), ["true"])


def test_paramiko_says_nothing_on_standard_error() -> None:
    program = "import logging, lastcall_plugins.ssh.session; logging.getLogger('paramiko.transport').error('a trace')"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=LONGEST)
    assert said.stderr == b""


def test_a_server_that_dies_while_the_command_runs_is_a_lost_connection(tmp_path: Path) -> None:
    with ssh_server(tmp_path / "dies") as server:
        context = make_context(tmp_path, settings_for(server))
        enrol(context, server)

        def kill() -> None:
            wait_until(lambda: running("sleep 4717"), "the command runs", process=server.process.pid)
            subprocess.run(["pkill", "-KILL", "-P", str(server.process.pid)])

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(ShellLost, match=r"ended while the command ran|was lost"):
            run(context, "sleep 4717")
        killer.join()


@pytest.mark.parametrize("timeout", [1.5, 1], ids=["the guest ends it", "we hang up in the same moment"])
def test_a_command_that_ignores_sigterm_times_out_and_does_not_live_on(context: RunContext, timeout: float) -> None:
    with pytest.raises(CommandTimeout, match=r"within [12] s"):
        run(context, "trap '' TERM; sleep 4713 & sleep 4713", timeout=timeout)
    wait_until(lambda: not running("sleep 4713"), "it does not live on")


def test_the_time_of_the_hook_bounds_everything(context: RunContext) -> None:
    with pytest.raises(CommandTimeout, match=r"within [12] s"):
        run(context, "sleep 4714", box=2)


def test_forty_guests_at_once(tmp_path: Path) -> None:
    key, met = make_key(tmp_path / "key"), tmp_path / "met"
    met.mkdir()
    with ExitStack() as stack:
        servers = [stack.enter_context(ssh_server(tmp_path / f"{number}", key)) for number in range(40)]

        def one(number: int) -> str:
            guest = replace(GUEST, uuid=f"guest-{number}")
            context = make_context(tmp_path / f"{number}", settings_for(servers[number]))
            enrol(context, servers[number], guest)
            # Each waits for all the others: one after the other they would wait for ever.
            here = f"touch {met}/{number}; until [ $(ls {met} | wc -l) = 40 ]; do sleep 0.2; done; echo {number}"
            return run(context, here, guest=guest).stdout

        with ThreadPoolExecutor(40) as pool:
            assert list(pool.map(one, range(40))) == [f"{number}\n" for number in range(40)]


def test_a_jump_host_is_gone_through_if_its_key_is_known(server: SshServer, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    kind, key, *_ = next(line for line in server.host_key.splitlines() if line.startswith("ssh-")).split()
    known.write_text(f"[127.0.0.1]:{server.port} {kind} {key}\n")
    with ssh_server(tmp_path / "behind", server.key) as behind:
        jump = {"jump": f"root@127.0.0.1:{server.port}", "known_hosts": str(known)}
        context = make_context(tmp_path, settings_for(behind, **jump))
        enrol(context, behind)
        result = run(context, "echo $SSH_CONNECTION")
        assert result.exit_code == 0
        assert result.stdout.split()[-1] == str(behind.port)
        known.write_text("")
        with pytest.raises(ShellRefused, match=r"host key of the jump host .* is not in"):
            run(context, "true")


def test_addresses_are_tried_in_order_and_the_guests_vsock_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    xml = "<domain><devices><vsock model='virtio'><cid auto='yes' address='7'/></vsock></devices></domain>"
    domain = PlainDomain(xml, lease=("10.0.0.2",), agent=("10.0.0.2", "10.0.0.3"), arp=("10.0.0.4",))
    settings = SshSettings(port=2022)
    call = HookCall(make_context(tmp_path, settings, domain), "ssh", expires=time.monotonic() + LONGEST)
    found = [str(address) for address in addresses(GUEST, call, settings)]
    assert found == ["10.0.0.2:2022", "10.0.0.3:2022", "10.0.0.4:2022", "vsock:7:2022"]
    fixed = settings.model_copy(update={"address": "db.example"})
    assert [str(one) for one in addresses(GUEST, call, fixed)] == ["db.example:2022"]
    only = settings.model_copy(update={"address": "vsock"})
    assert [str(one) for one in addresses(GUEST, call, only)] == ["vsock:7:2022"]
    assert cid_of("<domain/>") is None
    made: list[Any] = []

    class Socket:
        def __init__(self, *kind: int) -> None:
            made.append(kind)

        def settimeout(self, seconds: float) -> None:
            made.append(seconds)

        def connect(self, target: object) -> None:
            made.append(target)

    monkeypatch.setattr(socket, "socket", Socket)
    Address(7, 2022).connect(3)
    assert made == [(socket.AF_VSOCK, socket.SOCK_STREAM), 3, (7, 2022)]


def test_the_next_shell_is_used_only_where_nothing_was_started(context: RunContext) -> None:
    call = HookCall(context, "any", expires=time.monotonic() + LONGEST)
    try:
        assert call.shell(GUEST, use=["agent", "ssh"]).run("echo by ssh").stdout == "by ssh\n"
        with pytest.raises(ShellUnreachable, match="agent: the guest agent is not connected"):
            call.shell(GUEST, use=["agent"]).run("true")
        with pytest.raises(NoShell, match="no plugin provides the guest shell 'telnet'"):
            call.shell(GUEST, use=["telnet"])
        with pytest.raises(CommandTimeout):
            call.shell(GUEST, use=["ssh", "agent"]).run("sleep 4715", timeout=1)
    finally:
        call.release()


def test_an_interrupted_connection_attempt_ends_with_its_call(context: RunContext) -> None:
    call = HookCall(context, "any", expires=time.monotonic() + LONGEST)
    shell = call.shell(GUEST)
    shell.run("true")
    assert _transports()
    call.release()
    wait_until(lambda: not _transports(), "the connection's thread ends")
