"""What every kind of database has: options, a flush with proof, and a clean stop with proof."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import Field

from lastcall import CommandResult, Guest, HookFailed, LastcallError, Run, SecretText, Shell, masked
from lastcall.options import Duration, Options, Secret


class DatabaseOptions(Options):
    """What all kinds know."""

    timeout: Duration | None = Field(default=None, gt=0, description="For flush and proof; else the hook's time.")


class ServerOptions(DatabaseOptions):
    """What all servers know."""

    port: int | None = Field(default=None, ge=1, le=65535, description="The port, where it is not the usual one.")
    socket: str | None = Field(default=None, description="The socket, where it is not the usual one.")
    password_file: Secret | None = Field(default=None, description="Where, on the host, the password is kept.")
    stop: bool = Field(default=False, description="Stop the service cleanly after the flush.")
    service: str | None = Field(default=None, description="The service's unit, where it is not the usual one.")
    owner: str | None = Field(
        default=None,
        min_length=1,
        description="The guest's user that the server runs as, where it is not the usual one. Nobody else's is asked.",
    )


Environment = Mapping[str, str | SecretText]
_TELLING = re.compile("error|denied|fail|could not|cannot|can't|there is no|not allowed", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]{1,20}")
OptionsT = TypeVar("OptionsT", bound=DatabaseOptions)
ServerOptionsT = TypeVar("ServerOptionsT", bound=ServerOptions)


class Unproven(HookFailed):
    """A flush of which nobody can prove that it took place."""


@dataclass(slots=True)
class Flush(Generic[OptionsT]):
    """One flush of one database of one guest: where, how, and the figures before and after."""

    guest: Guest
    run: Run
    shell: Shell
    options: OptionsT
    before: dict[str, Any] = field(default_factory=dict[str, Any])
    after: dict[str, Any] = field(default_factory=dict[str, Any])

    def sh(self, script: str, *arguments: str, user: str | None = None, env: Environment | None = None) -> str:
        """Run a script with `$1`… in the guest and return what it prints; raises Unproven where it fails."""
        result = self.run_script(script, *arguments, user=user, env=env)
        if result.exit_code:
            raise Unproven(told(result))
        return result.stdout

    def run_script(
        self, script: str, *arguments: str, user: str | None = None, env: Environment | None = None
    ) -> CommandResult:
        """The same with its exit code. Raises ShellError."""
        argv = ("/bin/sh", "-c", script, "lastcall", *arguments)
        environment = {"LC_ALL": "C", **(env or {})}
        return self.shell.run(argv, timeout=self.options.timeout, user=user, env=environment)


class Engine(ABC, Generic[OptionsT]):
    """One kind of database. Nothing here takes a lock.

    What a client is told is written here, or is a number; what a server answers becomes a figure, and no part of a
    command: as a variable of psql it ran a program as psql's user.
    """

    name: ClassVar[str]
    options: type[OptionsT]

    @abstractmethod
    def flush(self, flush: Flush[OptionsT]) -> None:
        """Flush, fill `before` and `after`, and raise Unproven unless the figures prove it."""

    def stop(self, flush: Flush[OptionsT]) -> None:
        """Stop the service cleanly, and raise Unproven unless that is proven."""
        raise LastcallError(f"{self.name} has no service to stop")

    def started(self, guest: Guest, run: Run, options: OptionsT) -> None:
        """The guest is back: forget what a run that was killed may have left."""


class ServerEngine(Engine[ServerOptionsT]):
    """A server, with a user that it runs as, and a variable from which its client takes the password."""

    owner: ClassVar[str]
    variable: ClassVar[str]

    def environment(self, flush: Flush[ServerOptionsT]) -> Environment:
        """What every client gets: whose server it may ask, and the password; no argument list ever has that."""
        options = flush.options
        secret = {} if options.password_file is None else {self.variable: options.password_file.read()}
        return {"OWNER": options.owner or self.owner, **secret}


def stop_service(flush: Flush[Any], service: str) -> None:
    """Stop a unit; raises Unproven unless systemd says that it is off. The shell has to be root's."""
    # What systemctl stop exits with does not count: some servers refuse to stop, others stop without their data.
    script = 'systemctl stop -- "$1"; systemctl show -P ActiveState -- "$1"'
    state = flush.sh(script, flush.options.service or service).strip()
    flush.after["service"] = state
    if state not in {"inactive", "failed"}:
        raise Unproven(f"the service {flush.options.service or service} is {state or 'unknown'} after its stop")


def told(result: CommandResult) -> str:
    """What a client that failed said, in one line: what speaks of a failure, not the statement or the hints."""
    lines = [line.strip() for line in (result.stderr or result.stdout).splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line)] or lines
    return masked("; ".join(telling[:2]))[:400] or f"exit code {result.exit_code}"


def number(text: str | None, otherwise: int | None = None) -> int:
    """A whole number of a server's answer; raises Unproven for what is none, unless there is one to take instead."""
    if text is not None and _NUMBER.fullmatch(text):
        return int(text)
    if text is None and otherwise is not None:
        return otherwise
    raise Unproven(f"its answer is no number: {(text or 'nothing')[:80]!r}")


def figures(text: str) -> dict[str, str]:
    """The `name=value` lines of a script's output."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
