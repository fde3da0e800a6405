"""The site: strict, whole, and of nothing that lies elsewhere."""

import re
from pathlib import Path

import pytest

import lastcall
from book.api_page import MODULES, api_text, public_names
from book.assembly import SiteBroken, build, gather, made_texts
from book.contents import DOCS, Navigation, navigation
from book.firing import picture
from book.hook_facts import hook_facts
from book.hook_page import hook_text
from book.since import LATER


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("book")
    build(folder / "made-from", folder / "site")
    return folder / "site"


def pages_of(part: "str | Navigation") -> list[str]:
    """The pages that a navigation names."""
    if isinstance(part, str):
        return [part]
    return [page for entry in part for inner in entry.values() for page in pages_of(inner)]


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        for tag in re.findall(r"<(?:link|script|img|iframe|source)\b[^>]*>", page.read_text()):
            assert not re.search(r"""(src|href)=["']?(https?:)?//""", tag), (page, tag)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?https?:|@import", sheet.read_text()), sheet


@pytest.mark.parametrize("link", ["nowhere.md", "commands.md#nowhere"])
def test_a_link_that_leads_nowhere_breaks_the_build(tmp_path: Path, link: str) -> None:
    broken = {**made_texts(), "authors/api.md": lambda: f"# API\n\n[there](../{link})\n"}
    with pytest.raises(SiteBroken, match="does not exist"):
        build(tmp_path / "made-from", tmp_path / "site", broken)


def test_every_page_stands_in_the_table_of_contents_once(tmp_path: Path) -> None:
    gather(tmp_path, made_texts())
    there = sorted(page.relative_to(tmp_path).as_posix() for page in tmp_path.rglob("*.md"))
    assert sorted(pages_of(navigation())) == there
    assert {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} <= set(there)


@pytest.mark.parametrize("facts", hook_facts(), ids=lambda facts: facts.name)
def test_a_hooks_page_says_all_there_is_to_say_of_it(facts: object) -> None:
    (found,) = [one for one in hook_facts() if one is facts]
    text = hook_text(found)
    for row in ("fires", "returns", "failure", "rehearsal", "thread", "bundled plugins"):
        assert re.search(rf"^\| \*\*{row}\*\* \| \S", text, re.MULTILINE), row
    assert all(f"| `{name}` | `{kind}` |" in text for name, kind in found.arguments)
    assert found.signature in text
    assert found.example in text
    assert (found.group == "run") == ("◀" in text)


def test_the_picture_shows_every_hook_of_a_run_in_the_order_in_which_it_fires() -> None:
    text = picture()
    hooks = [facts.name for facts in hook_facts() if facts.group == "run"]
    places = [re.search(rf"\b{hook}$", re.sub(r" +$", "", text, flags=re.MULTILINE), re.MULTILINE) for hook in hooks]
    assert all(places), hooks
    assert "on_guest_stuck" in picture("on_guest_stuck")
    assert text.index("on_guest_stuck") < text.index("· destroy") < text.index("post_shutdown")


def test_the_api_page_has_every_public_name_with_its_signature_and_version() -> None:
    text = api_text()
    for module in MODULES:
        part = text.split(f"\n## {module.__name__}\n")[1].split("\n## ")[0]
        entries = re.findall(r"^### (\w+)\n\n\*since \d+\.\d+\.\d+\*\n", part, re.MULTILINE)
        assert entries == public_names(module)
    assert set(public_names(lastcall)) == set(lastcall.__all__)
    assert "    options(model: type[OptionsT], guest: Guest | None=None) -> OptionsT" in text


def test_versions_are_told_of_names_that_are_there() -> None:
    for module in MODULES:
        assert set(LATER[module.__name__]) <= set(public_names(module))
