"""A shell in guests in memory: it answers what the test says, and keeps what it was asked."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from lastcall.api.guests import Guest
from lastcall.api.run import Run
from lastcall.api.shell import Command, CommandResult, GuestShell, ShellSession
from lastcall.errors import CommandTimeout
from lastcall.testing.failures import LabFailure

if TYPE_CHECKING:
    from lastcall.testing.failures import Failures

NAME = "lab"
_FIRST = 9  # of a wrapped command's words, the first that is the command's own; see guest_shell/command_wrapper.py


class UnansweredCommand(LabFailure):
    """A plugin gave a command to which the test has no answer."""


@dataclass(frozen=True, kw_only=True)
class Says:
    """How a command ends: what it prints, its exit code, and the seconds of the lab's clock that it takes."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    takes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ShellCall:
    """A command that a plugin gave: its line (an argv is quoted as for a shell), as whom, with what on its input.

    `at`: seconds since the run began.
    """

    line: str
    user: str | None
    environment: Mapping[str, str]
    input: bytes
    timeout: float
    at: float


ShellAnswer: TypeAlias = "str | Says | Exception | Callable[[ShellCall], str | Says]"
"""What a command prints, how it ends, what is raised instead, or what makes one of these of the call."""


class AnsweringShell:
    """The shell of one guest in the lab: `answers` before a run, `calls` after it."""

    def __init__(self, guest: str) -> None:
        self._guest = guest
        self._answers: dict[str, ShellAnswer] = {}
        self.details: list[ShellCall] = []

    @property
    def calls(self) -> list[str]:
        """The command lines that were given so far, in order."""
        return [call.line for call in self.details]

    def answers(self, answers: Mapping[str, ShellAnswer]) -> None:
        """Say what commands do: by their line or a glob (`systemctl stop *`); later ones win."""
        self._answers |= answers

    def answer(self, call: ShellCall) -> Says:
        """Keep the call and answer it; raises UnansweredCommand where the test says nothing of it."""
        self.details.append(call)
        fits = [answer for line, answer in self._answers.items() if call.line == line or fnmatchcase(call.line, line)]
        if not fits:
            known = ", ".join(map(repr, self._answers)) or "none"
            raise UnansweredCommand(
                f"{self._guest} was given a command that the test has no answer to: {call.line!r}; say"
                f" {self._guest}.shell.answers({{{call.line!r}: ''}}). Answers there are: {known}"
            )
        said = fits[-1]
        if isinstance(said, Exception):
            raise said
        made = said if isinstance(said, str | Says) else said(call)
        return Says(stdout=made) if isinstance(made, str) else made


class LabShell(GuestShell):
    """Provides the answering shells, by the guests' names."""

    name: ClassVar[str] = NAME

    def __init__(
        self, find: Callable[[Guest], AnsweringShell | None], now: Callable[[], float], failures: "Failures"
    ) -> None:
        self._find = find
        self._now = now
        self._failures = failures

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """A guest that runs in the lab and is off has no shell."""
        return None if self._find(guest) else "it has no shell in this lab"

    def connect(self, guest: Guest, run: Run) -> "_Session":
        """Reach the guest."""
        shell = self._find(guest)
        assert shell is not None  # noqa: S101  `unfit` has said so
        return _Session(shell, run, self._now, self._failures)


class _Session(ShellSession):
    """A connection to an answering shell."""

    def __init__(self, shell: AnsweringShell, run: Run, now: Callable[[], float], failures: "Failures") -> None:
        self._shell = shell
        self._run = run
        self._now = now
        self._failures = failures

    def execute(self, command: Command) -> CommandResult:
        """Answer a command in its frame, in the frame's words."""
        nonce, call = _unwrapped(command, self._now())
        try:
            said = self._shell.answer(call)
        except UnansweredCommand as failure:
            self._failures.add(failure)
            said = Says(stderr=str(failure), exit_code=127)
        if said.takes:
            self._run.sleep(min(said.takes, command.timeout))
        if said.takes > command.timeout:
            raise CommandTimeout(f"did not end within {command.timeout:.0f} s and was killed")
        return CommandResult(
            exit_code=0, stdout=said.stdout, stderr=f"{said.stderr}\n{nonce} exit {said.exit_code}\n", truncated=False,
            duration=said.takes, shell=NAME,
        )  # fmt: skip


def _unwrapped(command: Command, now: float) -> tuple[str, ShellCall]:
    """The nonce of a command's frame, and the command as its plugin gave it."""
    nonce, _seconds, _limit, user, _names = command.argv[4:_FIRST]
    argv = command.argv[_FIRST:]
    preamble, _, data = command.input.partition(f"\n{nonce}\n".encode())
    exports = (word.partition("=") for word in shlex.split(preamble.decode("utf-8", "replace")))
    environment = {name: text for name, sign, text in exports if sign and name != "INNER"}
    line = argv[2] if argv[:2] == ("/bin/sh", "-c") else shlex.join(argv)
    return nonce, ShellCall(
        line=line, user=user or None, environment=environment, input=data, timeout=command.timeout, at=now
    )
