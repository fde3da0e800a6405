"""Has the restore unit begun again in a while, as long as guests wait for what they need for their start."""

import contextlib
import subprocess

from lastcall.hooks.environment import tool_environment
from lastcall.systemd.units import RESTORE

PAUSE = "1min"
TIME = 5.0  # seconds for systemd to answer
_TIMER = "lastcall-again"


def begin_again() -> None:
    """Set a timer, which a reboot forgets; one that is set already stays.

    Not by the unit's own Restart=: it stays failed meanwhile, which whoever watches units sees. On systemd 252 one that
    waited to be restarted was inactive.
    """
    words = ["systemd-run", "--quiet", "--collect", f"--on-active={PAUSE}", f"--unit={_TIMER}"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = [*words, "systemctl", "start", "--no-block", RESTORE]
        subprocess.run(command, check=False, capture_output=True, timeout=TIME, env=tool_environment())
