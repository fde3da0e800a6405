"""The man pages, as those read them who read man pages: man-db, groff and mandoc."""

import subprocess
from pathlib import Path

import pytest

from book.manual.roff import item, paragraphs, title, verbatim
from packages.distributions import PROJECT

PAGES = sorted((PROJECT / "contrib" / "man").rglob("*.[15]"))
ODD = [
    ".so /etc/passwd",
    "'ds",
    "\\n(.x and \\*(xx",
    "-a --b c-d",
    '"quoted" `tick\' ^ ~',
    "… → é",
    "..",
    "\\",
    "a\\",
    "C:\\temp\\new",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize(
    "words",
    [
        ["man", "--warnings", "--encoding=UTF-8", "--local-file", "-Tutf8", "-Z"],
        ["groff", "-ww", "-man", "-Tutf8", "-z"],
        ["mandoc", "-Tlint", "-Wwarning"],
    ],
    ids=lambda words: words[0],
)
def test_nobody_who_sets_them_has_anything_to_say(words: list[str], page: Path) -> None:
    done = subprocess.run([*words, page], capture_output=True, text=True, check=False)
    told = done.stdout if words[0] == "mandoc" else done.stderr
    assert (done.returncode, told) == (0, "")


@pytest.mark.parametrize("text", ODD)
def test_whatever_somebody_writes_is_shown_as_it_is(text: str, tmp_path: Path) -> None:
    page = tmp_path / "odd.1"
    lines = [title("odd", 1, "2026-01-01", "odd", "odd"), ".SH NAME", "odd \\- odd", ".SH ODD"]
    lines += [*paragraphs(f"{text}"), *item(text, text), *verbatim(text)]
    page.write_text("\n".join(lines) + "\n")
    words = ["groff", "-ww", "-man", "-Tutf8", "-P-c", "-P-b", "-P-u"]
    done = subprocess.run([*words, page], capture_output=True, text=True, check=True)
    shown = done.stdout.partition("ODD")[2].replace("\n", " ")
    assert done.stderr == ""
    assert shown.count(" ".join(text.split()).replace("`", "`")) >= 3
