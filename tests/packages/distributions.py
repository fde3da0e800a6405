"""What is given to others, built as CONTRIBUTING.md has it, but offline: by the backend of this environment."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

PROJECT = Path(__file__).parents[2]
MOMENT = "1700000000"
"""Of a build, in seconds since the epoch."""


def build(target: str, into: Path, *, source: Path = PROJECT, umask: int = 0o022, moment: str = MOMENT) -> Path:
    """Build the `wheel` or the `sdist` of a source tree; returns its file."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": moment}
    run(*command, folder=source, environment=environment, umask=umask)
    (made,) = into.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


def unpacked(sdist: Path, into: Path) -> Path:
    """The one folder that an sdist has."""
    with tarfile.open(sdist) as packed:
        packed.extractall(into, filter="data")
    (folder,) = into.iterdir()
    return folder


def run(*words: str | Path, folder: Path = PROJECT, environment: dict[str, str] | None = None, umask: int = -1) -> str:
    """Run a program that has to succeed; returns what it prints."""
    done = subprocess.run(words, cwd=folder, env=environment, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked(*folders: str) -> set[str]:
    """The files of the repository below these folders, by their paths in it; those that are new, too."""
    words = ["git", "-c", f"safe.directory={PROJECT}", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = run(*words, "--", *folders)
    return {name for name in listed.split("\0") if name and (PROJECT / name).exists()}
