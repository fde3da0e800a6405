"""Prometheus's own judge of metrics, rules and queries, as Debian packages it; nothing is installed, no server runs."""

import subprocess
from pathlib import Path

from lab.cache import made_once

_PACKAGE = "prometheus"
Done = subprocess.CompletedProcess[str]


def promtool(*words: str, told: str = "") -> Done:
    """Run it with these words and this on its standard input; returns what it says."""
    program = made_once("promtool-1", _make) / "usr/bin/promtool"
    return subprocess.run(
        [program, *words], input=told, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False
    )


def _make(folder: Path) -> None:
    # Installed, the package would start a server on every host where the tests are run.
    subprocess.run(["apt-get", "download", "-q", _PACKAGE], cwd=folder, check=True, capture_output=True)
    (package,) = folder.glob("*.deb")
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", folder, "./usr/bin/promtool"], input=archive, check=True, capture_output=True)
    package.unlink()
