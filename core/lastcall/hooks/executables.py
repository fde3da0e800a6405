"""Executable drop-ins: any program as the implementation of a hook."""

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from lastcall.api.guests import Guest
from lastcall.api.results import GuestResult
from lastcall.api.run import Run
from lastcall.errors import HookFailed, Skip, in_words
from lastcall.formats.json_text import to_json
from lastcall.formats.reading import open_trusted
from lastcall.hooks.environment import UMASK
from lastcall.hooks.isolation.busy_reasons import MOST
from lastcall.timing.budget import KILLING, TERMINATION

SKIPPED = 75  # EX_TEMPFAIL, sysexits.h
NOT_READY = BUSY = 1
_LINGER = (
    0.2  # seconds in which output of a process that has exited is still read; a background child may hold the pipe
)
_CHUNK = 65_536  # bytes
_LONGEST = 4000  # bytes of a line: a program that prints no line end must not fill the memory of the run
# A program that prints without end would take the interpreter from the loop thread: it waits for us instead.
_BREATH = 0.001  # seconds after each chunk


def executable_hook(path: Path, hook: str) -> Callable[..., Any]:
    """Make a hook implementation that runs the program at `path`, by that path so that `$0` means something."""

    def run_executable(**arguments: Any) -> bool | Sequence[str] | None:
        run: Run = arguments.pop("run")
        # Then run by its path: run through the descriptor, a script's $0 is
        # /proc/self/fd/3 and finds nothing beside it.
        os.close(open_trusted(path))  # it may have changed since it was found
        state = _state(run)
        environment = _environment(hook, run, state, arguments.get("guest"), arguments.get("result"))
        process = _Process(path, environment, _facts(hook, run, state, arguments), run)
        return _verdict(hook, process.wait(), process.first_lines)

    return run_executable


def _verdict(hook: str, code: int, lines: Sequence[str]) -> bool | Sequence[str] | None:
    if hook in {"guest_busy", "guest_waits"} and code == BUSY:
        return lines or ("it says so",)
    if hook == "guest_ready":
        # Any other code is no opinion: a check that is broken must not keep a guest from counting as ready.
        return {0: True, NOT_READY: False}.get(code)
    if code == SKIPPED:
        raise Skip(f"exit code {SKIPPED}")
    if code < 0:
        raise HookFailed(f"killed by {signal.Signals(-code).name}")
    if code:
        raise HookFailed(f"exit code {code}")
    return None


def _state(run: Run) -> str:
    """The folder that is kept for it; nothing where it cannot be made, as a full disk must cost no guest its hook."""
    try:
        return str(run.folder)
    except OSError as error:
        run.log(f"LASTCALL_STATE is empty: {in_words(error)}")
        return ""


def _environment(hook: str, run: Run, state: str, guest: Guest | None, result: GuestResult | None) -> dict[str, str]:
    return {
        **run.environment(guest),
        "LASTCALL_HOOK": hook,
        "LASTCALL_TIMEOUT": f"{_own_time(run):.1f}",
        "LASTCALL_STATE": state,
        **({"LASTCALL_OUTCOME": result.outcome.value} if result else {}),
    }


def _facts(hook: str, run: Run, state: str, arguments: dict[str, Any]) -> str:
    # What is in it is promised, by docs/authors/executables.md: fields are added, and none is taken away.
    facts: dict[str, Any] = {
        "version": 1,
        "hook": hook,
        "run": {
            "id": run.id,
            "kind": run.kind,
            "reason": run.reason,
            "voluntary": run.voluntary,
            "rehearsal": run.rehearsal,
        },
        "state": state,
        "timeout": _own_time(run),
        "deadline": run.run_remaining(),
        **arguments,
    }
    if "guest" not in arguments:
        facts["guests"] = run.guests
    return to_json(facts)


def _own_time(run: Run) -> float:
    """Seconds the program gets: some of the call is kept for ending it."""
    remaining = run.remaining()
    return remaining - KILLING.of(remaining)


class _Process:
    """A program in a process group of its own, its output going line by line into the run log."""

    def __init__(self, path: Path, environment: dict[str, str], facts: str, run: Run) -> None:
        self._run = run
        self.first_lines: list[str] = []
        """What it has said, as far as that may be the answer to a question."""
        self._until = time.monotonic() + _own_time(run)
        self._partial, self._lost = b"", 0  # the line that has not ended yet, and how many bytes of it are left out
        with _as_file(facts) as stdin:
            self._process = subprocess.Popen(
                # A session of its own, so that everything it starts can be ended with it.
                # In / as a child that stays where we were called keeps that file system from being unmounted.
                [path], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", env=environment,
                start_new_session=True, umask=UMASK,
            )  # fmt: skip

    def wait(self) -> int:
        """Return the exit code; at the end of its time the group is terminated, then killed, and HookFailed raised."""
        try:
            ended = self._read_until_exit()
        finally:
            if self._process.poll() is None:
                self._end_group()
            if self._process.stdout:
                self._process.stdout.close()
            self._flush()
        if not ended:
            raise TimeoutError("its time was up; its process group was ended")
        return self._process.returncode

    def _read_until_exit(self) -> bool:
        assert self._process.stdout is not None  # noqa: S101  asked for above
        output = self._process.stdout
        os.set_blocking(output.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            open_, exited_at = True, None
            while (now := time.monotonic()) < self._until:
                if exited_at is None and self._process.poll() is not None:
                    exited_at = now
                # The exit counts and not the end of the output, which a background
                # child may keep open for as long as it lives.
                if exited_at is not None and (not open_ or now >= exited_at + _LINGER):
                    return True
                if open_ and selector.select(0.05):
                    open_ = self._read(output)
                elif not open_:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(0.05)
        # Its exit may fall into the last moment of its time: that is an end, and no overrun.
        return self._process.poll() is not None

    def _read(self, output: IO[bytes]) -> bool:
        try:
            chunk = os.read(output.fileno(), _CHUNK)
        except BlockingIOError:
            return True
        self._take(chunk)
        if len(chunk) == _CHUNK:
            time.sleep(_BREATH)
        return bool(chunk)

    def _take(self, chunk: bytes) -> None:
        if self._lost:
            rest, end, chunk = chunk.partition(b"\n")
            self._lost += len(rest)
            if not end:
                return
            self._flush()
        # Whole lines at once: how many of them are wanted the run knows, and to split all of them would take long.
        lines, end, line = (self._partial + chunk).rpartition(b"\n")
        if end:
            self._log(lines)
        self._partial, self._lost = line[:_LONGEST], max(0, len(line) - _LONGEST)

    def _flush(self) -> None:
        cut = f"… cut: {self._lost} more bytes left out" if self._lost else ""
        if self._partial:
            self._log(self._partial + cut.encode())
        self._partial, self._lost = b"", 0

    def _log(self, lines: bytes) -> None:
        text = lines.decode(errors="replace")
        self.first_lines += text.splitlines()[: MOST - len(self.first_lines)]
        self._run.log(text)

    def _end_group(self) -> None:
        # Within the time box, some of which is kept for this: abandoned with its worker the program would go on unseen.
        for number, wait in ((signal.SIGTERM, TERMINATION.of(self._run.remaining())), (signal.SIGKILL, 1.0)):
            with contextlib.suppress(ProcessLookupError):
                # The whole group: of a shell script that is killed alone, the command that hangs lives on.
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.05, wait))
                break


@contextlib.contextmanager
def _as_file(text: str):
    """Standard input from a file: a program that never reads it cannot block us, as a pipe would."""
    with tempfile.TemporaryFile() as file:
        file.write(text.encode())
        file.seek(0)
        yield file
