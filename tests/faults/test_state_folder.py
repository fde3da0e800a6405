"""A state folder that takes nothing, or only a part: full, read-only, and files that may not grow."""

import pytest

from faults.cases import EVERY, wrong_with
from faults.frames import Way
from faults.rules import Action, Rule
from faults.runs import RESTORE, SHUTDOWNS, Case, Mode
from faults.world import Worlds

FULL = """\
cp state/state.json kept 2>/dev/null || :
mount -t tmpfs -o size=16k lastcall state
cp kept state/state.json 2>/dev/null || :
dd if=/dev/zero of=state/filler bs=4k 2>/dev/null || :
"""
READ_ONLY = "mount --bind state state; mount -o remount,ro,bind state"
BYTES = (200, 400, 1000, 4096) if EVERY else (400,)
"""What a file may grow to: a lock has less, the list of three guests has some 900, and a run log some 6 000."""
CUTS = (None, *range(1, 40, 3)) if EVERY else (None,)
"""Before which message to the daemon the connection is cut besides; None = never."""


def in_a_namespace(setup: str) -> tuple[str, ...]:
    """Words before a program that does this first, with mounts that nobody else sees and that end with it."""
    return ("unshare", "--mount", "sh", "-e", "-c", f'{setup}\nexec "$@"', "sh")


PREFIXES = {
    "full": in_a_namespace(FULL),
    "read-only": in_a_namespace(READ_ONLY),
    **{f"files of {size} bytes": ("prlimit", f"--fsize={size}") for size in BYTES},
}


@pytest.mark.parametrize("where", PREFIXES)
@pytest.mark.parametrize("mode", [*SHUTDOWNS, RESTORE], ids=lambda mode: mode.name)
def test_a_state_folder_that_takes_nothing_stops_no_run_and_makes_none_untrue(
    some_worlds: Worlds, mode: Mode, where: str
) -> None:
    rules = [[Rule(action=Action.CUT, way=Way.TO_DAEMON, message=cut)] if cut else [] for cut in CUTS]
    cases = [Case(mode=mode, rules=rule, what=where, prefix=PREFIXES[where]) for rule in rules]
    wrong = wrong_with(some_worlds, cases)
    assert not wrong, wrong
