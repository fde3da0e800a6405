"""The program: dispatch, and the one error boundary."""

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from lastcall.cli.invocation import Invocation
from lastcall.errors import ConfigInvalid, ExitCode, LastcallError
from lastcall.formats.reading import Unreadable
from lastcall.formats.secret_text import masked
from lastcall.threads import standard_output

if TYPE_CHECKING:
    from lastcall.cli.completion.candidates import NextWords

INTERRUPTED = 128 + 2  # as a shell says of a program that Ctrl-C has ended
# What the units call, word for word: systemd needs neither help nor completions, and a host that stops no click.
UNIT_CALLS = frozenset({
    ("stamp",), ("shutdown", "--from-unit"), ("shutdown", "--from-unit", "--again"), ("restore", "--from-unit"),
    ("power", "answer"),
})  # fmt: skip
COMPLETION = "_LASTCALL_COMPLETE"  # the variable by which a shell's script asks for completions
TRACE = "LASTCALL_TRACE"  # the variable by which somebody wants every hook call told
RUNS = frozenset({"shutdown", "restore", "sleep"})


def run(arguments: Sequence[str], invocation: Invocation | None = None) -> int:
    """Run the command line and return its exit code; every error ends here."""
    try:
        return _dispatch(arguments, invocation or Invocation())
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except ConfigInvalid as error:
        _show_problems(error)
        return error.exit_code
    except LastcallError as error:
        _say(*error.trace.splitlines(), f"lastcall: {masked(str(error))}", *_remedy(error.remedy))
        return error.exit_code
    except Unreadable as error:
        _say(f"lastcall: {error}", *_remedy(error.remedy))
        return ExitCode.NOT_AS_PLANNED
    # `lastcall report | head` closes our output early: that is no bug, and yet not everything was told.
    except BrokenPipeError:
        return ExitCode.NOT_AS_PLANNED
    except standard_output.OutputLost as error:
        _say(f"lastcall: standard output does not take what is printed: {error.strerror}")
        return ExitCode.NOT_AS_PLANNED
    except Exception:  # noqa: BLE001  the boundary: whatever is left is a bug, and says so
        import traceback

        lines = masked(traceback.format_exc()).rstrip("\n").split("\n")
        _say(*lines, "lastcall: internal error; this is a bug, please report it with the lines above")
        return ExitCode.INTERNAL


def _dispatch(arguments: Sequence[str], invocation: Invocation) -> int:
    if os.environ.get(COMPLETION):  # before everything: what somebody is still writing must not be done
        return _complete(arguments, invocation)
    if tuple(arguments) in UNIT_CALLS:
        from lastcall.cli.unit.calls import answer

        return answer(arguments, invocation)
    from lastcall.cli.group import run_command

    return run_command(arguments, invocation)


def _complete(arguments: Sequence[str], invocation: Invocation) -> int:
    from lastcall.cli.completion.answer import answer_shell

    def others(words: Sequence[str], last: str) -> "NextWords":
        from lastcall.cli.group import find_others  # with click, and plugins: for commands that are none of ours

        return find_others(words, last, invocation)

    return answer_shell(arguments, others)


def _runs(arguments: Sequence[str]) -> bool:
    """Whether the command is one of those that do a run."""
    words = iter(arguments)
    for word in words:
        if word in {"--config", "--color"}:
            next(words, None)
        elif not word.startswith("-"):
            return word in RUNS
    return False


def _show_problems(error: ConfigInvalid) -> None:
    from lastcall.cli.outlet import say_problem

    for problem in error.problems:
        say_problem(problem)
    count = len(error.problems)
    _say(f"lastcall: the configuration has {count} error{'s' if count > 1 else ''}; nothing was done")


def _remedy(text: str) -> list[str]:
    return [f"  → {text}"] if text else []


def _say(*lines: str) -> None:
    from lastcall.cli.outlet import say

    say(*lines)


def _open_missing() -> None:
    """Have all three standard streams: where one is closed, the next file that is opened would become it, and lines of
    ours would end up in the lock, or in the list of guests.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _flushed(*, soon: bool) -> bool:
    """Flush what was printed; whether it was taken. `soon`: in bounded time, as nobody waits for who does not read."""
    try:
        if soon:
            from lastcall.threads.box import Box

            Box().call(_flush, timeout=1.0)
        else:
            _flush()
    # A full disk or a closed pipe may show only here.
    except (OSError, ValueError):
        return False
    return True


def _traced(arguments: Sequence[str], invocation: Invocation) -> int:
    from lastcall.cli.progress import traced  # nobody else pays for it

    with traced(invocation.started):
        return run(arguments, invocation)


def main() -> NoReturn:
    """The program `lastcall`: leaves at once, whatever an abandoned worker or a plugin's thread still does."""
    invocation, arguments = Invocation(), sys.argv[1:]
    runs = _runs(arguments)
    if runs:
        # Unanswered, a signal would end the program between its start and its first request: a host stop that was told
        # of an announcement just then stopped no guest.
        invocation.signals.hold()
    _open_missing()
    standard_output.take()
    # pydantic looks through every installed package for plugins of its own, as root and while the host waits.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    os.umask(0o022)  # who may read what is written, plugins' files and folders too, is not for the caller to decide
    gc.disable()  # until everything is loaded: what imports make lives as long as the process, and has no garbage
    is_traced = os.environ.get(TRACE, "0") not in {"", "0"}
    code = _traced(arguments, invocation) if is_traced else run(arguments, invocation)
    # os._exit flushes nothing. To leave in the ordinary way would wait for a plugin's executor, or for a thread that
    # hangs in libvirt, and with it the host would wait. With 0 somebody would take half a report for the whole.
    if not _flushed(soon=runs):
        code = code or ExitCode.NOT_AS_PLANNED
    os._exit(code)
