"""`lastcall lock`: the lock by which one host of several at a time reboots."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lastcall.cli.documents.fleet.lock import LockDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import DurationType, SuggestingGroup, json_option
from lastcall.cli.outlet import say
from lastcall.errors import ExitCode
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import paragraph
from lastcall.persistence.fleet.held_lock import HeldLock, lock_words

if TYPE_CHECKING:
    from lastcall.runs.fleet.host_lock import HostLock

AGAIN = 5.0  # seconds between two questions; a server answers many hosts, and a reboot takes minutes


@click.group("lock", cls=SuggestingGroup, short_help="Take, show or give back the lock for reboots, of a lock server.")
def lock_command() -> None:
    """Take, show or give back the lock by which one host of a group at a time reboots.

    It is held at the server of the FleetLock protocol that `fleet_lock` in the configuration names, and remembered
    here. Once this host has booted, and every guest that is due is back, it is given back by itself.

    Exit code 5: others hold it, or the server does not answer.
    """


@lock_command.command("take", short_help="Take it.")
@click.option(
    "--wait", "patience", type=DurationType(), default=0.0, metavar="DURATION",
    help="Ask again for so long while others hold it.",
)  # fmt: skip
@json_option(LockDocument)
@click.pass_obj
def lock_take(invocation: Invocation, patience: float, *, as_json: bool) -> int:
    """Take it, as before a reboot or an update by hand. Whoever holds it already goes on holding it."""
    lock = lock_of(invocation)
    held = take_in_time(lock, patience)
    return _tell(invocation, _document(lock, held), lock_words(held), as_json=as_json)


@lock_command.command("release", short_help="Give it back.")
@click.option(
    "--id", "name", metavar="NAME",
    help="Give back what another host of the group holds, by its name at the server: one that is dead, say.",
)  # fmt: skip
@json_option(LockDocument)
@click.pass_obj
def lock_release(invocation: Invocation, name: str | None, *, as_json: bool) -> int:
    """Give it back, whoever of this host's guests is back. Where it is not held, nothing changes."""
    lock = lock_of(invocation)
    given = lock.give_back_for(name) if name else lock.give_back()
    told = f"the fleet lock {given.group} of {given.url} is given back for {given.id}"
    found = replace(_document(lock, lock.held), given_back=given)
    return _tell(invocation, found, told, as_json=as_json)


@lock_command.command("show", short_help="Show whether this host holds it, as far as is remembered here.")
@json_option(LockDocument)
@click.pass_obj
def lock_show(invocation: Invocation, *, as_json: bool) -> int:
    """Show whether this host holds it, and what it is called at the server.

    The server is not asked: the protocol has no question for that.
    """
    lock = lock_of(invocation)
    found = _document(lock, lock.held)
    told = f"holds no fleet lock; asks {found.url} for {found.group}, as {found.id}"
    return _tell(invocation, found, lock_words(found.held) if found.held else told, as_json=as_json)


def lock_of(invocation: Invocation) -> "HostLock":
    """The lock of this host, as it is configured; raises LastcallError where it is not."""
    from lastcall.runs.fleet.host_lock import HostLock
    from lastcall.runs.loading import load

    return HostLock.of(load(invocation.config).settings)


def take_in_time(lock: "HostLock", patience: float, sleep: Callable[[float], None] = time.sleep) -> HeldLock:
    """Take it, asking again for so many seconds while others hold it. Raises LastcallError."""
    from lastcall.runs.fleet.lock_server import LockRefused

    until, told = time.monotonic() + patience, ""
    while True:
        try:
            return lock.take()
        except LockRefused as error:
            left = until - time.monotonic()
            if left <= 0:
                error.remedy = "--wait DURATION asks again; of a dead host `lastcall lock release --id NAME` takes it"
                raise
            if str(error) != told:  # not every five seconds
                told = str(error)
                say(f"{told}; asks again")
            sleep(min(AGAIN, left))


def _document(lock: "HostLock", held: HeldLock | None) -> LockDocument:
    return LockDocument(url=lock.url, group=lock.group, id=lock.name, held=held)


def _tell(invocation: Invocation, found: LockDocument, words: str, *, as_json: bool) -> int:
    click.echo(to_json(found, indent=1) if as_json else "\n".join(paragraph(words, invocation.screen())))
    return ExitCode.OK
