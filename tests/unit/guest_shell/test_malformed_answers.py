"""Whoever has a guest writes what its agent answers: nothing of it is more than an error of that guest's shell."""

import base64
import contextlib
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from lastcall import (
    Command,
    CommandResult,
    Guest,
    GuestShell,
    HookFailed,
    HypervisorError,
    Run,
    ShellError,
    ShellLost,
    ShellSession,
)
from lastcall.guest_shell.command_wrapper import wrap_command
from lastcall.hooks.call import HookCall
from lastcall_plugins import agent
from lastcall_plugins.ssh import commands as enrolment
from support import run_context

GUEST = Guest(uri="qemu:///system", uuid="i", name="db")
ENABLED = [{"name": name, "enabled": True} for name in ("guest-exec", "guest-exec-status")]
NO_PID: list[Any] = [
    None, [], "x", 7, {}, {"pid": None}, {"pid": "7"}, {"pid": 1.5}, {"pid": True}, {"pid": 10**400}, {"pid": [7]},
]  # fmt: skip
NO_END: list[Any] = [
    None, [], "x", 7, {"exited": True, "exitcode": "0"}, {"exited": True, "exitcode": None},
    {"exited": True, "exitcode": 10**400}, {"exited": True, "exitcode": [0]}, {"exited": True, "signal": "9"},
    {"exited": True, "exitcode": 0, "out-data": "no base64!"}, {"exited": True, "exitcode": 0, "out-data": "A"},
    {"exited": True, "exitcode": 0, "err-data": 7}, {"exited": True, "exitcode": 0, "err-data": None},
    {"exited": True, "exitcode": 0, "out-data": "é"}, {"exited": True, "exitcode": 0, "out-data": {"a": 1}},
]  # fmt: skip
NO_COMMANDS: list[Any] = [
    None, [], "x", 7, {}, {"supported_commands": None}, {"supported_commands": 7},
    {"supported_commands": ["guest-exec"]}, {"supported_commands": [{}]},
    {"supported_commands": [{"name": [], "enabled": True}]},
    {"supported_commands": [{"name": "guest-exec", "enabled": "no"}, {"name": "guest-exec-status", "enabled": 1}]},
]  # fmt: skip


class Answers:
    """A domain whose agent answers what the test says."""

    def __init__(self, **answers: Any) -> None:
        self._answers = {"guest_info": {"supported_commands": ENABLED}, "guest_exec": {"pid": 7}, **answers}

    def agent_connected(self) -> bool:
        return True

    def agent(self, command: str, arguments: Any = None, *, timeout: float | None = None) -> Any:
        return self._answers[command.replace("-", "_")]


class Second(GuestShell, ShellSession):
    """The shell that is to be gone on to."""

    def connect(self, guest: Guest, run: Run) -> ShellSession:
        return self

    def execute(self, command: Command) -> CommandResult:
        said = f"\n{command.argv[4]} exit 0\n"
        return CommandResult(exit_code=0, stdout="", stderr=said, truncated=False, duration=0.1, shell="second")


def shell_of(domain: Answers, *names: str) -> Any:
    return call_on(domain).shell(GUEST, use=names)


def call_on(domain: Answers) -> HookCall:
    """A call whose guest has this domain."""

    def find(*_: object) -> Any:
        return domain

    shells: dict[str, tuple[str, GuestShell]] = {
        "agent": ("agent", agent.AgentShell()), "second": ("second", Second()),
    }  # fmt: skip
    context = replace(run_context(time.monotonic), domain=find, shells=shells)
    return HookCall(context, "any", expires=time.monotonic() + 60)


@pytest.mark.parametrize(
    ("to", "answer"),
    [*(("guest_info", answer) for answer in NO_COMMANDS), *(("guest_exec", answer) for answer in NO_PID)],
    ids=lambda part: repr(part)[:20],
)
def test_an_agent_that_does_not_say_what_it_may_do_or_has_started_leaves_the_guest_to_its_next_shell(
    to: str, answer: Any
) -> None:
    domain = Answers(**{to: answer})
    assert shell_of(domain, "agent", "second").run("true").shell == "second"
    with pytest.raises(ShellError):
        shell_of(domain, "agent").run("true")


@pytest.mark.parametrize("answer", NO_END, ids=lambda answer: repr(answer)[:60])
def test_an_answer_that_does_not_say_how_a_command_ended_is_a_lost_command_and_nothing_is_run_twice(
    answer: Any,
) -> None:
    with pytest.raises(ShellLost):
        shell_of(Answers(guest_exec_status=answer), "agent", "second").run("true")


def test_what_an_agent_says_in_broken_bytes_is_told_without_them() -> None:
    said = base64.b64encode(b"\xff\xfe broken\n").decode()
    ended = {"exited": True, "exitcode": 3, "err-data": said}
    with pytest.raises(ShellError, match="exit code 3"):
        shell_of(Answers(guest_exec_status=ended), "agent").run("true")


@pytest.mark.parametrize("said", ["soon", "-1", "0x0", "٣", "9" * 5000, ""])
def test_a_frame_that_ends_in_no_exit_code_is_a_lost_command(said: str) -> None:
    frame = wrap_command(["true"], timeout=5)
    text = f"\n{frame.nonce} exit {said}\n"
    raw = CommandResult(exit_code=0, stdout="", stderr=text, truncated=False, duration=0.1, shell="agent")
    with pytest.raises(ShellLost):
        frame.read(raw)


@pytest.mark.parametrize("answer", [None, [], "x", 7])
def test_an_agent_that_does_not_tell_its_system_is_a_failure_in_words(answer: Any) -> None:
    with pytest.raises(HookFailed, match="its system"):
        agent.describe_guest(GUEST, call_on(Answers(guest_get_osinfo=answer)))


@pytest.mark.parametrize("answer", [None, [], {}, {"buf-b64": 7}, {"buf-b64": "A"}, {"buf-b64": None}], ids=repr)
def test_a_file_that_an_agent_does_not_give_has_no_host_key(answer: Any) -> None:
    call = call_on(Answers(guest_file_open=1, guest_file_read=answer, guest_file_close={}))
    assert enrolment._file(GUEST, call, "/etc/ssh/x.pub") == ""  # pyright: ignore[reportPrivateUsage]


MALFORMED = ["", "{", "[]", "7", "null", "{}", '"x"', '{"error": {}}', "[" * 100_000, '{"return": ' + "9" * 5000 + "}"]


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: text[:12])
def test_an_answer_that_is_none_is_an_error_of_the_hypervisor(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HypervisorError, match="guest-info is malformed"):
        answering(text, monkeypatch).agent("guest-info")


def test_an_answer_in_broken_bytes_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> str:
        return b"\xff\xfe".decode()

    domain = answering("", monkeypatch)
    monkeypatch.setattr(domain, "_ask", broken)
    with pytest.raises(HypervisorError, match="malformed"):
        domain.agent("guest-info")


CARDS: list[Any] = [
    None,
    7,
    "x",
    {},
    [None],
    [7],
    [{"ip-addresses": 7}],
    [{"ip-addresses": [7]}],
    [{"ip-addresses": [{}]}],
]


@pytest.mark.parametrize("cards", CARDS, ids=repr)
def test_addresses_that_are_told_amiss_are_an_error_of_the_hypervisor_or_none(
    cards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = answering(json.dumps({"return": cards}), monkeypatch)
    with contextlib.suppress(HypervisorError):
        assert domain.addresses("agent") == ()


def test_an_address_that_is_none_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    told = ["192.0.2.7", "db.example", "a" * 300, "x\0y", 7, None, "2001:db8::1", "fe80::1%eth0", "127.0.0.1", "\udcff"]
    cards = [{"name": "eth0", "ip-addresses": [{"ip-address": one} for one in told]}, {"name": "lo"}]
    domain = answering(json.dumps({"return": cards}), monkeypatch)
    assert domain.addresses("agent") == ("192.0.2.7", "2001:db8::1")


def answering(text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A domain of libvirt whose agent answers this text."""
    from lastcall.hypervisor.domain import LibvirtDomain

    nothing: Any = None
    call: Any = HookCall(run_context(time.monotonic), "any", expires=time.monotonic() + 60)
    domain = LibvirtDomain(nothing, GUEST, call, nothing, None, nothing)

    def ask(*_: object, **__: object) -> str:
        return text

    monkeypatch.setattr(domain, "_ask", ask)
    return domain
