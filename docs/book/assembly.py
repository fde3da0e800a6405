"""The folder that the site is made from: pages of docs/, those that stand elsewhere, and those made from the code."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from book.api_page import api_text
from book.contents import API, DOCS, ELSEWHERE, ROOT, configuration, hook_page
from book.hook_facts import hook_facts
from book.hook_page import hook_text

_IMAGE = re.compile(r"!\[([^\]]*)\]\((?!https?:)([^)\s]+)\)")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


class SiteBroken(Exception):
    """The site cannot be built as it is; with what the generator says."""


def gather(pages: Path, made: Mapping[str, Callable[[], str]]) -> None:
    """Put every page into an empty folder, by the place it has on the site."""
    for name, target in ELSEWHERE.items():
        _write(pages / target, _relinked((ROOT / name).read_text(), name, target))
    for page in sorted(DOCS.rglob("*.md")):
        place = page.relative_to(DOCS).as_posix()
        _write(pages / place, _relinked(page.read_text(), f"docs/{place}", place))
    for picture in sorted(one for one in DOCS.glob("pictures/*") if one.suffix in {".png", ".svg"}):
        (pages / "pictures").mkdir(exist_ok=True)
        shutil.copy(picture, pages / "pictures")
    for place, text in made.items():
        _write(pages / place, text())


def made_texts() -> dict[str, Callable[[], str]]:
    """What makes each page that is made from the code."""
    hooks = {hook_page(facts.name): lambda facts=facts: hook_text(facts) for facts in hook_facts()}
    return {API: api_text, **hooks}


def build(folder: Path, site: Path, made: Mapping[str, Callable[[], str]] | None = None) -> None:
    """Build the site, through a folder for what it is made from. Raises SiteBroken for any warning of the generator.

    `made`: what makes each page that is made.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "pages"
    gather(pages, made_texts() if made is None else made)
    config = folder / "mkdocs.yml"
    config.write_text(json.dumps(configuration(), indent=1))  # JSON is YAML, too
    words = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(config)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SiteBroken(f"{done.stdout}{done.stderr}")
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(folder / "site", site)  # the generator writes beside what it reads, and nowhere else


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _relinked(text: str, source: str, place: str) -> str:
    """A page whose links lead to where pages stand on the site; what is no page is named, and not linked."""

    def moved(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        file = _normal(PurePosixPath(source).parent / target)
        there = ELSEWHERE.get(file) or (file.removeprefix("docs/") if re.match(r"docs/.*\.md$", file) else None)
        if there is None:
            return f"{words} (`{file}`)" if file not in words else words
        return f"[{words}]({_relative(there, place)}{anchor})"

    def shown(found: re.Match[str]) -> str:
        file = _normal(PurePosixPath(source).parent / found[2])
        return f"![{found[1]}]({_relative(file.removeprefix('docs/'), place)})"

    return _IMAGE.sub(shown, _LINK.sub(moved, text))


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _relative(target: str, page: str) -> str:
    return "../" * (len(PurePosixPath(page).parts) - 1) + target
