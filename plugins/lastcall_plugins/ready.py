"""When a started guest is ready: its agent answers, a TCP port is open, a command succeeds, or some time has passed."""

import os
import signal
import socket
import subprocess
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from lastcall import Guest, HypervisorError, PluginOptions, Run, hookimpl
from lastcall.options import BY_METADATA, COMMAND, Duration, Options

# VIR_ERR_OPERATION_DENIED: a neighbour's guest is looked at read-only, and its agent cannot be asked. That it has
# opened its channel is all that can be known: taken for a No, it would hold up whoever needs that guest at each boot.
_READ_ONLY = 29
_LAST_PORT = 65535
PATIENCE = 5.0  # seconds for one attempt; the next one follows a second later


def _port(given: object) -> object:
    """Judge a port, or host:port; raises ValueError."""
    if given is None:
        return None
    port = given.rpartition(":")[2] if isinstance(given, str) else given
    try:
        number = int(port) if isinstance(port, str) else port
    except ValueError:
        number = 0
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _LAST_PORT:
        raise ValueError(f"should be a port, from 1 to {_LAST_PORT}, or host:port, not {str(given)[:80]!r}")
    return given


def _not_empty(command: str) -> str:
    if not command.strip():
        raise ValueError("an empty command tells nothing; write one, or leave it out")
    return command


class Ready(Options):
    """The guest key `ready`: all that are given have to hold. `ready_timeout` says for how long to wait."""

    agent: bool = Field(default=False, description="The guest agent answers.", json_schema_extra=BY_METADATA)
    tcp: Annotated[int | str | None, BeforeValidator(_port)] = Field(
        default=None,
        description="A port of the guest, or host:port, accepts a connection.",
        json_schema_extra=BY_METADATA,
    )
    command: Annotated[str, AfterValidator(_not_empty)] | None = Field(
        default=None,
        description="This command line, run on the host by /bin/sh with LASTCALL_GUEST set, succeeds.",
        json_schema_extra=COMMAND,
    )
    delay: Duration = Field(default=0.0, description="This long after its start.", json_schema_extra=BY_METADATA)


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare the guest key."""
    return PluginOptions(guest=Ready, only_where_set=True)


@hookimpl
def guest_ready(guest: Guest, run: Run) -> bool | None:
    """Look at what is given, the cheapest first."""
    wanted = run.options(Ready, guest)
    if wanted == Ready():
        return None
    return (
        run.elapsed() >= wanted.delay
        and (not wanted.agent or _agent_answers(guest, run))
        and (wanted.tcp is None or _accepts(wanted.tcp, guest, run))
        and (wanted.command is None or _succeeds(wanted.command, guest, run))
    )


def _agent_answers(guest: Guest, run: Run) -> bool:
    """A connected channel says that the agent has opened it; whether it works is another question."""
    domain = run.domain(guest)
    if not domain.agent_connected():
        return False
    try:
        # Never without a limit: libvirt's own for an agent is none.
        domain.agent("guest-ping", timeout=PATIENCE)
    except HypervisorError as error:
        return error.code == _READ_ONLY
    return True


def _accepts(target: int | str, guest: Guest, run: Run) -> bool:
    host, _, port = str(target).rpartition(":")
    try:
        addresses = (host.strip("[]"),) if host else run.domain(guest).addresses()
    except HypervisorError:
        return False  # raised, it would be no opinion, and the guest would count as ready
    for address in addresses:
        try:
            socket.create_connection((address, int(port)), timeout=min(PATIENCE, run.remaining())).close()
        except OSError:
            continue
        return True
    return False


def _succeeds(command: str, guest: Guest, run: Run) -> bool:
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=run.environment(guest),
        umask=0o022,
        start_new_session=True,
    )
    try:
        return process.wait(min(PATIENCE, run.remaining())) == 0
    except subprocess.TimeoutExpired:
        # The shell's children as well: they would go on beside the next attempt.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
