"""Build the site into a folder: `PYTHONPATH=docs python -m book [FOLDER]`."""

import argparse
import sys
from pathlib import Path

from book.assembly import SiteBroken, build
from book.contents import ROOT


def main() -> int:
    """Build it, and say where it is."""
    parser = argparse.ArgumentParser(prog="python -m book", description="Build the documentation site.")
    parser.add_argument("site", type=Path, nargs="?", default=ROOT / "site", help="the folder (site/)")
    site: Path = parser.parse_args().site.absolute()
    try:
        build(ROOT / ".cache" / "book", site)
    except SiteBroken as broken:
        print(broken, file=sys.stderr)
        return 1
    print(site / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
