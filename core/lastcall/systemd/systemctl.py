"""Asking and telling systemd, by its own program, in bounded time."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lastcall.errors import LastcallError
from lastcall.hooks.environment import tool_environment

ANSWER_TIME = 5.0  # seconds for a question
ACTION_TIME = 60.0  # seconds for enabling, reloading, starting
BOOTED = Path("/run/systemd/system")


class SystemctlFailed(LastcallError):
    """systemctl failed, or did not answer."""


class SystemctlRefused(SystemctlFailed):
    """systemctl answered, and that it cannot: `said` are its own words."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"{command}: {said}")
        self.said = said


class Systemctl:
    """Runs `systemctl`. Everything raises SystemctlFailed."""

    def ask(self, *words: str) -> str:
        """Ask, and return what it prints."""
        return self._run(words, ANSWER_TIME)

    def tell(self, *words: str) -> str:
        """Have it do something."""
        return self._run(words, ACTION_TIME)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit; a unit that there is not has them, too (`LoadState=not-found`).

        What there may be several of, such as `ExecStop`, is told a line each.
        """
        return self._show((unit,), names)[0]

    def show_all(self, units: Sequence[str], *names: str) -> tuple[list[dict[str, str]], dict[str, str]]:
        """The same, and `Id`, of many units in one question; and who could not be asked about, and why.

        One name that systemd does not take costs only itself.
        """
        if not units:
            return [], {}
        try:
            return self._show(units, ("Id", *names)), {}
        except SystemctlRefused as error:
            if len(units) == 1:
                return [], {units[0]: error.said}
        middle = len(units) // 2
        first, second = (self.show_all(half, *names) for half in (units[:middle], units[middle:]))
        return [*first[0], *second[0]], {**first[1], **second[1]}

    def _show(self, units: Sequence[str], names: Sequence[str]) -> list[dict[str, str]]:
        return _blocks(self.ask("show", *(f"--property={name}" for name in names), "--", *units), names)

    def _run(self, words: tuple[str, ...], timeout: float) -> str:
        command = ["systemctl", "--no-pager", *words]
        shown = " ".join(command)
        environment = tool_environment()
        try:
            done = subprocess.run(
                command, capture_output=True, errors="replace", timeout=timeout, check=False, env=environment
            )
        except OSError as error:
            raise SystemctlFailed(f"{shown}: {(error.strerror or str(error)).lower()}") from None
        except subprocess.TimeoutExpired:
            raise SystemctlFailed(f"{shown}: no answer within {timeout:.0f} s") from None
        if done.returncode:
            raise SystemctlRefused(shown, " ".join(done.stderr.split()) or f"exit code {done.returncode}")
        return done.stdout


def _blocks(text: str, names: Sequence[str]) -> list[dict[str, str]]:
    """What `show` prints: a block for each unit, an empty line between them.

    A command may be of several lines, even empty ones, and stands there as it is. `Id` comes after all commands: before
    it an empty line ends no block.
    """
    blocks: list[dict[str, str]] = [{}]
    name = ""
    for line in text.splitlines():
        key, sign, told = line.partition("=")
        if not line and "Id" in blocks[-1]:
            blocks.append({})
        elif sign and key in names:
            name = key
            _add(blocks[-1], name, told)
        elif name:
            _add(blocks[-1], name, line)
    return [block for block in blocks if block] or [{}]


def _add(block: dict[str, str], name: str, line: str) -> None:
    block[name] = f"{block[name]}\n{line}" if name in block else line


def booted() -> bool:
    """Whether systemd runs this host, as sd_booted(3) finds out."""
    import shutil  # here: in a container, say, there is nothing to look for

    return BOOTED.is_dir() and shutil.which("systemctl") is not None
