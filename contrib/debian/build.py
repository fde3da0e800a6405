"""Builds the packages for Debian, on Debian 12: `make deb`, which puts them into dist/.

One is for Debian 13, which has everything that lastcall needs. The other is for Debian 12 and Ubuntu 24.04: it brings
what these have too old, for every Python up to that of Debian 13, so that it outlives the upgrade to it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tree import HERE, PROJECT, fill, last_change, write

from lastcall.formats.version import __version__

WORK = PROJECT / ".cache" / "deb"
MAINTAINER = "lastcall maintainers <maintainers@lastcall.invalid>"
PYTHONS = ("3.11", "3.12", "3.13")
"""Of Debian 12, Ubuntu 24.04 and Debian 13."""
PLATFORMS = {"amd64": "manylinux2014_x86_64", "arm64": "manylinux2014_aarch64"}


@dataclass(frozen=True, slots=True)
class Target:
    """A package: for which release, by the end of its version, and on what it depends there."""

    name: str
    depends: str
    bundled: bool = False

    @property
    def version(self) -> str:
        """One that every package of the distribution itself would be newer than, as would that of a later release."""
        return f"{__version__}-1~{self.name}"


TARGETS = (
    # Above the last Python that it has a binary for, apt has to find another package, or to refuse: it could not start.
    Target(
        "deb12",
        "python3 (>= 3.11~), python3 (<< 3.14~), python3-bcrypt, python3-cryptography, python3-nacl",
        bundled=True,
    ),
    # Nothing in it belongs to one Python: what does is of the distribution, and is upgraded with it.
    Target(
        "deb13",
        "python3 (>= 3.13~), python3-paramiko (>= 3.4.1), python3-pluggy (>= 1.5), python3-pydantic (>= 2.9)",
    ),
)


def build(target: Target, into: Path) -> Path:
    """Build one package; returns its file. Raises CalledProcessError."""
    tree = WORK / target.name / f"lastcall-{__version__}"
    shutil.rmtree(tree.parent, ignore_errors=True)
    tree.mkdir(parents=True)
    when = last_change()
    with tempfile.TemporaryDirectory() as scratch:
        fill(tree / "usr", _wheels(target, Path(scratch)), zsh="vendor-completions")
    (tree / "usr/share/doc/lastcall/CHANGELOG.md").unlink()  # debhelper makes changelog.gz of it
    write(tree / "usr/share/python3/runtime.d/lastcall.rtupdate", (HERE / "rtupdate").read_text(), mode=0o755)
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copy(PROJECT / name, tree / name)
    _write_debian(tree / "debian", target, when)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": f"{when:.0f}"}
    _run("dpkg-buildpackage", "--build=binary", "--no-sign", folder=tree, environment=environment)
    (made,) = tree.parent.glob("*.deb")
    into.mkdir(exist_ok=True)
    return Path(shutil.move(made, into / made.name))


def _wheels(target: Target, folder: Path) -> list[Path]:
    """Our own, and those that travel with it."""
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, PROJECT)
    for python in PYTHONS if target.bundled else ():
        _download(python, folder)
    return sorted(folder.glob("*.whl"))


def _download(python: str, into: Path) -> None:
    """The wheels that travel with us, for one Python and the processor of this machine."""
    processor = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout
    words = ["--only-binary=:all:", "--no-deps", "--require-hashes", f"--python-version={python}"]
    words += ["--implementation=cp", f"--platform={PLATFORMS[processor.strip()]}", f"--requirement={HERE}/bundled.txt"]
    _run(sys.executable, "-m", "pip", "download", "--quiet", *words, "--dest", into)


def _write_debian(folder: Path, target: Target, when: float) -> None:
    """The folder that debhelper reads."""
    write(folder / "rules", (HERE / "rules").read_text(), mode=0o755)
    write(folder / "source/format", "3.0 (quilt)\n")
    maintainer = _maintainer()
    control = (HERE / "control.in").read_text()
    architecture = "any" if target.bundled else "all"
    for word, value in (("MAINTAINER", maintainer), ("ARCHITECTURE", architecture), ("DEPENDS", target.depends)):
        control = control.replace(f"@{word}@", value)
    write(folder / "control", control)
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(when))
    entry = f"lastcall ({target.version}) unstable; urgency=medium\n\n  * Version {__version__}; see changelog.gz.\n"
    write(folder / "changelog", f"{entry}\n -- {maintainer}  {date}\n")
    for name in ("copyright", "lastcall.install", "lastcall.postinst", "lastcall.prerm", "lastcall.postrm"):
        shutil.copy(HERE / name, folder / name)
    exceptions = ["lintian-overrides", *(["lintian-overrides.bundled"] if target.bundled else [])]
    write(folder / "lastcall.lintian-overrides", "".join((HERE / name).read_text() for name in exceptions))


def _maintainer() -> str:
    """Whoever builds it, as devscripts are told, too."""
    name, address = os.environ.get("DEBFULLNAME"), os.environ.get("DEBEMAIL")
    return f"{name} <{address}>" if name and address else MAINTAINER


def _run(*words: str | Path, folder: Path = PROJECT, environment: dict[str, str] | None = None) -> None:
    """Run a program; what it says is shown where it fails."""
    done = subprocess.run(words, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        done.check_returncode()


def main(arguments: Sequence[str]) -> None:
    """Build them all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="deb12, deb13; else all")
    parser.add_argument("--into", type=Path, default=PROJECT / "dist", help="the folder for the packages")
    given = parser.parse_args(arguments)
    os.umask(0o022)
    for target in TARGETS:
        if not given.targets or target.name in given.targets:
            sys.stdout.write(f"{build(target, given.into)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
