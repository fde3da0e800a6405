"""Plugins as `lastcall plugins new` writes them, and environments that somebody else would have for them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.wheels import wheels
from packages.distributions import run

_UV = Path(sys.executable).with_name("uv")
_HOST = """\
connections: ["test:///default"]
paths: {{state: {host}/state, run: {host}/run, hooks: {host}/hooks.d}}
plugins: {{{plugin}: {{file: {host}/said}}}}
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is asked of `lastcall plugins new`."""

    name: str
    offers: Sequence[str] = ()

    @property
    def words(self) -> list[str]:
        """Its arguments."""
        return [self.name, *(f"--{offer}" for offer in self.offers)]

    @property
    def plugin(self) -> str:
        """What the plugin is called in a configuration."""
        return self.name.replace("-", "_")

    def __str__(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment in which nothing but lastcall and what is installed into it can be imported."""

    folder: Path
    lastcall: Path
    """Today's wheel."""

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / "bin/python"

    def make(self, *wanted: str | Path) -> "Environment":
        """Make it, with pip, lastcall, and these beside them, from wheels alone."""
        run(_UV, "venv", "--quiet", "--no-config", "--python", sys.executable, self.folder)
        self._install("pip", self.lastcall, *wanted)
        return self

    def _install(self, *wanted: str | Path) -> None:
        only = ("--no-config", "--no-index", "--find-links", wheels())
        run(_UV, "pip", "install", "--quiet", "--python", self.python, *only, *wanted)

    def run(
        self, command: str | Sequence[str | Path], folder: Path, *, config: Path | None = None, code: int = 0
    ) -> str:
        """Run a line of a shell, or a program, that has to end so; returns what it prints."""
        environment = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8",
            "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"{wheels()} {self.lastcall.parent}", "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1",
            **({"LASTCALL_CONFIG": str(config)} if config else {}),
        }  # fmt: skip
        words: Sequence[str | Path] = ["sh", "-ec", command] if isinstance(command, str) else command
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


def write(kind: Kind, environment: Environment, folder: Path) -> Path:
    """Have the program write it; returns its folder."""
    environment.run(["lastcall", "plugins", "new", *kind.words], folder)
    return folder / f"lastcall-{kind.name}"


def steps(package: Path) -> list[str]:
    """What its CI runs, but for what it has apt bring."""
    workflow: Any = yaml.safe_load((package / ".github/workflows/test.yml").read_text())
    lines = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    return [line for line in lines if "apt-get" not in line]


def pretended_host(folder: Path, plugin: str, more: str = "") -> Path:
    """A configuration for `test:///default` that keeps everything in the folder."""
    (folder / "hooks.d").mkdir(parents=True)
    config = folder / "config.yaml"
    config.write_text(_HOST.format(host=folder, plugin=plugin) + more)
    return config
