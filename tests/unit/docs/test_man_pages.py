"""The man pages: made from the commands and the configuration, of everything that there is."""

import json
import os
import re
import subprocess
import sys

import pytest

from book.manual.__main__ import FOLDER, PROJECT, last_release
from book.manual.roff import escaped, item, paragraph, paragraphs
from book.promise import promised
from lastcall.cli.commands import COMMANDS
from lastcall.formats.version import __version__
from lastcall.installation.packaged import packaged_units


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """As `make promise` makes them: what other tests have loaded, or keep secret, in this process does not count."""
    script = "import json; from book.manual.__main__ import man_pages; print(json.dumps(man_pages()))"
    known = {**os.environ, "PYTHONPATH": str(PROJECT / "docs")}
    done = subprocess.run([sys.executable, "-c", script], env=known, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def plain(page: str) -> str:
    """What a page says, without what troff reads."""
    return re.sub(r"\\f[BP]|\\&", "", page).replace("\\-", "-").replace("\\(aq", "'").replace("\\(dq", '"')


def test_those_that_are_shipped_are_those_that_the_code_makes(pages: dict[str, str]) -> None:
    there = {str(path.relative_to(FOLDER)): path.read_text() for path in FOLDER.rglob("*") if path.is_file()}
    assert there == pages, "`make promise` writes them"


def test_every_command_has_a_page_with_each_of_its_options_and_commands(pages: dict[str, str]) -> None:
    assert {f"man1/lastcall-{name}.1" for name in COMMANDS} | {"man1/lastcall.1"} <= pages.keys()
    for line in promised():
        kind, _, words = line.partition(": lastcall ")
        if kind == "command" and not words.startswith("-"):
            name, *rest = words.split()
            told = plain(pages[f"man1/lastcall-{name}.1"])
            assert all(one in told for one in rest), line


def test_the_first_page_leads_to_all_others(pages: dict[str, str]) -> None:
    told = plain(pages["man1/lastcall.1"])
    for name in pages:
        page, section = name.partition("/")[2].rsplit(".", 1)
        assert page == "lastcall" or f".BR {page} ({section})" in told, name


def test_the_page_of_the_configuration_has_every_key(pages: dict[str, str]) -> None:
    told = set(re.findall(r"^\.B (\S+)$", plain(pages["man5/lastcall-config.5"]), re.MULTILINE))
    rules = {key.removeprefix("defaults.") for key in told if key.startswith("defaults.")}
    keys = {line.removeprefix("key: ") for line in promised() if line.startswith("key: ")}
    assert len(keys) > 100
    for key in keys:
        in_rule = key.removeprefix("guests[].")
        assert key in told or (in_rule != key and in_rule in rules) or f".SH {key.upper()}" in pages[
            "man5/lastcall-config.5"
        ], key  # fmt: skip


def test_a_page_says_which_version_it_is_of_and_is_the_same_whenever_it_is_made(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        words = page.partition("\n")[0].split()
        assert words[3] == last_release(), name
        assert plain(page).partition("\n")[0].count(f'"lastcall {__version__}"') == 1, name


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (".so /etc/shadow", "\\&.so /etc/shadow"),
        ("'tis", "\\(aqtis"),
        ("a\\fBb", "a\\efBb"),
        ("--json", "\\-\\-json"),
        ('say "hi"', "say \\(dqhi\\(dq"),
        ("db-*  …\n.x", "db\\-* \\[u2026] .x"),
        ("~/x^2", "\\(ti/x\\(ha2"),
    ],
)
def test_text_is_nothing_that_troff_would_obey(text: str, source: str) -> None:
    assert escaped(text) == source
    assert list(paragraph(text)) == [source]


def test_no_line_of_a_long_text_begins_as_a_request_would_wherever_it_is_cut() -> None:
    for shift in range(80):
        lines = list(paragraph("x" * shift + " .dot 'quote" * 40))
        assert len(lines) > 1
        assert not [line for line in lines if line.startswith((".", "'"))]


def test_code_is_bold_and_an_option_without_a_word_is_one_all_the_same() -> None:
    assert list(paragraph("see `lastcall plan -v`.")) == ["see \\fBlastcall plan \\-v\\fP."]
    assert list(paragraphs("one\n\n\b\ntwo")) == ["one", ".PP", "two"]
    assert list(item("--x", "")) == [".TP", ".B \\-\\-x", "\\&"]


def test_every_unit_of_a_package_names_a_page_that_the_package_has() -> None:
    for name, text in packaged_units().items():
        (line,) = re.findall(r"^Documentation=(.*)$", text, re.MULTILINE)
        (page, section) = re.findall(r"man:([\w-]+)\((\d)\)", line)[0]
        assert (FOLDER / f"man{section}" / f"{page}.{section}").is_file(), name
        assert line.split()[1:] == ["https://lastcall.dev"]
