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
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from man_page import man_page

from lastcall.formats.version import __version__
from lastcall.installation.completion import FOLDERS, completions
from lastcall.installation.packaged import PACKAGED_UNITS, packaged_units

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
WORK = PROJECT / ".cache" / "deb"
MAINTAINER = "lastcall maintainers <maintainers@lastcall.invalid>"
PYTHONS = ("3.11", "3.12", "3.13")
"""Of Debian 12, Ubuntu 24.04 and Debian 13."""
PLATFORMS = {"amd64": "manylinux2014_x86_64", "arm64": "manylinux2014_aarch64"}
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/lastcall",
    "zsh": "usr/share/zsh/vendor-completions/_lastcall",
    "fish": "usr/share/fish/vendor_completions.d/lastcall.fish",
}
DOCS = ("README.md", "SECURITY.md", "docs", "contrib/ups", "contrib/example-plugin", "contrib/systemd/hardening.conf")


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
        "python3 (>= 3.13~), python3-paramiko (>= 3.4), python3-pluggy (>= 1.5), python3-pydantic (>= 2.5)",
    ),
)


def build(target: Target, into: Path) -> Path:
    """Build one package; returns its file. Raises CalledProcessError."""
    tree = WORK / target.name / f"lastcall-{__version__}"
    shutil.rmtree(tree.parent, ignore_errors=True)
    tree.mkdir(parents=True)
    when = _last_change()
    _fill(tree / "usr", target, when)
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copy(PROJECT / name, tree / name)
    _write_debian(tree / "debian", target, when)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": f"{when:.0f}"}
    _run("dpkg-buildpackage", "--build=binary", "--no-sign", folder=tree, environment=environment)
    (made,) = tree.parent.glob("*.deb")
    into.mkdir(exist_ok=True)
    return Path(shutil.move(made, into / made.name))


def _fill(usr: Path, target: Target, when: float) -> None:
    """Everything as it is to lie below /usr."""
    site = usr / "lib/lastcall"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, PROJECT)
        for python in PYTHONS if target.bundled else ():
            _download(python, folder)
        for wheel in sorted(folder.glob("*.whl")):
            _unpack(wheel, site)
    script = site / "lastcall/systemd/last-line.sh"
    script.chmod(0o755)
    (site / "last-line").symlink_to(script.relative_to(site))
    _write(usr / "bin/lastcall", (HERE / "program.py").read_text(), mode=0o755)
    _write(usr / "share/python3/runtime.d/lastcall.rtupdate", (HERE / "rtupdate").read_text(), mode=0o755)
    for name, text in packaged_units().items():
        _write(usr.parent / PACKAGED_UNITS / name, text)
    date = f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d}"
    _write(usr / "share/man/man1/lastcall.1", man_page(date))
    texts = dict(completions())
    for shell, path in FOLDERS.items():
        _write(usr.parent / COMPLETIONS[shell], texts[path])
    _examples(usr / "share/doc/lastcall")


def _download(python: str, into: Path) -> None:
    """The wheels that travel with us, for one Python and the processor of this machine."""
    processor = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout
    words = ["--only-binary=:all:", "--no-deps", "--require-hashes", f"--python-version={python}"]
    words += ["--implementation=cp", f"--platform={PLATFORMS[processor.strip()]}", f"--requirement={HERE}/bundled.txt"]
    _run(sys.executable, "-m", "pip", "download", "--quiet", *words, "--dest", into)


def _unpack(wheel: Path, site: Path) -> None:
    """A wheel's modules. Those of one package for several Pythons lie side by side: their binaries' names differ."""
    with zipfile.ZipFile(wheel) as packed:
        for name in packed.namelist():
            # Licences are in debian/copyright, and what RECORD lists would be wrong for more wheels than one.
            if ".data/" not in name and not name.endswith(("/RECORD", "/LICENSE", "/top_level.txt")):
                packed.extract(name, site)


def _examples(folder: Path) -> None:
    """The documentation, and what its pages lead to, by the paths that they name."""
    for name in DOCS:
        source, target = PROJECT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.py[co]", "rooms.py"))
        else:
            shutil.copy(source, target)
    shutil.copytree(PROJECT / "hooks.d", folder / "examples/hooks.d", ignore=shutil.ignore_patterns("__pycache__"))


def _write_debian(folder: Path, target: Target, when: float) -> None:
    """The folder that debhelper reads."""
    _write(folder / "rules", (HERE / "rules").read_text(), mode=0o755)
    _write(folder / "source/format", "3.0 (quilt)\n")
    maintainer = _maintainer()
    control = (HERE / "control.in").read_text()
    architecture = "any" if target.bundled else "all"
    for word, value in (("MAINTAINER", maintainer), ("ARCHITECTURE", architecture), ("DEPENDS", target.depends)):
        control = control.replace(f"@{word}@", value)
    _write(folder / "control", control)
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(when))
    entry = f"lastcall ({target.version}) unstable; urgency=medium\n\n  * Version {__version__}; see changelog.gz.\n"
    _write(folder / "changelog", f"{entry}\n -- {maintainer}  {date}\n")
    for name in ("copyright", "lastcall.install", "lastcall.postinst", "lastcall.prerm", "lastcall.postrm"):
        shutil.copy(HERE / name, folder / name)
    exceptions = ["lintian-overrides", *(["lintian-overrides.bundled"] if target.bundled else [])]
    _write(folder / "lastcall.lintian-overrides", "".join((HERE / name).read_text() for name in exceptions))


def _maintainer() -> str:
    """Whoever builds it, as devscripts are told, too."""
    name, address = os.environ.get("DEBFULLNAME"), os.environ.get("DEBEMAIL")
    return f"{name} <{address}>" if name and address else MAINTAINER


def _last_change() -> float:
    """When the sources were changed last, in seconds since the epoch: of the same sources the same package is made."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return float(given)
    words = ["git", "-C", str(PROJECT), "log", "-1", "--format=%ct"]
    told = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return float(told) if told else (PROJECT / "CHANGELOG.md").stat().st_mtime


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


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
