"""A verified SSH connection to a guest, and commands over it. Every wait is bounded, every connection is closed."""

import io
import logging
import shlex
import socket
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import paramiko  # noqa: TID253  this module is imported by those who log in

from lastcall import (
    Command,
    CommandResult,
    CommandTimeout,
    Guest,
    LastcallError,
    Run,
    ShellError,
    ShellLost,
    ShellRefused,
    ShellSession,
    ShellUnreachable,
)
from lastcall_plugins.ssh.addresses import Address, addresses
from lastcall_plugins.ssh.hostkeys import HostKey, KnownKeys, keys_of_host
from lastcall_plugins.ssh.settings import SshSettings

# Without a handler of its own, what paramiko has to say of a server comes out on standard error, tracebacks and all.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
KEEPALIVE = 5  # seconds
_CHUNK = 65_536
# The frame lets 0.5 MiB through: this much comes from a server that ignores it, at the expense of the whole process.
_FLOOD = 16 << 20  # bytes
_GRACE = 0.25  # seconds, for the loop that looks at the time by itself
_LOOK = 0.25  # seconds between two looks when nothing is heard
_RSA = ("rsa-sha2-512", "rsa-sha2-256")


def log_in(guest: Guest, run: Run, settings: SshSettings) -> "SshSession":
    """Log in at the first address that answers. Raises ShellUnreachable and ShellRefused."""
    keys = KnownKeys(guest, run)
    with ExitStack() as opened:
        transport = _reach(guest, run, settings, opened, keys.read())
        # Before anything secret is sent: an unknown key is refused, never learnt on the way.
        keys.verify(_shown(transport))
        _authenticate(transport, settings, _left(run, settings))
        return SshSession(transport, opened.pop_all())


def shown_key(guest: Guest, run: Run, settings: SshSettings) -> HostKey:
    """The key that the guest's server shows, not verified."""
    with ExitStack() as opened:
        return _shown(_reach(guest, run, settings, opened, []))


class SshSession(ShellSession):
    """A verified connection; one command at a time."""

    def __init__(self, transport: paramiko.Transport, opened: ExitStack) -> None:
        self._transport = transport
        self._opened = opened

    def execute(self, command: Command) -> CommandResult:
        """Run it; the remote user's shell takes the words apart again."""
        began = time.monotonic()
        until = began + command.timeout
        try:
            with _closed_by(self._transport, until + _GRACE), _heeding_malformed():
                out, err, code = self._perform(command, until)
        except paramiko.ChannelException as error:
            raise ShellRefused(f"the SSH server refuses a session: {error}") from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            if time.monotonic() >= until:  # a server that never answers to a request is hung up on
                raise CommandTimeout(f"the SSH server did not answer within {command.timeout:.0f} s") from None
            raise ShellLost(f"the SSH connection was lost: {_told(error)}") from None
        if code < 0:  # paramiko's word for: nobody has said
            raise ShellLost("the SSH connection ended while the command ran")
        return CommandResult(
            exit_code=code,
            stdout=out.decode("utf-8", "surrogateescape"),
            stderr=err.decode("utf-8", "surrogateescape"),
            truncated=max(len(out), len(err)) > command.output_limit,
            duration=time.monotonic() - began,
            shell="ssh",
        )

    def close(self) -> None:
        """End the connection and its thread."""
        self._opened.close()

    def _perform(self, command: Command, until: float) -> tuple[bytes, bytes, int]:
        channel = self._transport.open_session(timeout=max(0.1, command.timeout))
        try:
            channel.settimeout(max(0.1, until - time.monotonic()))
            channel.exec_command(shlex.join(command.argv).encode("utf-8", "surrogateescape"))
            out, err = self._talk(channel, command, until)
            return out, err, channel.recv_exit_status()
        finally:
            channel.close()

    def _talk(self, channel: paramiko.Channel, command: Command, until: float) -> tuple[bytes, bytes]:
        """Send the input and take both outputs until the command has ended; paramiko itself sets no limit to that."""
        heard, unsent = threading.Event(), memoryview(command.input)
        # Both outputs are read all the time: above some 2 MiB of unread output the other side waits, and so would we.
        streams: Any = channel
        for pipe in (streams.in_buffer, streams.in_stderr_buffer):
            pipe.set_event(heard)
        out, err, finished, taken = bytearray(), bytearray(), False, 0
        while True:
            heard.clear()
            over = channel.exit_status_ready() and (channel.eof_received or channel.closed)
            # A chunk of each and no more: in a flood there is always another one, and the time has to be looked at.
            more = _take(channel, out, err, command.output_limit)
            taken += more
            if over and not more:
                return bytes(out), bytes(err)
            if taken > _FLOOD:
                raise ShellLost(f"more than {_FLOOD >> 20} MiB of output: whoever answers heeds no limit")
            # recv_exit_status() knows no limit; this loop has its own, and tells a
            # server that hung up from a command that runs.
            if not more and (channel.closed or not self._transport.is_active()):
                raise ShellLost("the SSH connection ended while the command ran")
            if time.monotonic() >= until:
                raise CommandTimeout(f"did not end within {command.timeout:.0f} s")
            if unsent and channel.send_ready():
                unsent = unsent[channel.send(bytes(unsent[:_CHUNK])) :]
            elif not unsent and not finished:
                channel.shutdown_write()
                finished = True
            elif not more:
                heard.wait(min(_LOOK, until - time.monotonic()))


@contextmanager
def _closed_by(transport: paramiko.Transport, moment: float) -> Generator[None]:
    """Hang up at that moment of the monotonic clock, if the work is not done by then. The answer to a request, and a
    server that takes nothing of what is sent, are waited for without any limit of paramiko's own.
    """
    timer = threading.Timer(max(0.1, moment - time.monotonic()), transport.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _take(channel: paramiko.Channel, out: bytearray, err: bytearray, limit: int) -> int:
    """Take a chunk of each output that there is; returns how many bytes that was."""
    said = channel.recv(_CHUNK) if channel.recv_ready() else b""
    failed = channel.recv_stderr(_CHUNK) if channel.recv_stderr_ready() else b""
    _keep(out, said, limit)
    _keep(err, failed, limit)
    return len(said) + len(failed)


def _keep(kept: bytearray, data: bytes, limit: int) -> None:
    """Keep one byte more than the limit, which tells that there was more; the rest is read and dropped."""
    kept += data[: max(0, limit + 1 - len(kept))]


def _reach(
    guest: Guest, run: Run, settings: SshSettings, opened: ExitStack, known: list[HostKey]
) -> paramiko.Transport:
    """An SSH connection to the first address where a server answers, its key not verified yet."""
    failures: list[str] = []
    jump = _jump(run, settings, opened) if settings.jump else None
    for address in addresses(guest, run, settings):
        try:
            with _heeding_malformed():
                sock: Any = _tunnel(jump, address, run, settings) if jump else address.connect(_left(run, settings))
                return _greet(sock, run, settings, opened, known)
        except (ShellUnreachable, OSError, EOFError, paramiko.SSHException) as error:
            failures.append(f"{address}: {_told(error)}")
    raise ShellUnreachable("; ".join(failures))


def _tunnel(jump: paramiko.Transport, address: Address, run: Run, settings: SshSettings) -> paramiko.Channel:
    if isinstance(address.host, int):
        raise ShellUnreachable("a vsock cannot be reached through a jump host")
    target = (address.host, address.port)
    return jump.open_channel("direct-tcpip", target, ("127.0.0.1", 0), timeout=_left(run, settings))


def _greet(sock: Any, run: Run, settings: SshSettings, opened: ExitStack, known: list[HostKey]) -> paramiko.Transport:
    """Agree on keys. The known kinds of host keys come first, so that the server shows one that can be verified."""
    try:
        transport = paramiko.Transport(sock)
    except (paramiko.SSHException, OSError):
        sock.close()
        raise
    opened.callback(transport.close)
    transport.daemon = True
    # Each part of the way in has its own limit. One that is left to its default is where
    # a server that says nothing would hold us.
    transport.banner_timeout = transport.handshake_timeout = _left(run, settings)
    transport.auth_timeout = transport.channel_timeout = transport.banner_timeout
    options = transport.get_security_options()
    wanted = [kind for key in known for kind in (_RSA if key.kind == "ssh-rsa" else (key.kind,))]
    usable = tuple(options.key_types)
    first = [kind for kind in dict.fromkeys(wanted) if kind in usable]
    options.key_types = (*first, *(kind for kind in usable if kind not in first))
    try:
        with _heeding_malformed():
            transport.start_client(timeout=transport.banner_timeout)
            transport.get_remote_server_key()  # a start whose time is over just returns
    except (paramiko.SSHException, OSError, EOFError) as error:
        transport.close()
        text = _told(error)
        if any(word in text for word in ("banner", "Timeout", "timed out", "No existing session")):
            text = f"no SSH server answers within {transport.banner_timeout:.0f} s"
        raise ShellUnreachable(text) from None
    transport.set_keepalive(KEEPALIVE)
    return transport


def _shown(transport: paramiko.Transport) -> HostKey:
    key = transport.get_remote_server_key()
    return HostKey(key.get_name(), key.get_base64())


def _authenticate(transport: paramiko.Transport, settings: SshSettings, timeout: float) -> None:
    """Log in by key, else by password."""
    transport.auth_timeout = timeout
    how = "no key and no password are configured"
    try:
        if settings.key is not None:
            how = f"with the key {settings.key.reference}"
            key = _private_key(settings)
            with _heeding_malformed():
                transport.auth_publickey(settings.user, key)
        elif settings.password_file is not None:
            how = f"with the password in {settings.password_file.reference}"
            password = settings.password_file.read()
            with _heeding_malformed():
                transport.auth_password(settings.user, password.reveal())
        else:
            raise ShellRefused(f"{settings.user} cannot log in: {how}", "set plugins.ssh.key, or the guest's ssh.key")
        if not transport.is_authenticated():
            raise ShellRefused(f"{settings.user} was let in only half {how}: the server wants more")
    except paramiko.AuthenticationException as error:
        if not transport.is_active():
            raise ShellUnreachable(f"the SSH server hung up while {settings.user} logged in: {_told(error)}") from None
        raise ShellRefused(f"{settings.user} was not let in {how}", "look at the guest's authorized_keys") from None
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise ShellUnreachable(f"the SSH server hung up while {settings.user} logged in: {_told(error)}") from None
    except ShellError:
        raise
    except LastcallError as error:
        raise ShellRefused(str(error), error.remedy) from None


def _private_key(settings: SshSettings) -> paramiko.PKey:
    """Read the key. Raises LastcallError; what is wrong with a key's content is never quoted."""
    assert settings.key is not None  # noqa: S101  for the type checker
    path = settings.key.path
    text = settings.key.read().reveal()  # says who may not read it, and is what is used: the file may change
    passphrase = settings.passphrase_file.read().reveal() if settings.passphrase_file else None
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(f"{text}\n"), password=passphrase)
        except paramiko.PasswordRequiredException:
            raise LastcallError(f"{path} needs a passphrase", "set passphrase_file") from None
        except Exception:  # noqa: BLE001, S112  of another kind, or broken: cryptography and paramiko raise a dozen errors
            continue
    raise LastcallError(f"{path} is no usable private key", "a wrong passphrase looks like that, too")


def _jump(run: Run, settings: SshSettings, opened: ExitStack) -> paramiko.Transport:
    """Log in to the jump host; its key stands in a known_hosts file."""
    user, _, rest = str(settings.jump).rpartition("@")
    host, _, port = rest.partition(":")
    name = host if port in {"", "22"} else f"[{host}]:{port}"
    keys = keys_of_host(Path(settings.known_hosts), name)
    try:
        sock = socket.create_connection((host, int(port or 22)), _left(run, settings))
        transport = _greet(sock, run, settings, opened, keys)
    except (OSError, ShellUnreachable, ValueError) as error:
        raise ShellUnreachable(f"the jump host {rest}: {_told(error)}") from None
    shown = _shown(transport)
    if shown not in keys:
        told = f"{shown.kind} {shown.fingerprint}"
        raise ShellRefused(f"the host key of the jump host {rest} is not in {settings.known_hosts}: {told}")
    _authenticate(transport, settings.model_copy(update={"user": user or settings.user}), _left(run, settings))
    return transport


def _left(run: Run, settings: SshSettings) -> float:
    return max(0.1, min(settings.timeout, run.remaining()))


@contextmanager
def _heeding_malformed() -> Generator[None]:
    """Have what a server answers end in errors that are expected of one: paramiko's own thread meets what is malformed
    with whatever Python raises there (an IndexError, say, or a UnicodeDecodeError), and hands that on.
    """
    try:
        yield
    except (paramiko.SSHException, OSError, EOFError, LastcallError):
        raise
    except Exception as error:
        raise paramiko.SSHException(f"the server's answer is malformed: {type(error).__name__}: {error}") from error


def _told(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
