"""The demonstration: the main job on libvirt's in-process test driver. No daemon, no real guest."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from lastcall.api.guests import Reason, RunKind
from lastcall.cli.progress import Progress
from lastcall.hypervisor.bare_connection import WORLD, make_world
from lastcall.report.text import as_text
from lastcall.runs.assembly.stories import build_restore, build_shutdown
from lastcall.runs.loading import load
from lastcall.runs.request import RunRequest
from lastcall.runs.runner import perform

GUESTS = ("db-1", "db-2", "ha-vip", "mail", "scratch", "web-1")

CONFIG = f"""\
connections: ["{WORLD}"]
paths: {{state: FOLDER/state, run: FOLDER/run, hooks: FOLDER/hooks.d}}
restore: {{retry: 1s}}
guests:
  - match: "db-*"
    stop: [{{acpi: {{timeout: 5min}}}}, save]
  - match: "web-*"
    depends_on: ["db-*"]
  - match: mail
    stop: [save]
  - match: scratch
    stop: [destroy]
    restore: false
  - match: "ha-*"
    manage: false
"""

DROPIN = '''\
"""Says goodbye to each guest."""

import lastcall


@lastcall.hookimpl
def on_guest_stop(guest, run):
    if not guest.name.startswith("db-"):
        raise lastcall.Skip("not a database")
    run.log("would flush its tables now")  # which changes nothing: `run.rehearsal` need not be looked at
    run.evidence(dirty_pages=0)


@lastcall.hookimpl
def post_restore(run, report):
    run.log(f"{sum(guest.outcome != 'failed' for guest in report.guests)} guests are back")
'''

EXECUTABLE = """\
#!/bin/sh
# lastcall: rehearse
echo "the host goes down ($LASTCALL_REASON), ${LASTCALL_DEADLINE%.*} s from now at the latest"
"""

_PLAN = ("plan", "--reason", "reboot")


def run_demo(echo: Callable[[str], None]) -> int:
    """Plan, shut down and restore half a dozen guests in a temporary folder; returns the worst exit code."""
    with tempfile.TemporaryDirectory(prefix="lastcall-demo-") as name:
        folder = Path(name)
        config = _set_up(folder)
        # Held to the end: with its last connection libvirt's test driver forgets the guests.
        world = make_world(GUESTS)
        echo(f"Six guests in libvirt's test driver ({WORLD}), and two drop-ins:")
        echo(f"  {folder}/hooks.d/20-goodbye.py\n  {folder}/hooks.d/pre_shutdown/50-tell-people\n")
        echo(f"$ lastcall {' '.join(_PLAN)}")
        code = _plan(config)
        echo("\n$ lastcall shutdown --reason reboot")
        code = max(code, _run(config, RunKind.SHUTDOWN, Reason.REBOOT, echo))
        echo(f"\n  ({_active(world)} of {len(GUESTS)} guests are still active)\n\n$ lastcall restore")
        code = max(code, _run(config, RunKind.RESTORE, Reason.MANUAL, echo))
        echo(f"\n  ({_active(world)} of {len(GUESTS)} guests are active again: scratch is not to be restored)")
    return code


def _active(world: object) -> int:
    return int(getattr(world, "numOfDomains")())  # noqa: B009  a libvirt connection, of which only this is used


def _set_up(folder: Path) -> Path:
    # Drop-ins below a link are refused, and on some systems /tmp is one.
    folder = folder.resolve()
    hooks = folder / "hooks.d" / "pre_shutdown"
    hooks.mkdir(parents=True)
    for made in (hooks.parent, hooks):
        made.chmod(0o700)  # whatever the umask is: a folder writable by others is refused
    (folder / "hooks.d" / "20-goodbye.py").write_text(DROPIN)
    (hooks / "50-tell-people").write_text(EXECUTABLE)
    (hooks / "50-tell-people").chmod(0o700)
    config = folder / "config.yaml"
    config.write_text(CONFIG.replace("FOLDER", str(folder)))
    return config


def _plan(config: Path) -> int:
    from lastcall.cli.main import run

    return run(["--config", str(config), *_PLAN])


def _run(config: Path, kind: RunKind, reason: Reason, echo: Callable[[str], None]) -> int:
    loaded = load(config, reason).for_reason(reason)
    request = RunRequest(kind=kind, reason=reason, sinks=[("progress", Progress(echo).take)])
    report = perform(loaded, request, build_shutdown if kind is RunKind.SHUTDOWN else build_restore)
    echo("")
    echo(as_text(report))
    return report.run.exit_code
