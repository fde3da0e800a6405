"""`lastcall ssh enroll`: learn the host keys of guests, over a path that needs no trust in the network."""

import base64
import contextlib
from typing import Any

import click

from lastcall import CommandLine, Guest, HypervisorError, LastcallError, Run, ShellError, masked, visible
from lastcall_plugins.ssh.hostkeys import NEW_KEYS, HostKey, KnownKeys, parse
from lastcall_plugins.ssh.settings import settings_of

_FILES = ("ssh_host_ed25519_key.pub", "ssh_host_ecdsa_key.pub", "ssh_host_rsa_key.pub")
_NOT_KEPT = 4  # as of every command whose files the system refuses
Learnt = dict[Guest, list[HostKey] | LastcallError]
_DROPBEAR = "for key in /etc/dropbear/dropbear_*_host_key; do [ -e $key ] && dropbearkey -y -f $key; done; true"


@click.group()
def ssh() -> None:
    """Host keys of guests."""


@ssh.command()
@click.argument("guests", nargs=-1, required=True, metavar="GUEST...")
@click.option("--ask", is_flag=True, help="Take the key that the guest's SSH server shows, after asking.")
@click.option("--replace", is_flag=True, help="Replace keys that are known already.")
@click.pass_obj
def enroll(command_line: CommandLine, guests: tuple[str, ...], *, ask: bool, replace: bool) -> int:
    """Learn the host keys of running guests through the guest agent, which nobody on the network can fake.

    They are kept under the domain's UUID and its connection. With --ask, for guests without an agent, the key is the
    one that the server shows, and its fingerprint is yours to compare.
    """

    read = _asked if ask else _from_agent

    def learn(guest: Guest, run: Run) -> list[HostKey]:
        # With --replace it is not looked at: what is odd about it is over by then.
        known = [] if replace else KnownKeys(guest, run).read()
        if known:
            raise LastcallError(f"{len(known)} host keys are known already", "--replace takes new ones")
        keys = read(guest, run)
        if not keys:
            raise LastcallError("no public host key was found in the guest", "try --ask")
        KnownKeys(guest, run).admit(keys)
        return keys

    learnt = apart(dict(command_line.each_guest(guests, learn)))
    taken = {
        guest: keys
        for guest, keys in learnt.items()
        if _admitted(guest, keys, ask=ask) and not isinstance(keys, LastcallError)
    }

    def remember(guest: Guest, run: Run) -> None:
        if guest in taken:  # another daemon's may have the same UUID
            KnownKeys(guest, run).write(taken[guest])

    written = dict(command_line.each_guest(sorted({guest.uuid for guest in taken}), remember)) if taken else {}
    kept = [guest for guest in taken if guest in written and not _refused(guest, written[guest])]
    if len(kept) < len(taken):
        return _NOT_KEPT
    return 0 if len(kept) == len(learnt) else 1


def apart(learnt: Learnt) -> Learnt:
    """The same without those who share a key: learnt at once, none of them has been the first."""
    found_apart: Learnt = {}
    for guest, found in learnt.items():
        others = [
            other for other, keys in learnt.items()
            if other != guest and not isinstance(keys, LastcallError) and not isinstance(found, LastcallError)
            and set(keys) & set(found)
        ]  # fmt: skip
        message = f"its host key is that of {others[0].name}, too" if others else ""
        found_apart[guest] = LastcallError(message, f"{NEW_KEYS} in one of them") if others else found
    return found_apart


def _admitted(guest: Guest, found: list[HostKey] | LastcallError, *, ask: bool) -> bool:
    """Show the keys, or why there are none; ask whether they are right."""
    if isinstance(found, LastcallError):
        return not _refused(guest, found)
    for key in found:
        click.echo(visible(f"{'?' if ask else '✓'} {guest.name}: {key.kind} {key.fingerprint}"))
    return not ask or click.confirm(visible(f"Is this the key of {guest.name}?"), err=True)


def _refused(guest: Guest, answer: object) -> bool:
    """Show why there is nothing to be had, where that is so."""
    if not isinstance(answer, LastcallError):
        return False
    lines = [f"✗ {guest.name}: {masked(str(answer))}", *([f"    → {answer.remedy}"] if answer.remedy else [])]
    click.echo("\n".join(map(visible, lines)), err=True)
    return True


def _asked(guest: Guest, run: Run) -> list[HostKey]:
    from lastcall_plugins.ssh.session import shown_key

    return [shown_key(guest, run, settings_of(guest, run))]


def _from_agent(guest: Guest, run: Run) -> list[HostKey]:
    """By reading files, which agents allow more often than commands; dropbear's keys need its own program."""
    if not run.domain(guest).agent_connected():
        raise LastcallError("the guest agent is not connected", "start it in the guest, or use --ask")
    keys = [key for name in _FILES for key in parse(_file(guest, run, f"/etc/ssh/{name}"))]
    with contextlib.suppress(ShellError):
        keys += parse(run.shell(guest, use=["agent"]).run(_DROPBEAR).stdout)
    return keys


def _file(guest: Guest, run: Run, path: str) -> str:
    """A file's text; nothing where there is none."""
    domain = run.domain(guest)
    with contextlib.suppress(HypervisorError):
        handle = domain.agent("guest-file-open", {"path": path, "mode": "r"}, timeout=5)
        answer: Any = domain.agent("guest-file-read", {"handle": handle, "count": 16_384}, timeout=5)
        domain.agent("guest-file-close", {"handle": handle}, timeout=5)
        # Malformed like missing: there is no key in it, which is said of all files together.
        with contextlib.suppress(LookupError, TypeError, ValueError):
            return base64.b64decode(answer["buf-b64"]).decode(errors="replace")
    return ""
