"""Where things are kept, found without pydantic: the same as the whole configuration says, or nothing at all."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from lastcall.config.load import read
from lastcall.config.paths import POLICIES, SECTIONS, Places, find_places
from lastcall.config.settings import PathSettings, RestoreSettings, Settings
from support import PROGRAM, write_config


@pytest.mark.parametrize(
    "text",
    [
        "# nothing\n",
        "paths: {state: /a}\n",
        "paths: {state: /a, run: /b/c, hooks: '/with space'}\n",
        "restore: {policy: none, parallel: 2}\n",
        "restore: {policy: was-running}\n",
        "connections: [test:///default]\nguests: [{match: a, nonsense: 1}]\npaths: {run: /r}\n",
    ],
)
def test_the_places_are_those_of_the_whole_configuration(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "50.yaml").write_text("paths: {hooks: /later}\n")
    paths = read(config).bootstrap.paths
    found, document = find_places(config), read(config)
    assert found == Places(
        paths.state, paths.run, paths.hooks, brings_back="none" not in text, files=document.files,
        connections=("test:///default",) if "test:" in text else ("qemu:///system",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "uris"),
    [
        ("[a:///b, {uri: c, optional: true}, a:///b]", ("a:///b", "c")),
        ("[default]", ("default",)),
        ("[{uri: b, watch: true}, a, {uri: c, watch: false}]", ("a", "c")),
        ("[]", ()),
        ("qemu:///system", ()),
        ("[a, {url: c}]", ()),
        ("[a, 1]", ()),
        ("null", ()),
    ],
)
def test_connections_that_are_not_plain_cost_nobody_the_places(
    tmp_path: Path, text: str, uris: tuple[str, ...]
) -> None:
    """A host stop asks for these first, whatever is wrong with the rest."""
    config = tmp_path / "config.yaml"
    config.write_text(f"connections: {text}\npaths: {{state: /a}}\n")
    found = find_places(config)
    assert found
    assert (found.state, found.connections) == (Path("/a"), uris)


@pytest.mark.parametrize(
    "text", ["paths: [a]\n", "paths: {state: 1}\n", "paths: {stat: /a}\n", "paths: {run: b/c}\n",
             "paths: {state: null}\n", "nonsense: 1\n",
             "paths: {state: /a\n", "[]\n", "", "restore: none\n", "restore: {policy: never}\n",
             "restore: {policy: null}\n", "restore: {policy: [none]}\n"]
)  # fmt: skip
def test_whatever_is_not_plain_is_left_to_those_who_look_closer(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert find_places(config) is None
    assert find_places(tmp_path / "missing.yaml") is None


def test_the_sections_and_defaults_are_those_of_the_models() -> None:
    assert frozenset(Settings.model_fields) == SECTIONS
    assert Places(**PathSettings().model_dump(), brings_back=RestoreSettings().brings_back) == Places()
    assert get_args(RestoreSettings.model_fields["policy"].annotation) == POLICIES


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["report"],
        ["runs"],
        ["announce", "--reason", "power"],
        ["forget", "--all"],
        ["stamp"],
        ["power", "line"],
    ],
)
def test_what_only_looks_at_files_loads_neither_plugins_nor_pydantic_nor_asyncio_nor_libvirt(
    tmp_path: Path, words: list[str]
) -> None:
    config = write_config(tmp_path, "test:///default")
    subprocess.run([PROGRAM, "--config", config, "-q", "shutdown"], capture_output=True, check=True, timeout=120)
    script = "import sys\nfrom lastcall.cli.main import run\ncode = run(sys.argv[1:])\nprint(code, *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, "--config", str(config), *words], capture_output=True, text=True, timeout=120,
        check=True,
    )  # fmt: skip
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code in {"0", "3"}, done.stderr
    assert "lastcall.config.paths" in modules
    heavy = {"pydantic", "pydantic_core", "asyncio", "libvirt", "pluggy", "lastcall_plugins", "rich", "jinja2"}
    assert not {*heavy, "hashlib", "statistics"} & set(modules)
    assert ("lastcall.planning.selection" in modules) == (words == ["forget", "--all"]), "most are about no guest"


@pytest.mark.parametrize("words", [["stamp"], ["shutdown", "--from-unit"], ["restore", "--from-unit"]])
def test_what_systemd_calls_needs_no_click_and_looks_up_nothing_that_is_installed(
    tmp_path: Path, words: list[str]
) -> None:
    config = write_config(tmp_path, "test:///default")
    script = "import sys\nfrom lastcall.cli.main import run\ncode = run(sys.argv[1:])\nprint(code, *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=120, check=True,
        env={"PATH": "/usr/bin:/bin", "LASTCALL_CONFIG": str(config)},
    )  # fmt: skip
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0", done.stderr
    assert "lastcall.cli.unit.calls" in modules
    assert not {"click", "importlib.metadata", "difflib"} & set(modules)
