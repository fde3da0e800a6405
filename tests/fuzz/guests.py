"""Readers of what guests, their agents, their SSH servers and programs say."""

import json
import socket
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree as ET

from fuzz.configurations import GUEST, guest_model, text_of
from fuzz.folders import fresh_folder
from lastcall import Command, CommandResult, Guest, GuestShell, LastcallError, Run, ShellSession
from lastcall.config.metadata import read_metadata
from lastcall.formats.json_text import to_json
from lastcall.guest_shell.command_wrapper import wrap_command
from lastcall.hooks.call import HookCall
from lastcall.hooks.executables import executable_hook
from lastcall.hypervisor.domain import LibvirtDomain
from lastcall.hypervisor.domain_facts import facts_of
from lastcall.hypervisor.ports import GuestFacts
from lastcall.hypervisor.stopping.save_blockers import unsaveable
from lastcall.records.said_lines import LINE_BYTES, LINES, SaidLines
from lastcall.testing.memory.workers import InlineWorkers
from lastcall_plugins import agent
from lastcall_plugins.databases import Databases
from lastcall_plugins.databases.flushing import flush_all
from lastcall_plugins.ssh import commands as enrolment
from lastcall_plugins.ssh.addresses import cid_of
from lastcall_plugins.ssh.hostkeys import HostKey, parse
from lastcall_plugins.ssh.session import _greet  # pyright: ignore[reportPrivateUsage]
from lastcall_plugins.ssh.settings import SshSettings
from support import run_context

NONCE = "@NONCE@"  # in an input: what the frame of the command calls itself
NEXT = b"@NEXT@"  # between two answers, or standard output and standard error
LIMIT = 1000  # bytes of output that the frame passes on
ASKED = ("guest-info", "guest-exec", "guest-exec-status", "guest-get-osinfo", "guest-network-get-interfaces",
         "guest-file-open", "guest-file-read")  # fmt: skip


class _NoCall:
    """What a call on an agent has to know of its time."""

    def remaining(self) -> float:
        return 60.0


class _Domain(LibvirtDomain):
    """A domain of libvirt whose agent answers what the input says: a line for each command."""

    def __init__(self, answers: bytes) -> None:
        nothing: Any = None
        super().__init__(nothing, GUEST, cast("Any", _NoCall()), nothing, None, nothing)
        self._lines = answers.split(b"\n")
        self._command, self._looks = "", 0

    def agent_connected(self) -> bool:
        return True

    def agent(self, command: str, arguments: Any = None, *, timeout: float | None = None) -> Any:
        self._command = command
        return super().agent(command, arguments, timeout=timeout)

    def _ask(self, work: Any, need: Any = "quick", *, asks: bool = True) -> Any:
        if self._command not in ASKED:
            return '{"return": {}}'
        self._looks += self._command == "guest-exec-status"
        if self._looks > 1:  # nobody waits for a command that never ends
            return '{"return": {"exited": true, "exitcode": 0}}'
        at = ASKED.index(self._command)
        return self._lines[at].decode() if at < len(self._lines) else ""


class _Framed(GuestShell, ShellSession):
    """A guest in which commands say, one after the other, what the input says; `!` before it is a failure."""

    name = "framed"

    def __init__(self, data: bytes) -> None:
        self._answers = data.split(NEXT)
        self._count = -1

    def connect(self, guest: Guest, run: Run) -> ShellSession:
        return self

    def execute(self, command: Command) -> CommandResult:
        self._count += 1
        answer = self._answers[self._count % len(self._answers)]
        text, code = text_of(answer.removeprefix(b"!")), int(answer.startswith(b"!"))
        said = f"{text if code else ''}\n{command.argv[4]} exit {code}\n"
        return CommandResult(
            exit_code=0, stdout="" if code else text, stderr=said, truncated=False, duration=0.1, shell="framed"
        )


def _framed(_guest: Guest) -> tuple[str, ...]:
    return ("framed",)


def _call(domain: Any = None, shell: GuestShell | None = None, folder: Path | None = None) -> HookCall:
    def find(*_: object) -> Any:
        return domain

    shells: dict[str, tuple[str, GuestShell]] = {"agent": ("agent", agent.AgentShell())}
    if shell:
        shells["framed"] = ("framed", shell)

    def no_wait(_event: threading.Event, _seconds: float) -> None:
        """Nobody has the time."""

    context = replace(
        run_context(time.monotonic), domain=find, shells=shells, wait=no_wait, shell_names=_framed,
        folders=folder or Path("/nonexistent"),
    )  # fmt: skip
    return HookCall(context, "any", expires=time.monotonic() + 60)


def read_domain_xml(data: bytes) -> tuple[GuestFacts, Any]:
    text = data.decode("utf-8", "replace")

    class Domain:
        def XMLDesc(self, _flags: int) -> str:  # noqa: N802  libvirt's name for it
            return text

    facts = facts_of(cast("Any", Domain()), autostart=False)
    unsaveable(ET.fromstring(text))  # noqa: S314  as in the code
    cid_of(text)
    return facts, read_metadata(guest_model(), GUEST, facts.metadata)


def has_facts(found: tuple[GuestFacts, Any]) -> None:
    facts, (_, problems) = found
    assert all(type(text) is str for text in (*facts.metadata, *facts.metadata.values()))
    assert type(facts.memory) is int
    assert type(facts.restarts) is bool
    assert all(problem.where == GUEST.name for problem in problems)


def read_frame(data: bytes) -> CommandResult:
    frame = wrap_command(["true"], timeout=5, limit=LIMIT)
    err, _, out = text_of(data.replace(NONCE.encode(), frame.nonce.encode())).partition(NEXT.decode())
    code = (0, 1, 127, 137, 255, -1)[len(data) % 6]
    raw = CommandResult(exit_code=code, stdout=out, stderr=err, truncated=False, duration=0.1, shell="agent")
    return frame.read(raw)


def is_a_result(found: CommandResult) -> None:
    assert 0 <= found.exit_code <= 999
    assert max(len(found.stdout), len(found.stderr)) <= LIMIT
    (found.stdout + found.stderr).encode()


def read_agent(data: bytes) -> list[Any]:
    """Everything that is asked of an agent, in turn; an error that is allowed ends one question."""
    call = _call(_Domain(data))
    questions: list[Any] = [
        lambda: call.shell(GUEST, use=["agent"]).run("true"),
        lambda: agent.describe_guest(GUEST, call),
        lambda: list(agent.check_guest(GUEST, call)),
        lambda: call.domain(GUEST).addresses("agent"),
        lambda: enrolment._from_agent(GUEST, call),  # pyright: ignore[reportPrivateUsage]
    ]
    answers: list[Any] = []
    for question in questions:
        with suppress(LastcallError):
            answers.append(question())
    return answers


def can_be_written_down(found: Any) -> None:
    json.loads(to_json(found))


def read_host_keys(data: bytes) -> list[HostKey]:
    return parse(text_of(data))


def have_fingerprints(found: list[HostKey]) -> None:
    assert all(key.fingerprint.startswith("SHA256:") for key in found)


def read_ssh_greeting(data: bytes) -> None:
    """What an SSH server says before anybody has logged in."""
    ours, theirs = socket.socketpair()
    with theirs, ExitStack() as opened:
        theirs.setblocking(False)
        with suppress(OSError):
            theirs.send(data)
        theirs.shutdown(socket.SHUT_WR)
        _greet(ours, cast("Any", _call()), SshSettings(), opened, [])


def is_nothing(found: object) -> None:
    assert found is None


class _Loop:
    """A loop that has other things to do."""

    def call_later(self, *_: object) -> None:
        pass


class _Busy(InlineWorkers):
    def post(self, action: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


def read_program(data: bytes) -> list[str]:
    """What a program in `hooks.d` prints, until it is lines of the run log."""
    folder = fresh_folder()
    (folder / "said").write_bytes(data)
    said = list[str]()
    lines = SaidLines(_Busy(), cast("Any", _Loop())).of_call(said.append)
    context = run_context(time.monotonic)
    call = HookCall(context, "any", expires=time.monotonic() + 60, say=lines.say)
    executable_hook(_program(folder), "pre_shutdown")(run=call)
    lines.end()
    return said


def _program(folder: Path) -> Path:
    path = folder / "10-says"
    path.write_text(f"#!/bin/sh\nexec cat {folder}/said\n")
    path.chmod(0o755)
    return path


def are_lines(found: list[str]) -> None:
    assert len(found) <= LINES + 1
    assert all(len(line.splitlines()) <= 1 and len(line) <= LINE_BYTES + 100 for line in found)
    json.loads(to_json(found))


@cache
def _wanted(kind: str) -> Any:
    options: dict[str, Any] = {
        "sqlite": {"paths": ["/srv/app.db"]},
        "custom": {"flush": "true", "proof": "true", "pattern": "[0-9]+|ok"},
        "auto": {},
    }
    return Databases.model_validate([{kind: options.get(kind, {"stop": True})}]).each


def read_database(kind: str, data: bytes) -> HookCall:
    call = _call(shell=_Framed(data), folder=fresh_folder())
    flush_all(_wanted(kind), GUEST, call)
    return call


def are_figures(found: HookCall) -> None:
    assert len(to_json(found.collected)) < 1_000_000
