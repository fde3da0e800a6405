"""What the recipes for RPM, Arch Linux and Debian say and make, and their scriptlets on a host that is a folder."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lab.patience import LONGEST
from packages.distributions import PROJECT, run, unpacked

CONTRIB = PROJECT / "contrib"
# Answers as the folder says; whatever else it is told, it only notes.
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> "$HOST/told"
case "$*" in *is-enabled*) [ -e "$HOST/enabled" ] ;; *is-active*) [ -e "$HOST/active" ] ;; esac
"""
LASTCALL = '#!/bin/sh\necho "lastcall $*" >> "$HOST/told"\n[ ! -e "$HOST/broken" ]\n'
NOTED = '#!/bin/sh\necho "${0##*/} $*" >> "$HOST/told"\n'
PROGRAMS = {"systemctl": SYSTEMCTL, "lastcall": LASTCALL, "py3compile": NOTED, "py3clean": NOTED, "python3": NOTED}
PLACES = ("/run/systemd/system", "/etc/systemd/system", "/usr/lib/lastcall", "/etc/lastcall", "/var/lib/lastcall")
DROP_IN = "etc/systemd/system/libvirt-guests.service.d/zz-lastcall.conf"


@dataclass(frozen=True, slots=True)
class Moment:
    """What a package manager runs then: a script of sh, a shell function of it, and its argument."""

    script: str
    argument: str
    function: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one package manager calls the scriptlets of a package."""

    install: Moment
    upgrade: tuple[Moment, ...]
    remove: Moment


def scriptlets(distribution: str, rpm: Path) -> Recipe:
    """Of `deb`, `rpm` (of this package) or `arch`, in the order in which they are run."""
    if distribution == "deb":
        text = {name: (CONTRIB / f"debian/lastcall.{name}").read_text() for name in ("postinst", "prerm", "postrm")}
        upgrade = (Moment(text["prerm"], "upgrade 1"), Moment(text["postrm"], "upgrade 1"),
                   Moment(text["postinst"], "configure 1"))  # fmt: skip
        return Recipe(Moment(text["postinst"], "configure ''"), upgrade, Moment(text["prerm"], "remove"))
    if distribution == "rpm":
        told = dict(re.findall(r"^(\w+) scriptlet \(using /bin/sh\):\n(.*?)(?=^\w+ scriptlet|\Z)",
                               run("rpm", "-qp", "--scripts", rpm), re.MULTILINE | re.DOTALL))  # fmt: skip
        after, before, last = told["postinstall"], told["preuninstall"], told["postuninstall"]
        return Recipe(Moment(after, "1"), (Moment(after, "2"), Moment(before, "1"), Moment(last, "1")),
                      Moment(before, "0"))  # fmt: skip
    text = (CONTRIB / "arch/lastcall.install").read_text()
    return Recipe(
        Moment(text, "0.1.0-1", "post_install"),
        (Moment(text, "0.2.0-1 0.1.0-1", "post_upgrade"),),
        Moment((CONTRIB / "arch/give-back").read_text(), ""),
    )


class Stage:
    """A host in a folder, on which scriptlets are run with programs that note what they are told."""

    def __init__(self, folder: Path, *, running: bool = True) -> None:
        self.folder = folder
        for name, text in PROGRAMS.items():
            path = folder / "bin" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        for name in (*PLACES[1:], *PLACES[:1]) if running else PLACES[1:]:
            (folder / name.lstrip("/")).mkdir(parents=True)

    def put_on_duty(self) -> None:
        for name in ("enabled", "active"):
            (self.folder / name).touch()
        self.take_over()

    def take_over(self) -> None:
        """Have libvirt-guests do nothing."""
        path = self.folder / DROP_IN
        path.parent.mkdir(exist_ok=True)
        path.touch()

    def play(self, moment: Moment) -> "subprocess.CompletedProcess[str]":
        text = moment.script.replace("#DEBHELPER#", "")
        for place in PLACES:
            text = text.replace(place, f"{self.folder}{place}")
        if moment.function:
            text += f"\n{moment.function} {moment.argument}\n"
        shell = "bash" if moment.function else "sh"
        environment = {"HOST": str(self.folder), "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        return subprocess.run(
            [shell, "-c", f"set -- {moment.argument}\n{text}"], env=environment, capture_output=True, text=True,
            check=False, timeout=LONGEST,
        )  # fmt: skip

    def told(self) -> list[str]:
        """What the programs were told, one call a line."""
        path = self.folder / "told"
        return path.read_text().splitlines() if path.exists() else []


def build_rpm(sdist: Path, folder: Path) -> Path:
    """The package that rpmbuild makes of an sdist. What it is to be built with is in this environment, not in RPM's."""
    (folder / "SOURCES").mkdir(parents=True)
    (folder / "SOURCES" / sdist.name).symlink_to(sdist)
    run("rpmbuild", "-bb", "--nodeps", "--define", f"_topdir {folder}", CONTRIB / "rpm/lastcall.spec",
        environment=_environment())  # fmt: skip
    (made,) = folder.glob("RPMS/noarch/*.rpm")
    return made


def build_arch(sdist: Path, folder: Path) -> Path:
    """The folder that is packed in the end, by the functions of the PKGBUILD, as makepkg calls them one by one."""
    source, package = folder / "src", folder / "pkg"
    for one in (source, package):
        one.mkdir(parents=True)
    unpacked(sdist, source)
    for function in ("build", "check", "package"):
        script = f"set -e; cd {source}; srcdir={source} pkgdir={package}; . {CONTRIB}/arch/PKGBUILD; {function}"
        run("bash", "-c", script, environment=_environment())
    return package


def pkgbuild(name: str) -> list[str]:
    """A variable of the PKGBUILD, as makepkg reads it."""
    return run("bash", "-c", f'. {CONTRIB}/arch/PKGBUILD; printf "%s\\n" "${{{name}[@]}}"').splitlines()


def _environment() -> dict[str, str]:
    """Its `python3` is the one that runs the tests."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SOURCE_DATE_EPOCH": "1700000000"}
