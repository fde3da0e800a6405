"""A shell in guests in memory: it answers what the test says, and keeps what it was asked."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from lastcall.api.guests import Guest
from lastcall.api.run import Run
from lastcall.api.shell import Command, CommandResult, GuestShell, ShellSession
from lastcall.errors import CommandTimeout, ShellRefused
from lastcall.testing.failures import LabFailure

if TYPE_CHECKING:
    from lastcall.testing.failures import Failures

NAME = "lab"
_FRAME = 10.0  # seconds for the frame to end, once the command's time is over
_USER = 7  # of a wrapped command's words, the user that it is to be run as,
_FIRST = 9  # and the first that is the command's own; see guest_shell/command_wrapper.py


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
    """The shell of one guest in the lab: `answers` before a run, `calls` after it.

    `open_sessions`: logins that nobody has given back yet.
    """

    def __init__(self, guest: str) -> None:
        self._guest = guest
        self._answers: dict[str, ShellAnswer] = {}
        self.here: _RunsHere | None = None
        self.refusal = ""
        self.details: list[ShellCall] = []
        self.open_sessions = 0

    @property
    def calls(self) -> list[str]:
        """The command lines that were given so far, in order."""
        return [call.line for call in self.details]

    def answers(self, answers: Mapping[str, ShellAnswer]) -> None:
        """Say what commands do: by their line or a glob (`systemctl stop *`); later ones win."""
        self._answers |= answers

    def runs_here(self, *, path: Path | None = None) -> None:
        """Have commands that no answer is said of run on this machine, by its user, whoever they are to be run as.

        `path`: a folder whose programs come before those of this machine.
        """
        self.here = _RunsHere(path)

    def refuses_logins(self, why: str) -> None:
        """Let nobody in."""
        self.refusal = why

    def knows(self, line: str) -> bool:
        """Whether the test has said what such a command does."""
        return any(fnmatchcase(line, known) or line == known for known in self._answers)

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
        if shell.refusal:
            raise ShellRefused(shell.refusal)
        shell.open_sessions += 1
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
        if self._shell.here and not self._shell.knows(call.line):
            self._shell.details.append(call)
            return self._shell.here.run(command)
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

    def close(self) -> None:
        """Give it back."""
        self._shell.open_sessions -= 1


class _RunsHere:
    """Runs commands in their frame on this machine, and as the user that we are."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def run(self, command: Command) -> CommandResult:
        """Run one; raises CommandTimeout for a frame that does not end."""
        argv = list(command.argv)
        argv[_USER] = ""
        before = f"{self._path}:" if self._path else ""
        environment = {**os.environ, "PATH": f"{before}{os.environ.get('PATH', os.defpath)}"}
        began = time.monotonic()
        try:
            done = subprocess.run(
                argv, input=command.input, capture_output=True, timeout=command.timeout + _FRAME, check=False,
                env=environment,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise CommandTimeout(f"did not end within {command.timeout:.0f} s") from None
        out, err = (data.decode("utf-8", "surrogateescape") for data in (done.stdout, done.stderr))
        return CommandResult(
            exit_code=done.returncode, stdout=out, stderr=err, truncated=False, duration=time.monotonic() - began,
            shell=NAME,
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
