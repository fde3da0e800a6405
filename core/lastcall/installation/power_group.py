"""Who may say what is with the power, beside root: the members of a group, through a socket of theirs."""

from collections.abc import Callable, Iterator
from pathlib import Path

from lastcall.installation.steps import InstallStep, remove_step, write_step
from lastcall.systemd.units import POWER_SOCKET, SOCKET_NAME, UNITS

_DROP_IN = UNITS / f"{POWER_SOCKET}.d" / "group.conf"
_TEXT = """\
# Written by `lastcall install --power-group {group}`; `lastcall install --no-power-group` takes it away.
[Socket]
SocketGroup={group}
"""


def is_open(root: Path) -> bool:
    """Whether a group has the socket."""
    return (root / _DROP_IN).exists()


def open_steps(tell: Callable[..., object], root: Path, group: str) -> Iterator[InstallStep]:
    """Give it to a group that there is. `tell` tells systemctl."""
    yield write_step(root / _DROP_IN, _TEXT.format(group=group.replace("%", "%%")))
    yield InstallStep("systemctl daemon-reload", lambda: tell("daemon-reload"))
    yield InstallStep(f"enable {POWER_SOCKET}", lambda: tell("enable", POWER_SOCKET))
    # Not `--now`: one that listens already has the group of before.
    yield InstallStep(f"restart {POWER_SOCKET}", lambda: tell("restart", POWER_SOCKET))


def close_steps(tell: Callable[..., object], root: Path, run: Path) -> Iterator[InstallStep]:
    """Have nobody but root say anything any more. `run`: the folder with the socket."""
    yield InstallStep(f"stop and disable {POWER_SOCKET}", lambda: tell("disable", "--now", POWER_SOCKET))
    yield remove_step(root / _DROP_IN)
    yield remove_step(run / SOCKET_NAME)  # whoever finds one waits for somebody to listen
    yield InstallStep("systemctl daemon-reload", lambda: tell("daemon-reload"))
