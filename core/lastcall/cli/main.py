"""The program: dispatch, and the one error boundary."""

import gc
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from lastcall.errors import ConfigInvalid, ExitCode, LastcallError

INTERRUPTED = 128 + 2  # as a shell says of a program that Ctrl-C has ended
# What the units call, word for word: systemd needs neither help nor completions, and a host that stops no click.
UNIT_CALLS = frozenset({
    ("stamp",), ("shutdown", "--from-unit"), ("shutdown", "--from-unit", "--again"), ("restore", "--from-unit"),
})  # fmt: skip


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; every error ends here."""
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except ConfigInvalid as error:
        _show_problems(error)
        return error.exit_code
    except LastcallError as error:
        _say(f"lastcall: {error}" + (f"\n  → {error.remedy}" if error.remedy else ""))
        return error.exit_code
    # `lastcall report | head` closes our output early: that is no bug, and yet not everything was told.
    except BrokenPipeError:
        return ExitCode.NOT_AS_PLANNED
    except Exception:  # noqa: BLE001  the boundary: whatever is left is a bug, and says so
        traceback.print_exc()
        _say("lastcall: internal error; this is a bug, please report it with the lines above")
        return ExitCode.INTERNAL


def _dispatch(arguments: Sequence[str]) -> int:
    if tuple(arguments) in UNIT_CALLS:
        from lastcall.cli.unit_calls import answer

        return answer(arguments)
    from lastcall.cli.group import run_command

    return run_command(arguments)


def _show_problems(error: ConfigInvalid) -> None:
    for problem in error.problems:
        _say(f"{problem.where}: {problem.message}" + (f"\n  → {problem.remedy}" if problem.remedy else ""))
    count = len(error.problems)
    _say(f"lastcall: the configuration has {count} error{'s' if count > 1 else ''}; nothing was done")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> NoReturn:
    """The program `lastcall`: leaves at once, whatever an abandoned worker or a plugin's thread still does."""
    # pydantic looks through every installed package for plugins of its own, as root and while the host waits.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # until everything is loaded: what imports make lives as long as the process, and has no garbage
    code = run(sys.argv[1:])
    # os._exit flushes nothing. To leave in the ordinary way would wait for a plugin's executor, or for a thread that
    # hangs in libvirt, and with it the host would wait.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        # A full disk or a closed pipe may show only here; with 0 somebody would take half a report for the whole.
        except (OSError, ValueError):
            code = code or ExitCode.NOT_AS_PLANNED
    os._exit(code)
