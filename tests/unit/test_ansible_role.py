"""The Ansible role's words: its variables are the same wherever they stand. That they work is for tests/host."""

import re
from pathlib import Path
from typing import Any

import yaml

from lastcall.config import load
from lastcall.config.settings import Bootstrap
from lastcall.hooks.discovery import Plugins

ROLE = Path(__file__).parents[2] / "contrib/ansible/lastcall"
DEFAULTS: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
README = (ROLE / "README.md").read_text()


def test_every_variable_of_the_role_is_declared_explained_and_used() -> None:
    declared = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in declared.items()} == DEFAULTS
    assert re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE) == list(DEFAULTS)
    commented = re.findall(r"^#.*\n(\w+):", (ROLE / "defaults/main.yml").read_text(), re.MULTILINE)
    assert commented == list(DEFAULTS)
    used = "".join(path.read_text() for folder in ("tasks", "vars") for path in (ROLE / folder).glob("*.yml"))
    assert set(re.findall(r"(?<!_)\blastcall_\w+", used)) == set(DEFAULTS)


def test_the_configuration_of_its_readme_is_valid() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (role,) = yaml.safe_load(example)[0]["roles"]
    assert set(role) - {"role"} <= set(DEFAULTS)
    document = load.parse(yaml.safe_dump(role["lastcall_config"]), "config.yaml")
    assert document.settings(Plugins(Bootstrap()).vocabulary).shutdown.deadline == 600
