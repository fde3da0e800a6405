"""What pip, pipx and uv would download for lastcall, in a folder: a host installs it by the docs, without a network.

And what the author of a plugin has beside it, as `lastcall plugins new` has told him.
"""

import hashlib
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

from lab.cache import made_once
from lab.host import PROJECT

_TOOLS = ("pip", "pipx", "uv", "editables")  # the last is what hatchling asks for where somebody installs `--editable`
OFFLINE = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels UV_OFFLINE=1 UV_FIND_LINKS=/wheels UV_PYTHON_DOWNLOADS=never"
"""Where `/wheels` is the folder: the environment in which nobody asks a package index."""


@cache
def wheels() -> Path:
    """The folder: what lastcall needs and is built with, the tools, an author's; made once per machine and list."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    plugin = tomllib.loads((PROJECT / "contrib/example-plugin/pyproject.toml").read_text())
    of_authors = plugin["project"]["optional-dependencies"]["dev"]
    # What judges his code is what judges ours: a release that knows better must fail its own change, and nobody else's.
    pinned = [one for one in map(str, project["dependency-groups"]["dev"]) if one.startswith(("mypy==", "ruff=="))]
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"], *_TOOLS, *of_authors, *pinned]

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder), *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"pip failed:\n{done.stderr[-4000:]}")

    text = repr([wanted, sys.version_info[:2]])
    return made_once(f"wheels-{hashlib.sha256(text.encode()).hexdigest()[:12]}", make)
