"""Writes the man pages, which a test holds to the code: `python -m book.manual --write`."""

import re
import sys
from pathlib import Path

from book.manual.command_pages import command_pages
from book.manual.config_page import config_page

PROJECT = Path(__file__).parents[3]
FOLDER = PROJECT / "contrib" / "man"
_DATE = re.compile(r"^## \[\d[^]]*\].*(\d{4}-\d\d-\d\d)", re.MULTILINE)


def man_pages() -> dict[str, str]:
    """The content of each file, by its path below share/man."""
    date = last_release()
    pages = {**command_pages(date), "lastcall-config.5": config_page(date)}
    return {f"man{name[-1]}/{name}": text for name, text in pages.items()}


def last_release() -> str:
    """The day of the newest version in the changelog: pages of the same source are the same whenever they are made."""
    found = _DATE.search((PROJECT / "CHANGELOG.md").read_text())
    if found is None:
        raise ValueError("CHANGELOG.md has no version with a date")
    return found[1]


if __name__ == "__main__":
    made = man_pages()
    if "--write" in sys.argv:
        for path in FOLDER.rglob("*.[15]"):
            if str(path.relative_to(FOLDER)) not in made:
                path.unlink()
        for name, text in made.items():
            (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
            (FOLDER / name).write_text(text)
    else:
        print("\n".join(made.values()), end="")
