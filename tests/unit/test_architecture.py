"""Tests that hold the house together: rooms, arrows and names are what docs/architecture.md says."""

import ast
import importlib.util
import io
import math
import re
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import ModuleType

from lastcall.timing.budget import SHARES

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "lastcall"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PLUGIN_FILES = sorted([*(ROOT / "plugins").rglob("*.py"), *(ROOT / "hooks.d").rglob("*.py")])
PLUGINS = {str(path.relative_to(ROOT)): path.read_text() for path in PLUGIN_FILES}
MODULES = {str(path.relative_to(CORE)): path.read_text() for path in sorted(CORE.rglob("*.py"))}
MOST_ROOMS = 25
MOST_MODULES = 12
MAY_BE_LONG = {"cli/commands", "testing"}
# Imports for types only that close a circle inside a room: a shell is handed the run that asks for it, a domain in
# memory its hypervisor.
KNOWN_CIRCLES = {
    "lastcall.api.shell": "lastcall.api.run",
    "lastcall.testing.memory.domain": "lastcall.testing.memory.hypervisor",
}
# What nobody but the kernel or pip has written, and a descriptor that the door has given.
READ_OTHERWISE = {
    "hooks/sources.py": 1,
    "persistence/boot_stamp.py": 1,
    "presence/connections.py": 1,
    "runs/meanwhile/holder.py": 1,
    "systemd/units.py": 1,
}
# Folders, a picture that somebody else has made, the end of a log that is longer than any text, and a lock.
NO_TEXTS = {
    "hooks.d/60-last-words.py": [".mkdir(", "open(", ".unlink(", ".unlink(", "open(", ".rename("],
    "plugins/lastcall_plugins/notify/sender.py": ["open("],
}
KNOW_THE_PARTS = (
    "cli/", "runs/assembly/", "runs/runner.py", "runs/sleep/building.py", "testing/memory/runs.py", "testing/lab.py",
)  # fmt: skip


def load_rooms() -> ModuleType:
    """docs/rooms.py, which is a program."""
    spec = importlib.util.spec_from_file_location("rooms", ROOT / "docs" / "rooms.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


rooms = load_rooms()
IMPORTS: Mapping[str, set[str]] = rooms.imports()
ARROWS: Mapping[str, set[str]] = rooms.arrows(IMPORTS)


def definitions(text: str) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public classes and functions of a module."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node


def members(node: ast.AST) -> Iterator[str]:
    """The methods, properties and declared fields of a class."""
    for below in ast.iter_child_nodes(node):
        if isinstance(below, ast.FunctionDef | ast.AsyncFunctionDef):
            yield below.name
        elif isinstance(below, ast.AnnAssign) and isinstance(below.target, ast.Name):
            yield below.target.id


def public_names() -> set[str]:
    """The names of all public classes and functions."""
    return {node.name for text in MODULES.values() for node in definitions(text)}


def known_names() -> set[str]:
    """Names of public classes, functions and modules, and `Class.member`."""
    nodes = [node for text in MODULES.values() for node in definitions(text)]
    below = {f"{node.name}.{member}" for node in nodes if isinstance(node, ast.ClassDef) for member in members(node)}
    return public_names() | below | {Path(path).stem for path in MODULES}


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def quoted(text: str) -> list[str]:
    """What stands between backticks, outside of blocks."""
    return re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_the_picture_of_the_rooms_is_what_the_code_draws() -> None:
    assert rooms.with_picture(PAGE) == PAGE, "`make picture` draws anew"


def test_no_two_rooms_import_each_other_not_even_for_types() -> None:
    assert sum(map(len, rooms.floors(ARROWS))) == len(ARROWS)


def test_no_module_imports_in_a_circle_not_even_for_types() -> None:
    assert all(other in IMPORTS[module] for module, other in KNOWN_CIRCLES.items()), "one less: strike it off"
    straight = {module: others - {KNOWN_CIRCLES.get(module)} for module, others in IMPORTS.items()}
    assert sum(map(len, rooms.floors(straight))) == len(IMPORTS)


def test_there_are_no_more_rooms_than_one_can_keep_in_mind() -> None:
    assert len(ARROWS) <= MOST_ROOMS


def test_a_room_can_be_seen_at_a_glance() -> None:
    sizes = Counter(str(Path(path).parent) for path in MODULES)
    assert not {folder: size for folder, size in sizes.items() if size > MOST_MODULES and folder not in MAY_BE_LONG}


def test_files_are_read_through_one_door() -> None:
    reads = re.compile(r"\.read_text\(|\.read_bytes\(|(?:with|=|return) open\(")
    found = {path: len(reads.findall(text)) for path, text in MODULES.items() if path != "formats/reading.py"}
    assert {path: times for path, times in found.items() if times} == READ_OTHERWISE


def test_plugins_read_and_write_files_through_the_same_door() -> None:
    # `.replace("` is that of a text. A library that opens a file by its name stands here, too.
    odd = (
        r"\bopen\(|\.(?:read|write)_(?:text|bytes)\(|\.(?:unlink|rename|chmod|mkdir|touch)\("
        r"|\.replace\((?!\")|HostKeys\("
    )
    found = {path: re.findall(odd, text) for path, text in PLUGINS.items()}
    assert {path: calls for path, calls in found.items() if calls} == NO_TEXTS


def test_no_two_public_classes_or_functions_share_a_name() -> None:
    named = Counter(name for text in MODULES.values() for name in {node.name for node in definitions(text)})
    assert not [name for name, times in named.items() if times > 1]


def test_only_those_who_put_runs_together_know_all_their_parts() -> None:
    named = [path for path, text in MODULES.items() if re.search(r"\bParts\b", text)]
    assert "runs/assembly/parts.py" in named
    assert not [path for path in named if not path.startswith(KNOW_THE_PARTS)]


def test_every_file_that_the_page_names_is_there() -> None:
    named = [word for word in quoted(PAGE) if re.fullmatch(r"[\w./-]+(\.(py|md|toml)|/)", word)]
    assert len(named) > 50
    assert not [path for path in named if not ((CORE / path).exists() or (ROOT / path).exists())]


def test_every_name_that_the_page_tells_to_look_for_is_there() -> None:
    words = [word for _, _, look_for in table(PAGE, "Where is it") for word in quoted(look_for)]
    names = [word for word in words if "." not in word or re.fullmatch(r"[A-Z]\w+\.\w+", word)]
    assert len(names) > 10
    assert not set(names) - known_names()


def test_the_words_of_the_glossary_are_those_of_the_code() -> None:
    words = table(PAGE, "Words")
    assert len(words) > 30
    known, public = known_names(), {name.lower() for name in public_names()}
    for word, _, in_the_code, avoided in words:
        names = quoted(in_the_code)
        assert names, word
        assert not set(names) - known, word
        assert not {name for name in quoted(avoided) if name.lower() in public}, word


def test_the_page_about_the_deadline_shows_every_share_of_the_time() -> None:
    rows = [
        [
            share.what,
            "—" if share.seconds == math.inf else f"{share.seconds:g}",
            str(Fraction(share.part).limit_denominator(100)),
        ]
        for share in SHARES
    ]
    assert table((ROOT / "docs" / "ordering.md").read_text(), "How the time is shared") == rows


def test_four_to_seven_comment_lines_in_a_hundred_give_reasons() -> None:
    comments = lines = 0
    for text in MODULES.values():
        lines += sum(bool(line.strip()) for line in text.splitlines())
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        said = [token.string for token in tokens if token.type == tokenize.COMMENT]
        comments += sum(not re.match(r"#\s*(noqa|fmt|pyright|type)\b", one) for one in said)  # those are for linters
    assert 4 <= 100 * comments / lines <= 7
