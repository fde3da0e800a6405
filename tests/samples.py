"""The sample drop-ins of hooks.d/ in the lab, as they are, with stand-ins for the programs that they start."""

import re
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lastcall import GuestResult, HookRecord, Report
from lastcall.testing import Lab

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "hooks.d"
# What any host has. Nothing else of this machine is to be found: not its wall, its ceph or its virsh.
_EVERYWHERE = ("cat", "cut", "date", "dirname", "paste", "rm", "sed", "sh", "sleep", "timeout", "true", "uname")


def all_samples() -> list[str]:
    """Every sample, by its path below hooks.d/."""
    return sorted(str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("*") if path.is_file())


def plugin_name(sample: str) -> str:
    """What its plugin is called."""
    return re.sub(r"^\d+-", "", Path(sample).stem).replace("-", "_") if sample.endswith(".py") else sample


def example(sample: str) -> dict[str, Any]:
    """The configuration that a Python sample shows in its text."""
    text = (SAMPLES / sample).read_text()
    found = re.search(r"^    (?:guests|plugins):\n(?:    .*\n)+", text, re.MULTILINE)
    assert found, sample
    return yaml.safe_load(textwrap.dedent(found[0]))


def stage(
    folder: Path,
    *samples: str,
    tools: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Lab:
    """A lab with these samples. `tools`: scripts for sh, by name, with `$here` as the folder in which they are."""
    programs = folder / "bin"
    programs.mkdir()
    for name in _EVERYWHERE:
        (programs / name).symlink_to(shutil.which(name) or "")
    for name, body in (tools or {}).items():
        tool(folder, name, body)
    given = dict(config or {})
    hooks = {**given.get("hooks", {}), "environment": {"PATH": str(programs), **(environment or {})}}
    lab = Lab(folder, config=yaml.safe_dump({**given, "hooks": hooks}))
    for sample in samples:
        lab.drop_in(sample, (SAMPLES / sample).read_text())
    return lab


def tool(folder: Path, name: str, body: str) -> None:
    """Put a stand-in for a program where the samples find it."""
    path = folder / "bin" / name
    path.unlink(missing_ok=True)
    path.write_text(f'#!/bin/sh\nhere=$(dirname "$0")\n{body}\n')
    path.chmod(0o755)


def said(folder: Path, name: str) -> str:
    """What a stand-in has noted in a file beside it; nothing where it was never called."""
    path = folder / "bin" / name
    return path.read_text() if path.exists() else ""


def record(told: Report | GuestResult, sample: str, hook: str = "") -> HookRecord:
    """The one call of a sample's hook."""
    (found,) = [one for one in told.hooks if one.plugin == plugin_name(sample) and hook in {"", one.hook}]
    return found
