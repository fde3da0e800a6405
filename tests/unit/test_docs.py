"""Tests that police the docs: what they say is there, and what is there they say."""

import ast
import inspect
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

import lastcall
from lastcall.cli.commands import COMMANDS
from lastcall.cli.group import cli
from lastcall.config import load
from lastcall.config.guest_settings import GuestPolicy
from lastcall.config.settings import Bootstrap
from lastcall.hooks import hookspecs
from lastcall.hooks.discovery import Plugins
from lastcall.installation.sample import SAMPLE
from support import yaml_blocks

ROOT = Path(__file__).parents[2]
HOOKS = [name for name, value in vars(hookspecs).items() if hasattr(value, "lastcall_spec")]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_says_when_it_fires_what_it_returns_what_a_failure_means_and_shows_an_example(hook: str) -> None:
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    assert "Fires" in text
    assert "Returns" in text or "returns" in text or hook == "register_commands"
    assert "When it raises" in text
    example = inspect.cleandoc(text.split("Example:\n", 1)[1])
    (function,) = [one for one in ast.parse(example).body if isinstance(one, ast.FunctionDef) and one.name == hook]
    known = set(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert {argument.arg for argument in function.args.args} <= known


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_stands_in_the_hooks_page_with_its_exact_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"`{hook}({arguments})`" in (ROOT / "docs" / "hooks.md").read_text()


def test_the_hooks_page_names_no_hook_that_is_not_there() -> None:
    table = (ROOT / "docs" / "hooks.md").read_text().split("## Rules")[0]
    named = set(re.findall(r"^\| `(\w+)\(", table, re.MULTILINE))
    assert named == set(HOOKS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_complete_help_and_stands_in_the_command_page(command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+).*?(?=^  -|\Z)", result.output, re.MULTILINE | re.DOTALL)
    assert options
    for line in re.findall(r"^  (--?\w.*)$", result.output, re.MULTILINE):
        assert re.search(r"\s{2,}\S", line) or len(line) > 20, f"{command}: no help for {line!r}"
    assert f"`lastcall {command}" in (ROOT / "docs" / "commands.md").read_text()


def test_the_public_api_is_sorted_and_documented() -> None:
    assert lastcall.__all__ == sorted(lastcall.__all__)
    for name in lastcall.__all__:
        value = getattr(lastcall, name)
        assert name in {"AddressSource", "Json", "OnFailure", "hookimpl"} or inspect.getdoc(value), name


def test_the_hooks_page_has_everything_that_a_hook_can_ask_its_run() -> None:
    table = (ROOT / "docs" / "hooks.md").read_text().split("## What a hook can ask its run")[1].split("\n\n")[1]
    told = {name for row in table.splitlines() for name in re.findall(r"`(\w+)", row.split("|")[1])} - {"run"}
    assert told == {name for name in vars(lastcall.Run) if not name.startswith("_")}


def test_the_api_tells_its_version_and_has_nothing_for_making_hooks_of_ones_own() -> None:
    assert lastcall.__version__ == metadata.version("lastcall")
    assert not hasattr(lastcall, "hookspec")


def test_only_the_hypervisor_room_imports_libvirt() -> None:
    for path in (ROOT / "core").rglob("*.py"):
        if "hypervisor" not in path.parts:
            assert not re.search(r"^\s*(import|from) libvirt", path.read_text(), re.MULTILINE), path


def test_bundled_plugins_use_the_public_api_only() -> None:
    for path in (ROOT / "plugins").rglob("*.py"):
        for module in re.findall(r"^\s*(?:from|import) (lastcall(?:\.[\w.]+)?) ", path.read_text(), re.MULTILINE):
            assert module in {"lastcall", "lastcall.options", "lastcall.testing"}, path


def test_the_links_of_the_readme_and_the_docs_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_every_configuration_in_the_docs_is_valid_as_written(page: Path) -> None:
    vocabulary = Plugins(Bootstrap()).vocabulary
    for block in yaml_blocks(page.name):
        assert load.parse(block, page.name).settings(vocabulary).connections


def test_every_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    declared = re.findall(r'^    "([\w-]+)[>=\[]', project.split("[project.scripts]")[0], re.MULTILINE)
    assert len(declared) > 3
    for name in declared:
        assert f"**{name}**" in text, name


def test_every_outcome_and_every_setting_of_a_guest_is_explained() -> None:
    ordering = (ROOT / "docs" / "ordering.md").read_text()
    for outcome in lastcall.Outcome:
        assert f"`{outcome.value}`" in ordering, outcome
    sample = SAMPLE.split("defaults:")[1].split("# Rules")[0]
    for key in GuestPolicy.model_fields:
        assert f"  {key}:" in sample or key == "hooks", key


def test_the_configurations_and_hooks_of_the_docs_are_valid() -> None:
    plugins = Plugins(Bootstrap())
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for language, text in re.findall(r"```(yaml|python)\n(.*?)```", page.read_text(), re.DOTALL):
            if language == "yaml":
                assert load.parse(text, page.name).settings(plugins.vocabulary)
            else:
                ast.parse(text)


def test_everything_that_was_found_is_held_by_a_test_that_exists() -> None:
    page = (ROOT / "docs/reliability.md").read_text()
    rows = [line for line in page.split("## What was found")[1].splitlines() if line.startswith("| ")][1:]
    texts = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    kept = (ROOT / "tests/simulation/kept.txt").read_text()
    for row in rows[1:]:
        _, found_by, held_by = row.strip("| ").split(" | ")
        tests = re.findall(r"`(test_\w+)`", held_by)
        assert tests or "kept.txt" in held_by, row
        assert all(f"def {test}(" in texts for test in tests), row
        assert all(re.search(rf"^{seed}\b", kept, re.MULTILINE) for seed in re.findall(r"\d+", found_by)), row


def test_every_promise_of_security_names_files_and_tests_that_exist() -> None:
    page = (ROOT / "docs/security.md").read_text()
    table = page.split("## What is promised")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 30
    texts = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    defined = set(re.findall(r"def (test_\w+)\(", texts))
    for row in rows:
        _, files, tests = (re.findall(r"`([^`]+)`", cell) for cell in row.strip("| ").split(" | "))
        assert files, row
        assert tests, row
        assert all((ROOT / "core/lastcall" / file).is_file() or (ROOT / file).is_file() for file in files), row
        assert set(tests) <= defined, row


def test_every_finding_of_check_is_told_with_severity_remedy_and_a_test_that_creates_it() -> None:
    rows = [line for line in (ROOT / "docs/check.md").read_text().splitlines() if line.startswith("| ")][2:]
    defined = set(
        re.findall(r"def (test_\w+)\(", "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py")))
    )
    told = set[str]()
    for row in rows:
        what, says, severity, remedy, tests = row.strip("| ").split(" | ")
        assert says, row
        assert remedy, row
        assert set(severity.split(" or ")) <= {one.value for one in lastcall.Severity}, row
        assert set(re.findall(r"`(test_\w+)`", tests)) <= defined, row
        assert "`test_" in tests, row
        told |= set(re.findall(r"`(\w+)`", what))
    looks = [*(ROOT / "core/lastcall/checks").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    looks += [ROOT / "core/lastcall" / name for name in ("systemd/unit_checks.py", "guests/busy/busy_guests.py")]
    texts = "\n".join(path.read_text() for path in looks)
    # Those of preflight.py stand alone in a line, or after the guest.
    found = set(re.findall(r'what="(\w+)"|_Kind\("(\w+)"|_warning\(\s*guest,\s*"(\w+)"', texts))
    assert {name for names in found for name in names if name} <= told


def test_every_dependency_names_its_oldest_version_with_which_the_matrix_tests_it() -> None:
    """Without a bound uv would take the first version that there ever was."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for one in [*project["project"]["dependencies"], *project["dependency-groups"]["test"]]:
        assert re.match(r"[\w-]+>=[\d.]+(;|$)", one), one


def test_the_package_of_debian_asks_for_what_pyproject_asks_for() -> None:
    wanted = dict(re.findall(r'^    "(\w+)>=([\d.]+)', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    depends = re.findall(r"python3-(\w+) \(>= ([\d.]+)\)", (ROOT / "contrib/debian/build.py").read_text())
    assert len(depends) == 3
    assert dict(depends) == {name: wanted[name] for name, _ in depends}
