"""What `lastcall plugins new` writes is tested, typed, built, judged and installed as its author and users would."""

import json
import os
import re
import sys
from itertools import chain, combinations
from pathlib import Path
from zipfile import ZipFile

import pytest

from lastcall.cli.skeleton.files import Offer, drop_in_files, package_files, write_files
from lastcall.cli.skeleton.names import LONGEST, parse_names
from packages.skeletons import Environment, Kind, pretended_host, steps, write

OFFERS = ("stop-method", "shell", "command")
EVERY = os.environ.get("LASTCALL_SKELETONS") == "every"
"""Whether all combinations are tried, as in `make soak`, or the one with everything."""
NAMES = ("b", "bell", "door-sign", "ups2", "a-name-that-is-quite-too-long", "nut-and-bolt", "x-1", "zz")
SETS = list(chain.from_iterable(combinations(OFFERS, count) for count in range(len(OFFERS) + 1)))
KINDS = [Kind(name=name, offers=offers) for name, offers in zip(NAMES, SETS, strict=True)]
FULL = Kind(name="door-sign", offers=OFFERS)
BREAKS = {
    "option": ("options.py", "default=True", "default=False"),
    "hook": ("__init__.py", "note_of(guest, run).write(guest.name)", "pass"),
    "report": ("__init__.py", "run.evidence(mentioned=len(names))", ""),
    "rehearsal": ("__init__.py", "if run.rehearsal:", "if False:"),
    "check": ("__init__.py", "if folder.is_dir():", "if folder:"),
    "declared options": ("__init__.py", "settings=Settings, guest=ForGuest", "settings=Settings"),
    "stop method": ("stop_method.py", "return [Method()]", "return []"),
    "its options": ("stop_method.py", "call.options.command", '"poweroff"'),
    "its refusal": ("stop_method.py", 'else "no shell is configured for it"', "else None"),
    "guest shell": ("shell.py", "return [Provider()]", "return []"),
    "its input": ("shell.py", "input=command.input", 'input=b""'),
    "its reach": ("shell.py", 'guest.driver == "LXC"', "guest.driver"),
    "command": ("command.py", "group.add_command(ask)", "pass"),
    "its answer": ("command.py", "is not mentioned", "is mentioned"),
}
"""What breaks an offer: in which file, what, and into what."""


@pytest.fixture(scope="module")
def developer(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An author's environment: lastcall, and what pip is to find there already, as it takes long to unpack."""
    made = Environment(folder=tmp_path_factory.mktemp("developer") / "venv", lastcall=wheel)
    return made.make("build", "mypy", "pytest", "ruff", "twine")


@pytest.mark.parametrize("kind", KINDS if EVERY else [FULL], ids=str)
def test_its_ci_passes_it_is_strictly_typed_and_whoever_installs_it_has_all_that_it_offers(
    kind: Kind, developer: Environment, tmp_path: Path
) -> None:
    package = write(kind, developer, tmp_path)
    done = [developer.run(step, package) for step in steps(package)]
    assert re.search(r"^\d+ passed", done[4].splitlines()[-1].strip("= "))
    assert done[-1].count("PASSED") == 2
    judged_by_pyright(package, developer)

    (built,) = (package / "dist").glob("*.whl")
    names = ZipFile(built).namelist()
    assert f"lastcall_{kind.plugin}/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    host = Environment(folder=tmp_path / "host-venv", lastcall=developer.lastcall).make(built)
    serves(kind, host, tmp_path / "host")


def judged_by_pyright(package: Path, environment: Environment) -> None:
    """Raise AssertionError for whatever pyright's strict mode finds."""
    (package / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "include": ["src", "tests"], "pythonVersion": "3.11"})
    )
    words = [Path(sys.executable).with_name("basedpyright"), "--pythonpath", environment.python]
    assert "0 errors, 0 warnings" in environment.run(words, package)


def finds_nothing(host: Environment, config: Path) -> bool:
    """Whether `lastcall check` finds nothing, but in this machine's units: whoever names a file does not mean these."""
    said = host.run(["lastcall", "--config", config, "check"], config.parent)
    return said.endswith("nothing wrong found\n")


def serves(kind: Kind, host: Environment, folder: Path) -> None:
    """On a host it is listed, its hooks fire, its stop method is asked, its command answers."""
    ladder = f"defaults: {{stop: [{kind.plugin}, acpi]}}\n" if "stop-method" in kind.offers else ""
    config = pretended_host(folder, kind.plugin, ladder)
    listed = json.loads(host.run("lastcall plugins --json", folder, config=config))
    assert listed["problems"] == []
    assert [one["where"] for one in listed["plugins"] if one["name"] == kind.plugin] == [f"lastcall-{kind.name} 0.1.0"]
    assert (kind.plugin in listed["stop_methods"]) == ("stop-method" in kind.offers)
    assert (kind.plugin in listed["guest_shells"]) == ("shell" in kind.offers)
    assert finds_nothing(host, config)
    host.run("lastcall hook on_guest_stop --guest test && lastcall hook post_shutdown", folder, config=config)
    assert not (folder / "said").exists(), "that was a rehearsal"
    report = json.loads(host.run("lastcall shutdown --json --reason reboot", folder, config=config))
    assert (folder / "said").read_text() == "closed (reboot), 1 guests: test\n"
    assert {one["hook"] for one in report["hooks"] if one["plugin"] == kind.plugin} == {"post_shutdown"}
    methods = [attempt["method"] for attempt in report["guests"][0]["attempts"]]
    assert (kind.plugin in methods) == bool(ladder)
    assert methods[-1] == "acpi"
    if "command" in kind.offers:
        assert host.run(f"lastcall {kind.name} 'te*'", folder, config=config) == "test: is mentioned\n"
    else:
        host.run(f"lastcall {kind.name} 'te*'", folder, code=2, config=config)


def test_however_long_its_name_is_every_line_is_formatted(developer: Environment, tmp_path: Path) -> None:
    for length in range(1, LONGEST + 1):
        names = parse_names("x" * length)
        write_files(tmp_path, package_files(names, Offer))
        write_files(tmp_path / f"drop-in-{length}", drop_in_files(names))
    (tmp_path / "ruff.toml").write_text("line-length = 100\n")  # for the drop-ins
    assert "All checks passed!" in developer.run("ruff check . && ruff format --check .", tmp_path)


@pytest.mark.parametrize("name", ["doorbell", "x", "a" * 30] if EVERY else ["doorbell"])
def test_a_drop_in_passes_its_test_and_serves_where_it_is_copied(
    name: str, developer: Environment, tmp_path: Path
) -> None:
    said = developer.run(["lastcall", "plugins", "new", name, "--drop-in"], tmp_path)
    test, copy = (line.strip() for line in said.splitlines()[-2:])
    plugin = name.replace("-", "_")
    config = pretended_host(tmp_path / "host", plugin)
    assert "4 passed" in developer.run(test, tmp_path)
    developer.run("ruff check --select E4,E7,E9,F,B,I,UP && ruff format --check --line-length 100", tmp_path)
    developer.run("mypy --strict hooks.d tests", tmp_path)
    developer.run(copy.replace("/etc/lastcall", str(tmp_path / "host")), tmp_path)
    assert finds_nothing(developer, config)
    developer.run("lastcall shutdown --yes", tmp_path, config=config)
    assert (tmp_path / "host/said").read_text() == "closed (manual), 1 guests: test\n"


@pytest.mark.parametrize("broken", [*BREAKS] if EVERY else ["hook"])
def test_what_no_longer_works_fails_its_tests(broken: str, developer: Environment, tmp_path: Path) -> None:
    package = write(FULL, developer, tmp_path)
    name, what, into = BREAKS[broken]
    file = package / "src/lastcall_door_sign" / name
    assert what in file.read_text()
    file.write_text(file.read_text().replace(what, into))
    assert " failed" in developer.run(f"PYTHONPATH={package}/src python -m pytest -q", package, code=1)
