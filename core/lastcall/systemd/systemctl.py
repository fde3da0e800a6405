"""Asking and telling systemd, by its own program, in bounded time."""

import subprocess
from pathlib import Path

from lastcall.errors import LastcallError
from lastcall.hooks.environment import tool_environment

ANSWER_TIME = 5.0  # seconds for a question
ACTION_TIME = 60.0  # seconds for enabling, reloading, starting
BOOTED = Path("/run/systemd/system")


class SystemctlFailed(LastcallError):
    """systemctl failed, or did not answer."""


class Systemctl:
    """Runs `systemctl`. Everything raises SystemctlFailed."""

    def ask(self, *words: str) -> str:
        """Ask, and return what it prints."""
        return self._run(words, ANSWER_TIME)

    def tell(self, *words: str) -> str:
        """Have it do something."""
        return self._run(words, ACTION_TIME)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit; a unit that there is not has them, too (`LoadState=not-found`)."""
        text = self.ask("show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

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
            raise SystemctlFailed(f"{shown}: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
        return done.stdout


def booted() -> bool:
    """Whether systemd runs this host, as sd_booted(3) finds out."""
    import shutil  # here: in a container, say, there is nothing to look for

    return BOOTED.is_dir() and shutil.which("systemctl") is not None
