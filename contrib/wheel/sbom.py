"""Puts a bill of materials into every wheel, where PEP 770 has it, and made of what pyproject.toml declares.

The wheel has no code but our own. What it needs is named as being outside of it, by range: which version is used is
for whoever installs it to say.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

NAME = "lastcall.cdx.json"


class SbomHook(BuildHookInterface[BuilderConfig]):
    """Called by hatchling, which finds the one hook of this file by its base class."""

    _scratch: "tempfile.TemporaryDirectory[str]"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the bill beside the build, which takes it along. `version`: standard or editable."""
        facts = self.metadata  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        core = facts.core
        text = sbom(core.name, facts.version, str(core.license_expression), core.dependencies)
        self._scratch = tempfile.TemporaryDirectory()
        path = Path(self._scratch.name) / NAME
        path.write_text(text, encoding="utf-8")
        build_data["sbom_files"].append(str(path))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        self._scratch.cleanup()


def sbom(name: str, version: str, licence: str, dependencies: list[str]) -> str:
    """The bill as JSON of CycloneDX 1.7; of the same facts the same text. `dependencies` as in pyproject.toml."""
    needs = sorted(_components(dependencies), key=lambda component: component["name"])
    ours = f"pkg:pypi/{name}@{version}"
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": name,
                "version": version,
                "licenses": [{"expression": licence}],
                "purl": ours,
            },
        },
        "components": needs,
        "dependencies": [{"ref": ours, "dependsOn": [component["bom-ref"] for component in needs]}],
    }
    return json.dumps(bill, indent=2) + "\n"


def _components(dependencies: list[str]) -> Iterator[dict[str, Any]]:
    # The same may be needed in a newer version by a newer Python: the range is that of all of them.
    widest = {
        canonicalize_name(one.name): one for one in sorted(map(Requirement, dependencies), key=_floor, reverse=True)
    }
    for name, requirement in widest.items():
        purl = f"pkg:pypi/{name}"
        ranges = sorted(str(one) for one in requirement.specifier)
        component = {"type": "library", "bom-ref": purl, "name": name, "purl": purl, "isExternal": True}
        if ranges:
            component["versionRange"] = f"vers:pypi/{'|'.join(ranges)}"
        yield component


def _floor(requirement: Requirement) -> Version:
    """The oldest version that will do."""
    return max((Version(one.version) for one in requirement.specifier), default=Version("0"))
