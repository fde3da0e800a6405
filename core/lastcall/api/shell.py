"""Running commands inside a guest: what hooks use (`Shell`) and what shell plugins provide (`GuestShell`)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, ClassVar, Protocol

from lastcall.api.guests import Guest
from lastcall.errors import CommandFailed
from lastcall.formats.secret_text import SecretText, masked
from lastcall.formats.values import value

if TYPE_CHECKING:
    from lastcall.api.run import Run


@value(frozen=True, kw_only=True)
class Command:
    """One command for a provider to execute: argv, seconds, bytes of input and the bytes of output to keep."""

    argv: tuple[str, ...]
    timeout: float
    input: bytes = field(default=b"", repr=False)  # the environment comes in it, passwords and all
    output_limit: int = 262_144


@value(frozen=True, kw_only=True)
class CommandResult:
    """What a command in a guest did. `truncated` says that output was cut at the limit; duration in seconds."""

    exit_code: int
    stdout: str
    stderr: str
    truncated: bool
    duration: float
    shell: str

    def check(self, ok: Sequence[int] = (0,)) -> "CommandResult":
        """Return self, or raise `CommandFailed` when the exit code is not one of `ok`."""
        if self.exit_code in ok:
            return self
        said = (self.stderr or self.stdout).strip().splitlines()
        raise CommandFailed(f"exit code {self.exit_code}" + (f": {masked(said[-1])}" if said else ""))


class Shell(Protocol):
    """A way to run commands inside one guest. User, environment, time and output limits are composed by the core."""

    def run(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = None,
        input: str | bytes | SecretText | None = None,  # noqa: A002  the standard library's name for it
        user: str | None = None,
        env: Mapping[str, str | SecretText] | None = None,
    ) -> CommandResult:
        """Run a command line (a string, by /bin/sh) or an argv; secrets are revealed to it. Raises `ShellError`."""
        ...


class ShellSession(ABC):
    """Base class for an open connection of a `GuestShell` to one guest, which ends with the hook call it is for."""

    @abstractmethod
    def execute(self, command: Command) -> CommandResult:
        """Execute an argv in the guest; raises `ShellError`, of the kind that says whether it was started."""

    def close(self) -> None:  # noqa: B027  most have nothing to do here
        """Give the connection back; there may be nothing to give back."""


class GuestShell(ABC):
    """Base class for a provider of guest shells, offered through the hook `guest_shells`."""

    name: ClassVar[str]

    def unfit(self, guest: Guest, run: "Run") -> str | None:
        """Say why this shell cannot reach the guest, or None. Must not wait."""
        return None

    @abstractmethod
    def connect(self, guest: Guest, run: "Run") -> ShellSession:
        """Open a session; raises `ShellUnreachable` or `ShellRefused`."""
