"""The QEMU guest agent: stop method `agent`, guest shell `agent`, and what the agent tells about its guest.

Every call to an agent takes part in the agent's job: a second one waits, and one that hangs costs its own time only.
ACPI is another job and works meanwhile.
"""

import base64
import time
from collections.abc import Iterable, Mapping
from typing import Any, cast

from lastcall import (
    Command,
    CommandResult,
    CommandTimeout,
    Domain,
    Guest,
    GuestShell,
    GuestState,
    HookFailed,
    HypervisorError,
    Json,
    Problem,
    Run,
    Severity,
    ShellLost,
    ShellRefused,
    ShellSession,
    ShellUnreachable,
    StopMethod,
    StopRequest,
    hookimpl,
)
from lastcall_plugins.pending_work import pending_work

ANSWER_TIME = 3.0  # seconds in which a healthy agent answers; libvirt adds up to 5 of its own
ASKED_TIME = 1.0  # seconds; an agent never answers to a shutdown, and libvirt cannot send without waiting
UNRESPONSIVE = 86  # libvirt's VIR_ERR_AGENT_UNRESPONSIVE
SILENT = frozenset({UNRESPONSIVE, 111})  # and VIR_ERR_AGENT_COMMAND_TIMEOUT
_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.5  # seconds between two looks at a running command
# EL guests block guest-exec; guest-info says so before anything is tried.
_NEEDED = ("guest-exec", "guest-exec-status")
_ALLOW = "allow it in the guest: BLACKLIST_RPC or --allow-rpcs in /etc/sysconfig/qemu-ga, or block-rpcs in qemu-ga.conf"


def _unfit(guest: Guest, run: Run) -> str | None:
    if guest.driver != "QEMU":
        return "only QEMU guests have an agent"
    if guest.state is GuestState.PAUSED:
        return "a paused guest cannot hear it"
    return None if run.domain(guest).agent_connected() else "the guest agent is not connected"


_CHANNEL = "org.qemu.guest_agent.0"
_INSTALL = "install and start qemu-guest-agent in the guest, or take the channel out of its XML"
_ADD = "add the channel to its XML, and qemu-guest-agent to the guest; or choose something else"
_LARGEST = 2**63  # a HANDLE of Windows is the largest number that an agent calls a process by
_INTERNAL = 1  # libvirt's VIR_ERR_INTERNAL_ERROR


class Agent(StopMethod):
    """Asks the guest's own agent to shut it down."""

    name = "agent"

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """Look at the agent's channel."""
        return _unfit(guest, run)

    def request(self, call: StopRequest) -> None:
        """Ask, and be back within seconds: libvirt's own agent shutdown blocks until the guest is off.

        The answer to a shutdown is silence, as that of an agent that hangs: so the agent is asked to say something
        first. One that does not makes this rung fail, and the next one is tried.
        """
        # Six guests that need 2 to 7 s took libvirt-guests 31 s in parallel mode, as each of its requests lasts until
        # the guest is off. Asked like this ten were off after 9.0 s, on one connection.
        domain = call.run.domain(call.guest)
        domain.agent("guest-ping", timeout=ANSWER_TIME)
        try:
            # A second of patience and not NOWAIT, with which seven of ten guests never stopped. The call ends
            # in error 86, and the guest has been asked.
            domain.agent("guest-shutdown", {"mode": "powerdown"}, timeout=ASKED_TIME)
        except HypervisorError as error:
            # The error alone says nothing: silence (86) is how a shutdown that works looks from here.
            # Any other code is libvirt's refusal, such as of a domain that is paused by now; but for the end of the
            # agent's socket, which has none of its own.
            if error.code not in {*SILENT, _INTERNAL} or _is_answer(error, "guest-shutdown"):
                raise  # else it was asked: the agent goes down with its guest, and its socket with it


class AgentShell(GuestShell):
    """Runs commands by guest-exec."""

    name = "agent"

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """Look at the agent's channel."""
        return _unfit(guest, run)

    def connect(self, guest: Guest, run: Run) -> "AgentSession":
        """Ask what the agent may do."""
        domain = run.domain(guest)
        try:
            enabled = capabilities(domain)
        except HypervisorError as error:
            raise ShellUnreachable(f"the guest agent does not answer: {error}") from None
        missing = [name for name in _NEEDED if not enabled.get(name)]
        if missing:
            raise ShellRefused(f"the guest agent does not allow {' and '.join(missing)}", _ALLOW)
        return AgentSession(domain, run)


class AgentSession(ShellSession):
    """Commands by the agent; between them there is nothing to keep open."""

    def __init__(self, domain: Domain, run: Run) -> None:
        self._domain = domain
        self._run = run

    def execute(self, command: Command) -> CommandResult:
        """Start the command and ask for its end, ever less often. The status of an ended one can be read once."""
        began = time.monotonic()
        pid = self._start(command)
        # Most commands are over at once, and every look at one that is not takes a lane.
        pause = _FIRST_LOOK
        while True:
            status = self._status(pid)
            if status.get("exited"):
                return _result(status, time.monotonic() - began)
            left = command.timeout - (time.monotonic() - began)
            if left <= 0:
                raise CommandTimeout(f"did not end within {command.timeout:.0f} s")
            self._run.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_LOOK)

    def _start(self, command: Command) -> int:
        path, *arguments = command.argv
        # No env, which would replace the whole environment. The output is bounded in the guest: one answer
        # above 10 MiB breaks the channel for good.
        asked: dict[str, Json] = {"path": path, "arg": arguments, "capture-output": True}
        if command.input:
            asked["input-data"] = base64.b64encode(command.input).decode()
        try:
            answer = self._domain.agent("guest-exec", asked, timeout=min(command.timeout, 10.0))
        except HypervisorError as error:
            if error.code == UNRESPONSIVE:  # it may have been started
                raise ShellLost(f"the guest agent stopped answering: {error}") from None
            raise ShellRefused(f"the guest agent does not run it: {error}") from None
        try:
            return _number(_fields(answer), "pid")
        # Without a pid nobody knows of anything that was started: the guest's next shell may try.
        except _Malformed as error:
            raise ShellRefused(f"the guest agent does not say what it started: {error}") from None

    def _status(self, pid: int) -> Mapping[str, Any]:
        try:
            return _fields(self._domain.agent("guest-exec-status", {"pid": pid}, timeout=10.0))
        except HypervisorError as error:
            raise ShellLost(f"the guest agent stopped answering while the command ran: {error}") from None
        except _Malformed as error:
            raise ShellLost(f"the guest agent does not say how the command goes: {error}") from None


def capabilities(domain: Domain) -> dict[str, bool]:
    """The agent's commands and whether they are enabled. Raises HypervisorError, also for an answer that is none."""
    answer: Any = domain.agent("guest-info", timeout=ANSWER_TIME)
    try:
        return {str(one["name"]): one["enabled"] is True for one in answer["supported_commands"]}
    except (LookupError, TypeError):
        raise HypervisorError("it does not say what it knows") from None


def _is_answer(error: HypervisorError, command: str) -> bool:
    """Whether the agent itself refused: in whatever language libvirt tells it, it names the command."""
    return error.code not in SILENT and command in str(error)


class _Malformed(Exception):
    """An answer is not what the agent's protocol says: somebody in the guest has written it, or something is broken."""


def _fields(answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise _Malformed("its answer has no fields")
    return cast("dict[str, Any]", answer)


def _number(fields: Mapping[str, Any], name: str) -> int:
    number = fields.get(name)
    # By the very type: to isinstance, True is a number.
    if type(number) is not int or abs(number) > _LARGEST:
        raise _Malformed(f"its {name} is no number of a process")
    return number


def _result(status: Mapping[str, Any], duration: float) -> CommandResult:
    try:
        code = _number(status, "exitcode") if "exitcode" in status else 128 + _number({"signal": 0, **status}, "signal")
        out, err = _text(status, "out-data"), _text(status, "err-data")
    except _Malformed as error:
        raise ShellLost(f"the guest agent does not say how the command ended: {error}") from None
    cut = bool(status.get("out-truncated") or status.get("err-truncated"))
    return CommandResult(exit_code=code, stdout=out, stderr=err, truncated=cut, duration=duration, shell="agent")


def _text(status: Mapping[str, Any], name: str) -> str:
    try:
        return base64.b64decode(status.get(name, ""), validate=True).decode("utf-8", "surrogateescape")
    except (TypeError, ValueError):
        raise _Malformed(f"its {name} is no base64") from None


@hookimpl
def stop_methods() -> Iterable[StopMethod[Any]]:
    """Offer `agent`."""
    return [Agent()]


@hookimpl
def guest_shells() -> Iterable[GuestShell]:
    """Offer `agent`."""
    return [AgentShell()]


@hookimpl
def describe_guest(guest: Guest, run: Run) -> Mapping[str, Json] | None:
    """Tell system and addresses, where an agent answers."""
    if _unfit(guest, run):
        return None
    domain = run.domain(guest)
    try:
        system = _fields(domain.agent("guest-get-osinfo", timeout=ANSWER_TIME))
    except _Malformed as error:
        raise HookFailed(f"the guest agent does not tell its system: {error}") from None
    told = str(system.get("pretty-name") or system.get("name") or system.get("id") or "unknown")
    return {"system": told, "addresses": list(domain.addresses("agent"))}


@hookimpl
def check_guest(guest: Guest, run: Run) -> Iterable[Problem]:
    """Say where an agent is wanted and dead, or not there: requests to it cost time, then something else is tried."""
    settings, name = run.settings(guest), Agent.name
    if guest.driver != "QEMU" or guest.state is not GuestState.RUNNING or name not in settings.stop + settings.shell:
        return
    domain = run.domain(guest)
    try:
        if domain.agent_connected():
            domain.agent("guest-ping", timeout=ANSWER_TIME)
        elif _CHANNEL in domain.xml():
            yield _dead(guest, "it has a channel for a guest agent, and no agent is connected to it", _INSTALL)
        elif set(settings.stop) == {name}:
            yield _dead(guest, "its ladder has nothing but agent, and it has no channel for one", _ADD)
        elif set(settings.shell) == {name}:
            yield _dead(guest, "its commands are run by the agent alone, and it has no channel for one", _ADD)
    except HypervisorError as error:
        message = f"the guest agent is connected and does not answer: {error}"
        yield _dead(guest, message, "restart qemu-guest-agent in the guest")


def _dead(guest: Guest, message: str, remedy: str) -> Problem:
    return Problem(what="agent", where=guest.name, message=message, remedy=remedy, severity=Severity.WARNING)


@hookimpl
def guest_busy(guest: Guest, run: Run) -> Iterable[str]:
    """Say what the guest's system is in the middle of, where its agent may run commands."""
    # Each command takes part in the agent's job. When the host goes down, that is wanted for something else.
    wanted = {*run.settings(guest).stop, *run.settings(guest).shell}
    if _unfit(guest, run) or (not run.voluntary and AgentShell.name in wanted):
        return []
    domain = run.domain(guest)
    try:
        enabled = capabilities(domain)
        if not all(enabled.get(name) for name in _NEEDED):
            return []
        system = ""
        if enabled.get("guest-get-osinfo"):
            system = str(_fields(domain.agent("guest-get-osinfo", timeout=ANSWER_TIME)).get("id"))
    except (HypervisorError, _Malformed):
        return []  # what it does is not known: `check_guest` says so
    return pending_work(AgentSession(domain, run), system)
