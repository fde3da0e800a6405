"""Every code block of the authors' pages does what it says: it is run, fired in the lab, or judged by its reader."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import click
import pytest
import yaml
from click.testing import CliRunner

from book.api_page import MODULES, public_names
from book.contents import ROOT
from book.hook_facts import hook_facts
from doc_blocks import Block, Terminal, blocks, environment, fits, loaded, module_name, pages, typed, write
from lastcall import Reason, Verdict
from lastcall.config import load
from lastcall.config.settings import Bootstrap
from lastcall.hooks.discovery import Plugins
from lastcall.testing import Lab

PAGES = list(pages())
AUTHORED = [page for page in PAGES if not page.startswith("authors/hooks/") and page != "README.md"]
KNOWN = {"python", "sh", "perl", "yaml", "toml", "json", "console"}
# The first package is typed in a fresh Debian: tests/host/test_first_package.py.
TYPED = [
    page
    for page in AUTHORED
    if page != "authors/first-package.md" and any(one.language == "console" for one in blocks(page))
]
HOOKS = [facts.name for facts in hook_facts()]
PYTHON = [block for page in PAGES for block in blocks(page) if block.language == "python"]
DROP_INS = [block for page in PAGES for block in blocks(page) if block.text.startswith("#!") and not block.reason]


def named(block: Block) -> str:
    return f"{block.page}-{block.file}"


def plugin_name(block: Block) -> str:
    """What a plugin is called that is this file."""
    return module_name(Path(block.file)).removeprefix("lastcall_")


def configurations(page: str) -> list[Any]:
    return [yaml.safe_load(block.text) for block in blocks(page) if block.language == "yaml"]


def config_for(block: Block) -> str:
    """What the page configures for this plugin, without the places of a host."""
    name = plugin_name(block)
    fitting = [one for one in configurations(block.page) if name in json.dumps(one)]
    kept: dict[str, Any] = dict(fitting[0]) if fitting else {}
    return yaml.safe_dump({key: value for key, value in kept.items() if key not in {"connections", "paths"}})


def programs(folder: Path, names: tuple[str, ...]) -> str:
    """A PATH with programs in front that do nothing: what examples start must not be this machine's."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\nexit 0\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def lab_of(tmp_path: Path, config: str, plugins: Mapping[str, object]) -> Lab:
    path = programs(tmp_path / "bin", ("mount", "cryptsetup", "shelf"))
    given: dict[str, Any] = yaml.safe_load(config) or {}
    lab = Lab(
        tmp_path / "lab", plugins=plugins, config=yaml.safe_dump(given | {"hooks": {"environment": {"PATH": path}}})
    )
    (tmp_path / "lab").mkdir(exist_ok=True)
    for name in ("db-1", "web-1"):
        guest = lab.guest(name, takes=3, agent=True, addresses=["192.0.2.7"])
        guest.agent_answers({"guest-suspend-disk": {}, "guest-exec": {"pid": 7}, "guest-ping": {}})
        guest.shell.answers({"*": ""})
    return lab


def implemented(module: ModuleType) -> list[str]:
    return [hook for hook in HOOKS if hasattr(getattr(module, hook, None), "lastcall_impl")]


def test_the_blocks_of_the_authors_pages_are_of_kinds_that_are_tried() -> None:
    for page in AUTHORED:
        for block in blocks(page):
            assert block.language in KNOWN or block.reason, (page, block.text)
            assert block.language != "python" or block.title, (page, block.text)
            assert block.language != "toml" or tomllib.loads(block.text), (page, block.text)
        assert len(blocks(page)) == len(re.findall(r"^ *```\w*", pages()[page], re.MULTILINE)) // 2, page


@pytest.mark.parametrize(
    ("prints", "said", "right"),
    [
        (["a 0.3s", "b"], "a   12.25s\n\nb\n", True),
        (["a 3"], "a b\n", False),
        (["a"], "a\nb\n", False),
        (["a", "…"], "a\nb\nc\n", True),
        (["…", "c"], "c\n", True),
        (["…/x: no"], "/tmp/d/x: no\n", True),
        (["…/x: no"], "/tmp/d/x: yes\n", False),
        ([], "anything\n", False),
        (["a.b"], "axb\n", False),
        (["a b"], "\x1b[1;32ma\x1b[0m b\n", True),
    ],
)
def test_what_is_printed_is_compared_but_for_numbers_and_what_is_left_out(
    prints: list[str], said: str, *, right: bool
) -> None:
    assert fits(said, prints) == right


def test_no_block_is_exempt_but_those_that_say_why() -> None:
    exempt = {(block.page, block.reason) for page in PAGES for block in blocks(page) if block.reason}
    assert exempt == set(), "each is one sentence of the book less that holds"


@pytest.mark.parametrize("block", [one for one in PYTHON if "hookimpl" in one.text and not one.reason], ids=named)
def test_every_example_with_hooks_is_a_plugin_whose_hooks_fire_in_the_lab(tmp_path: Path, block: Block) -> None:
    module = loaded(block, tmp_path / "files")
    hooks = implemented(module)
    assert hooks
    lab = lab_of(tmp_path, config_for(block), {plugin_name(block): module})
    guest = lab.guests["db-1"]
    records = [one for hook in hooks if _alone(hook) for one in lab.fire(hook, guest if _for_guest(hook) else None)]
    reports = [lab.shutdown(reason=Reason.REBOOT), lab.restore()]
    records += [one for report in reports for one in (*report.hooks, *(two for g in report.guests for two in g.hooks))]
    mine = {one.hook for one in records if one.plugin == plugin_name(block)}
    fired = {hook for hook in hooks if _alone(hook)}
    assert fired <= mine | {"on_guest_stuck"}
    meant = {Verdict.FAILED} if "raise lastcall.HookFailed" in block.text else set[Verdict]()
    results = {one.result for one in records if one.plugin == plugin_name(block)}
    assert results <= {Verdict.OK, Verdict.SKIPPED, *meant}, records
    assert [report.problems for report in reports] == [(), ()]


def _alone(hook: str) -> bool:
    return next(facts.group for facts in hook_facts() if facts.name == hook) != "load"


def _for_guest(hook: str) -> bool:
    return next(facts.for_a_guest for facts in hook_facts() if facts.name == hook)


@pytest.mark.parametrize("block", [one for one in PYTHON if "def register_commands" in one.text], ids=named)
def test_every_example_with_commands_adds_some_that_have_a_help(tmp_path: Path, block: Block) -> None:
    group = click.Group("lastcall")
    loaded(block, tmp_path).register_commands(group)
    assert group.commands
    for command in group.commands.values():
        assert CliRunner().invoke(command, ["--help"]).exit_code == 0


@pytest.mark.parametrize("block", DROP_INS, ids=named)
def test_every_program_among_the_examples_runs_as_a_drop_in(tmp_path: Path, block: Block) -> None:
    lab = lab_of(tmp_path, "", {})
    hook, name = Path(block.file).parts[-2:]
    lab.drop_in(f"{hook}/{name}", block.text)
    lab.shutdown(reason=Reason.REBOOT)
    report = lab.restore() if "start" in hook or "restore" in hook or hook == "guest_ready" else None
    found = lab.fire(hook, lab.guests["db-1"] if _for_guest(hook) else None, rehearsal=False)
    (result,) = [one.result for one in found if one.plugin == f"{hook}/{name}"]
    assert result in {Verdict.OK, Verdict.SKIPPED}, report


@pytest.mark.parametrize("page", AUTHORED)
def test_every_configuration_of_a_page_is_valid_with_the_plugins_of_that_page(tmp_path: Path, page: str) -> None:
    own = {plugin_name(one): loaded(one, tmp_path) for one in PYTHON if one.page == page and "hookimpl" in one.text}
    vocabulary = Plugins(Bootstrap(), given=own).vocabulary
    for block in blocks(page):
        if block.language == "yaml":
            assert load.parse(block.text, page).settings(vocabulary)


@pytest.mark.parametrize("page", TYPED)
def test_everything_typed_on_a_page_prints_what_the_page_says(tmp_path: Path, page: str) -> None:
    with Terminal(tmp_path, environment(tmp_path)) as terminal:
        for block in blocks(page):
            if block.title and block.language != "json":
                write(block, tmp_path)
            if block.language == "console" and not block.reason:
                for one in typed(block.text):
                    said, code = terminal.run(one.command)
                    assert fits(said, one.prints), f"$ {one.command}\n{said}\nand not\n" + "\n".join(one.prints)
                    assert code == 0, said


def test_every_python_example_is_strictly_typed(tmp_path: Path) -> None:
    folders = {block.page: tmp_path / block.page.removesuffix(".md") for block in PYTHON}
    for block in PYTHON:
        write(block, folders[block.page])
    roots = [{"root": str(one), "extraPaths": [str(one), *map(str, one.glob("*/src"))]} for one in folders.values()]
    paths = [str(ROOT / "core"), str(ROOT / "plugins")]
    for root in roots:
        root["extraPaths"] = [*root["extraPaths"], *paths]
    config = tmp_path / "pyrightconfig.json"
    config.write_text(
        json.dumps(
            {
                "typeCheckingMode": "strict",
                "executionEnvironments": roots,
                "extraPaths": paths,
                "pythonVersion": "3.11",
            }
        )
    )
    words = [str(Path(sys.executable).with_name("basedpyright")), "-p", str(config), "--pythonpath", sys.executable]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(PYTHON) > 25


def test_every_public_name_stands_on_a_page() -> None:
    text = "\n".join(pages().values())
    api = [name for module in MODULES for name in public_names(module)]
    untold = [name for name in api if not re.search(rf"\b{name}\b", text)]
    assert not untold


@pytest.mark.parametrize("block", [one for page in PAGES for one in blocks(page) if one.language == "json"], ids=named)
def test_every_json_has_the_very_fields_that_a_program_gets(tmp_path: Path, block: Block) -> None:
    lab = lab_of(tmp_path, "", {})
    lab.drop_in(f"{block.title}/50-tell", "#!/bin/sh\ncat\n")
    lab.shutdown(reason=Reason.REBOOT)
    (said,) = {line for line in lab.lines if line.startswith("{") and '"web-1"' in line}
    assert _shape(json.loads(said)) == _shape(json.loads(block.text))


def _shape(value: object) -> object:
    """What fields there are, of what types."""
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_shape(one) for one in cast("list[object]", value)[:1]]
    return type(value).__name__
