"""Lays out what a package of lastcall brings below /usr; the same for every distribution, but for where zsh looks.

`tree.py WHEEL USR` is what the recipes for RPM and Arch Linux call. It needs what lastcall needs, and no network.
"""

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from lastcall.installation.packaged import PACKAGED_UNITS, packaged_units
from lastcall.installation.shared_data.completion import FOLDERS, completions

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
_COMPLETIONS = {
    "bash": "share/bash-completion/completions/lastcall",
    "zsh": "share/zsh/{zsh}/_lastcall",
    "fish": "share/fish/vendor_completions.d/lastcall.fish",
}


def fill(usr: Path, wheels: Iterable[Path], *, zsh: str = "site-functions") -> None:
    """Everything as it is to lie below /usr, of our wheel and those that travel with it.

    `zsh`: its folder for completions.
    """
    site = usr / "lib/lastcall"
    for wheel in wheels:
        _unpack(wheel, site, usr)
    script = site / "lastcall/systemd/last-line.sh"
    script.chmod(0o755)
    (site / "last-line").symlink_to(script.relative_to(site))
    write(usr / "bin/lastcall", (HERE / "program.py").read_text(), mode=0o755)
    for name, text in packaged_units().items():
        write(usr.parent / PACKAGED_UNITS / name, text)
    texts = dict(completions())
    for shell, path in FOLDERS.items():
        write(usr / _COMPLETIONS[shell].format(zsh=zsh), texts[path])


def last_change() -> float:
    """When the sources were changed last, in seconds since the epoch: of the same sources the same package is made."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return float(given)
    words = ["git", "-C", str(PROJECT), "log", "-1", "--format=%ct"]
    told = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return float(told) if told else (PROJECT / "CHANGELOG.md").stat().st_mtime


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _unpack(wheel: Path, site: Path, usr: Path) -> None:
    """A wheel's modules, and our documentation; of others, neither programs nor documentation.

    Modules of one package for several Pythons lie side by side: their binaries' names differ.
    """
    with zipfile.ZipFile(wheel) as packed:
        for name in packed.namelist():
            before, data, path = name.partition(".data/data/")
            if data and before.startswith("lastcall-"):
                target = usr / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(name) as source, target.open("wb") as made:
                    shutil.copyfileobj(source, made)
                target.chmod(packed.getinfo(name).external_attr >> 16 & 0o777)
            # Licences have another place in every recipe; what RECORD lists would be wrong for more wheels than one.
            elif ".data/" not in name and not name.endswith(("/RECORD", "/LICENSE", "/top_level.txt")):
                packed.extract(name, site)


def main(arguments: Sequence[str]) -> None:
    """Lay it out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("usr", type=Path)
    given = parser.parse_args(arguments)
    os.umask(0o022)
    fill(given.usr, [given.wheel])


if __name__ == "__main__":
    main(sys.argv[1:])
