"""What an administrator may choose beside the installation itself: a check every hour, and who else may read."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lastcall.errors import UsageError
from lastcall.formats.values import value
from lastcall.installation.power_group import close_steps, is_open, open_steps
from lastcall.installation.steps import InstallStep
from lastcall.persistence.files import PRIVATE, READERS, private_folder, readers_of
from lastcall.systemd.systemctl import Systemctl
from lastcall.systemd.units import CHECK_TIMER

NOBODY = ""
# Of the state folder; anything else there is root's alone.
_READ = ("state.json", "history.json", "seen.json", "drill.json", "last-plan.json")
_SAID = ("announcement.json", "power.json", "outage.json")  # of the other one
_LOGS = "runs"


@value(kw_only=True)
class Choices:
    """`check_timer`: have a check every hour, or not any more. `readers`: the group whose members may read the list of
    guests, run logs and announcements; NOBODY = root alone. `speakers`: the group whose members may say what is with
    the power; NOBODY = root alone. None = as it was, which the units and the folders know.
    """

    check_timer: bool | None = None
    readers: str | None = None
    speakers: str | None = None

    def steps(self, systemctl: Systemctl, state: Path, run: Path, root: Path = Path("/")) -> Iterator[InstallStep]:
        """Carry them out; raises UsageError for a group that is not there. `root`: where the units are."""
        if self.check_timer is not None:
            verb, told = ("enable", "enable and start") if self.check_timer else ("disable", "stop and disable")
            yield InstallStep(f"{told} {CHECK_TIMER}", lambda: systemctl.tell(verb, "--now", CHECK_TIMER))
        if self.readers:
            group, told = _group(self.readers), f"have members of the group {self.readers} read {state}"
            yield InstallStep(told, lambda: _give(state, run, group), ("what plugins keep there stays root's alone",))
        elif self.readers is not None:
            yield from _take_back_steps(state, run)
        if self.speakers:
            _group(self.speakers)  # raises before anything is done
            yield from open_steps(systemctl.tell, root, self.speakers)
        elif self.speakers is not None and is_open(root):
            yield from close_steps(systemctl.tell, root, run)


def undo_steps(
    tell: Callable[..., object], state: Path, run: Path, root: Path, *, timer: bool
) -> Iterator[InstallStep]:
    """Take back what was chosen. `tell` tells systemctl; `timer`: its unit is there. `root`: where the units are."""
    if is_open(root):
        yield from close_steps(tell, root, run)
    if timer:
        yield InstallStep(f"stop and disable {CHECK_TIMER}", lambda: tell("disable", "--now", CHECK_TIMER))
    yield from _take_back_steps(state, run)


def _take_back_steps(state: Path, run: Path) -> Iterator[InstallStep]:
    if readers_of(state) is not None:
        yield InstallStep(f"have nobody but root read {state}", lambda: _take_back(state, run))


def _group(name: str) -> int:
    import grp  # here: hardly anybody asks for it

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise UsageError(
            f"there is no group {name}", f"`getent group` lists them, `groupadd {name}` makes it"
        ) from None


def _give(state: Path, run: Path, group: int) -> None:
    # First what is in it: from the folder's own mode on, whatever is written there is for the group.
    private_folder(state / _LOGS)
    _set(_modes(state, READERS, 0o2750) | _modes_of_run(run, READERS, 0o2755), group)
    _set({state: 0o2750}, group)


def _take_back(state: Path, run: Path) -> None:
    _set({state: 0o700}, 0)
    _set(_modes(state, PRIVATE, 0o700) | _modes_of_run(run, PRIVATE, 0o755), 0)


def _modes(state: Path, file: int, folder: int) -> dict[Path, int]:
    logs = state / _LOGS
    return {**{state / name: file for name in _READ}, **dict.fromkeys(logs.glob("*.jsonl"), file), logs: folder}


def _modes_of_run(run: Path, file: int, folder: int) -> dict[Path, int]:
    return {**{run / name: file for name in _SAID}, run: folder}


def _set(modes: Mapping[Path, int], group: int) -> None:
    """Set group and mode of what is there, links left alone."""
    for path, mode in modes.items():
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            found = os.fstat(descriptor).st_mode
            if stat.S_ISREG(found) or stat.S_ISDIR(found):
                os.fchown(descriptor, -1, group)
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
