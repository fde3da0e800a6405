"""The frame around commands, with the shells that guests have: dash and busybox."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lab.patience import LONGEST, wait_until
from lastcall import CommandResult, CommandTimeout, ShellLost, ShellRefused
from lastcall.guest_shell.command_wrapper import wrap_command

BUSYBOX = [shutil.which("busybox") or "/bin/busybox", "sh"]
SHELLS = pytest.mark.parametrize("shell", [["/bin/sh"], BUSYBOX], ids=["sh", "busybox"])
MARK = f"LASTCALL_TEST={secrets.token_hex(8)}".encode()
MARKED = {**os.environ, "LASTCALL_TEST": MARK.decode().partition("=")[2]}
NASTY = ["a b", "$(touch /tmp/no)", "`id`", "'\"\\", "new\nline", "ümläut ☃", "-n", "", "*", "$HOME;x"]


def perform(shell: Sequence[str], argv: Sequence[str], *, timeout: float = LONGEST, **options: Any) -> CommandResult:
    frame = wrap_command(argv, timeout=timeout, **options)
    began = time.monotonic()
    command = [*shell, *frame.command.argv[1:]]
    done = subprocess.run(command, input=frame.command.input, capture_output=True, timeout=LONGEST, env=MARKED)
    texts = [data.decode("utf-8", "surrogateescape") for data in (done.stdout, done.stderr)]
    raw = CommandResult(
        exit_code=done.returncode, stdout=texts[0], stderr=texts[1], truncated=False,
        duration=time.monotonic() - began, shell="test",
    )  # fmt: skip
    return frame.read(raw)


def running(words: str) -> list[int]:
    """Processes of this module's frames whose command line fits the expression: known by a variable that they inherit,
    as the parent of many is gone by then.
    """
    found = list[int]()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            ours = MARK in (folder / "environ").read_bytes()
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if ours and re.search(words, line):
                found.append(int(folder.name))
    return found


def kill(words: str) -> None:
    """Leave none of them behind."""
    for pid in running(words):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@SHELLS
def test_every_word_arrives_as_it_is(shell: list[str]) -> None:
    assert perform(shell, ["printf", "%s\\0", *NASTY]).stdout == "".join(f"{word}\0" for word in NASTY)


@SHELLS
def test_output_input_environment_and_exit_code_are_the_commands_own(shell: list[str]) -> None:
    script = 'cat; echo error >&2; printf %s "$SECRET"; exit 7'
    result = perform(shell, ["/bin/sh", "-c", script], stdin=b"given\n", env={"SECRET": "it's\n$x"})
    assert (result.exit_code, result.stdout, result.stderr, result.truncated) == (
        7, "given\nit's\n$x", "error\n", False,
    )  # fmt: skip


@SHELLS
def test_twenty_megabytes_on_both_streams_are_bounded_and_the_command_does_not_notice(shell: list[str]) -> None:
    script = "(yes out | head -c 20000000) & yes err | head -c 20000000 >&2; wait; exit 3"
    result = perform(shell, ["/bin/sh", "-c", script])
    assert (result.exit_code, len(result.stdout), len(result.stderr), result.truncated) == (3, 262_144, 262_144, True)


@SHELLS
def test_a_command_that_ignores_sigterm_is_killed_with_its_children(shell: list[str]) -> None:
    script = "trap '' TERM; sleep 4711 & sleep 4711"
    with pytest.raises(CommandTimeout, match="within 1 s and was killed"):
        perform(shell, ["/bin/sh", "-c", script], timeout=1)
    assert running("sleep 4711") == []


@SHELLS
def test_when_nobody_listens_any_more_the_command_is_killed_all_the_same(shell: list[str]) -> None:
    """Who waits for it has the same time, and often hangs up a moment before."""
    frame = wrap_command(["sleep", "4716"], timeout=3)
    command = [*shell, *frame.command.argv[1:]]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=MARKED
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(frame.command.input)
        process.stdin.close()
        wait_until(lambda: running("^sleep 4716"), "the command runs", process=process.pid, pause=0.02)
        process.stdout.close()
        process.stderr.close()
        try:
            process.wait(LONGEST)
            assert running("sleep 4716") == []
        finally:
            process.kill()
            kill("sleep 4716")


@SHELLS
def test_a_background_process_that_keeps_the_output_open_holds_nobody_up_and_lives_on(shell: list[str]) -> None:
    result = perform(shell, ["/bin/sh", "-c", "echo started; sleep 4712 & exit 5"])
    try:
        assert (result.exit_code, result.stdout, result.truncated) == (5, "started\n", True)
        assert running("sleep 4712"), "it was not waited for"
    finally:
        kill("sleep 4712")


@SHELLS
def test_another_user_gets_his_home_and_nobody_sees_the_environment_in_a_process_list(shell: list[str]) -> None:
    script = "id -un; echo $HOME; ps -eo args 2> /dev/null || ps"
    result = perform(shell, ["/bin/sh", "-c", script], user="nobody", env={"TOKEN": "very-secret-indeed"})
    assert result.stdout.startswith("nobody\n/nonexistent\n")
    assert "very-secret-indeed" not in result.stdout


@SHELLS
def test_a_user_who_is_not_there_is_refused_before_anything_is_started(shell: list[str]) -> None:
    with pytest.raises(ShellRefused, match="no user nosuchuser"):
        perform(shell, ["touch", "/tmp/lastcall-must-not-be"], user="nosuchuser")


def test_a_program_that_is_not_there_is_exit_code_127(tmp_path: object) -> None:
    assert perform(["/bin/sh"], ["nosuchprogram"]).exit_code == 127


def test_what_no_system_call_takes_is_refused() -> None:
    with pytest.raises(ShellRefused, match="NUL"):
        wrap_command(["echo", "a\0b"], timeout=1)
    with pytest.raises(ShellRefused, match="no name for an environment variable"):
        wrap_command(["true"], timeout=1, env={"A;B": ""})


def test_a_frame_that_was_cut_off_is_a_lost_command_and_a_login_that_runs_something_else_is_refused() -> None:
    frame = wrap_command(["true"], timeout=1)

    def result(code: int) -> CommandResult:
        return CommandResult(exit_code=code, stdout="", stderr="", truncated=False, duration=0, shell="")

    with pytest.raises(ShellLost):
        frame.read(result(137))
    with pytest.raises(ShellRefused, match="something else"):
        frame.read(result(1))
    with pytest.raises(ShellRefused, match="no usable /bin/sh"):
        frame.read(result(127))
