"""A host for the picture: the guests of the sample's runs on libvirt's test driver, with their past and a plan.

That driver makes its world anew in each process, so that it is always the same; nothing can be stopped in it.
"""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from lastcall.persistence.boot_stamp import BootStamp
from lastcall.planning.history import History
from lastcall.report.run_history import latest, past_runs

_SETTINGS = """\
defaults: {stop: [{acpi: {timeout: 60s}}]}
guests:
  - {match: shop, depends_on: [mail, "db-*", cache-1], stop: [{acpi: {timeout: 45s}}, {acpi: {timeout: 30s}}]}
  - {match: "web-*", depends_on: [shop], stop: [{acpi: {timeout: 30s}}]}
  - {match: "db-*", depends_on: [storage], stop: [{acpi: {timeout: 90s}}, save]}
  - {match: mail, depends_on: [storage]}
  - {match: win-files, stop: [{acpi: {timeout: 3min}}]}
  - {match: ci-runner, stop: [save], restore: false}
"""
_HOOK = "#!/bin/sh\n# lastcall: rehearse\necho the host goes down\n"


def sample_host(folder: Path, runs: Path) -> Path:
    """Make it in an empty folder, of the run logs of another; returns the folder with its program `lastcall`."""
    world, state, run, hooks = (folder / name for name in ("world.xml", "state", "run", "hooks.d"))
    for one in (run, hooks / "pre_shutdown", folder / "bin"):
        one.mkdir(parents=True)
    shutil.copytree(runs, state / "runs")
    uri = f"test://{world}"
    (folder / "config.yaml").write_text(
        f"connections: [{json.dumps(uri)}]\npaths: {{state: {state}, run: {run}, hooks: {hooks}}}\n{_SETTINGS}"
    )
    hook = hooks / "pre_shutdown/50-tell-people"
    hook.write_text(_HOOK)
    hook.chmod(0o755)
    (last, *_) = latest(past_runs(state / "runs"))
    guests = {one.name: one.uuid for one in last.report.guests}
    world.write_text("<node>" + "".join(_domain(name, uuid) for name, uuid in guests.items()) + "</node>")
    _remember(state, uri)
    BootStamp(run).begin()
    return program(folder / "bin", folder / "config.yaml")


def program(folder: Path, config: Path) -> Path:
    """Put a `lastcall` into a folder that is this one, with a configuration; returns the folder."""
    wrapper = folder / "lastcall"
    words = shlex.join([sys.executable, "-m", "lastcall", "--config", str(config)])
    places = shlex.quote(":".join(one for one in map(_absolute, sys.path) if one))
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={places} exec {words} "$@"\n')
    wrapper.chmod(0o755)
    return folder


def _absolute(place: str) -> str:
    return str(Path(place).absolute()) if place and Path(place).is_dir() else ""


def _remember(state: Path, uri: str) -> None:
    """What plans know of earlier runs; the sample has its guests elsewhere."""
    history = History(state)
    for run in past_runs(state / "runs"):
        history.learn(run.report.guests, run.report.hooks)
    history.write("".join(_elsewhere(history.render(), uri)))


def _elsewhere(content: str, uri: str) -> Iterator[str]:
    known = json.loads(content)
    known["guests"] = {f"{uri} {key.split()[-1]}": one for key, one in known["guests"].items()}
    yield json.dumps(known)


def _domain(name: str, uuid: str) -> str:
    return (
        f"<domain type='test'><name>{escape(name)}</name><uuid>{uuid}</uuid><memory>65536</memory>"
        "<os><type>hvm</type></os></domain>"
    )
