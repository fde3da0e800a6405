"""contrib/example-plugin is what `lastcall plugins new` writes, and a plugin with all that a plugin can offer."""

import ast
import os
import re
from pathlib import Path

import pytest

from lastcall.cli.main import run

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "contrib" / "example-plugin"
SOURCE = EXAMPLE / "src" / "lastcall_door_sign"
MADE_BY_TOOLS = ("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", "dist")
OFFERS = {
    "test_plugin.py": {"plugin_options", "check", "on_guest_stop", "post_shutdown"},
    "test_stop_method.py": {"stop_methods"},
    "test_shell.py": {"guest_shells"},
    "test_command.py": {"register_commands"},
}
"""What is tested where: options for the host and for guests, a check, hooks; and one offer each."""


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The content and the mode of every file that is not made by a tool."""
    found = dict[str, tuple[bytes, int]]()
    for place, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if one not in MADE_BY_TOOLS]
        for name in names:
            path = Path(place, name)
            found[str(path.relative_to(folder))] = (path.read_bytes(), path.stat().st_mode & 0o111)
    return found


def test_the_example_is_to_the_byte_what_is_written_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["plugins", "new", "door-sign", "--stop-method", "--shell", "--command"]) == 0
    written = files(tmp_path / "lastcall-door-sign")
    assert len(written) == 15
    assert files(EXAMPLE) == written, "`make example` writes it anew"


def test_its_licence_is_ours() -> None:
    assert (EXAMPLE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_it_is_a_page_or_four_and_needs_no_word_to_a_type_checker() -> None:
    texts = [path.read_text() for path in [*SOURCE.glob("*.py"), *(EXAMPLE / "tests").glob("*.py")]]
    assert 180 <= sum(len(path.read_text().splitlines()) for path in SOURCE.glob("*.py")) <= 240
    assert not [text for text in texts if re.search(r"\bcast\b|\bAny\b|# *(type|pyright|mypy|noqa)\b", text)]


def test_all_that_a_plugin_can_offer_is_in_it_and_has_a_test() -> None:
    trees = [ast.parse(path.read_text()) for path in SOURCE.glob("*.py")]
    functions = [one for tree in trees for one in tree.body if isinstance(one, ast.FunctionDef)]
    hooks = {one.name for one in functions if any("hookimpl" in ast.dump(mark) for mark in one.decorator_list)}
    assert hooks == set().union(*OFFERS.values())
    assert {path.name for path in (EXAMPLE / "tests").glob("*.py")} == set(OFFERS)
    for name in OFFERS:
        assert "lastcall.testing" in (EXAMPLE / "tests" / name).read_text()
