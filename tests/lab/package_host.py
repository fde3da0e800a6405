"""Hosts on which lastcall comes as a package: Debian 12 and 13 as they are, without compilers and without pip.

What apt would download is in its cache already, so that `apt-get install ./lastcall_….deb` needs no network.
"""

import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from lab.cache import made_once
from lab.host import PACKAGES, PROJECT, SETUP, Host, connected, host, package_sources

RELEASES = {"bookworm": "deb12", "trixie": "deb13"}
"""Of Debian, and what the versions of our packages for them end in."""
_SKIP = ("--skip=cleanup/apt/lists", "--skip=cleanup/apt/cache")
_FETCH = """\
rm -f "$1"/var/cache/apt/archives/*.deb
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
apt-get --yes --option Apt::Install-Recommends=false --download-only install {wanted}
"""
_UPGRADE = """\
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet --yes --option Apt::Install-Recommends=false install {wanted}
sed -i s/bookworm/trixie/g $(find /etc/apt -name '*.sources' -o -name '*.list')
apt-get --quiet update
apt-get --quiet --yes --download-only full-upgrade
apt-get --quiet --yes --option Apt::Install-Recommends=false --download-only install {later}
"""


def build_packages(into: Path) -> dict[str, Path]:
    """Our packages by the releases that they are for, as `make deb` builds them."""
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}/core:{PROJECT}/plugins"}
    _run(sys.executable, PROJECT / "contrib/debian/build.py", "--into", into, environment=environment)
    return {release: next(into.glob(f"*~{ending}_*.deb")) for release, ending in RELEASES.items()}


def newer(package: Path, into: Path) -> Path:
    """The same package as its next version, whose unit says so."""
    with tempfile.TemporaryDirectory() as scratch:
        _run("dpkg-deb", "--raw-extract", package, scratch)
        control, unit = Path(scratch, "DEBIAN/control"), Path(scratch, "usr/lib/systemd/system/lastcall.service")
        control.write_text(re.sub(r"^(Version: .*)", r"\1+1", control.read_text(), flags=re.MULTILINE))
        unit.write_text(unit.read_text().replace("Description=Last call", "Description=Newer last call"))
        _run("dpkg-deb", "--root-owner-group", "--build", scratch, into / "newer.deb")
    return into / "newer.deb"


def needs(package: Path) -> list[str]:
    """The names of the packages that one depends on."""
    told = subprocess.run(["dpkg-deb", "-f", package, "Depends"], check=True, capture_output=True, text=True).stdout
    return sorted({one.split()[0] for one in told.split(",")})


@cache
def image(release: str, *wanted: str) -> Path:
    """The folder of a release's image, with the packages `wanted` and what they need in apt's cache."""
    text = repr([_FETCH, _SKIP, PACKAGES, SETUP, release, wanted])

    def make(root: Path) -> None:
        leave_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
        fetch = _FETCH.format(wanted=" ".join(wanted))
        with package_sources(release) as sources:
            _run(
                "mmdebstrap", "--quiet", "--variant=apt", "--mode=root", '--aptopt=Apt::Install-Recommends "false"',
                "--dpkgopt=force-unsafe-io", *leave_out, *_SKIP,
                f"--include={','.join(PACKAGES)}", f"--customize-hook={fetch}", release, root, sources,
            )  # fmt: skip
        _run("unshare", "--mount", "chroot", root, "sh", "-ec", SETUP)

    return made_once(f"{release}-{hashlib.sha256(text.encode()).hexdigest()[:12]}", make)


@cache
def upgrade_image(wanted: tuple[str, ...], later: tuple[str, ...]) -> Path:
    """Debian 12 with `wanted`, and all in apt's cache that its upgrade to Debian 13 needs, and `later` there."""
    base = image("bookworm", *wanted)

    def make(root: Path) -> None:
        _run("cp", "--archive", f"{base}/.", root)
        script = _UPGRADE.format(wanted=" ".join(wanted), later=" ".join(later))
        with connected(root) as options:
            _run("unshare", "--mount", "sh", "-ec", f"{options}\nexec chroot {root} sh -ec {shlex.quote(script)}")

    text = repr([base.name, _UPGRADE, later])
    return made_once(f"upgrade-{hashlib.sha256(text.encode()).hexdigest()[:12]}", make)


@contextmanager
def package_host(release: str, package: Path) -> Generator[Host]:
    """A host that is off and knows nothing of lastcall; `/packages` is where the package lies."""
    with host(image(release, *needs(package))) as made:
        made.shown["/packages"] = package.parent
        yield made


@contextmanager
def upgradable_host(packages: dict[str, Path]) -> Generator[Host]:
    """A Debian 12 that is off and can be upgraded to Debian 13 without a network."""
    wanted, later = (tuple(needs(packages[release])) for release in ("bookworm", "trixie"))
    with host(upgrade_image(wanted, later)) as made:
        made.shown["/packages"] = packages["bookworm"].parent
        yield made


def _run(*words: str | Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed:\n{(done.stdout + done.stderr)[-4000:]}")
