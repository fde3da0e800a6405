"""What several tests need."""

import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.patience import LONGEST
from lastcall import Guest, GuestResult, HypervisorError, Reason, Report, RunKind
from lastcall.api.guests import Key
from lastcall.hooks.call import RunContext
from lastcall.persistence.state import StateFile
from lastcall.testing.memory import Hangs
from lastcall.timing.deadline import Deadline
from lastcall.timing.terms import Terms

AWAKE = ("env", "--default-signal=INT")  # whoever started the tests may ignore it, which would be inherited
PROGRAM = Path(sys.executable).with_name("lastcall")
_DIES = """\
import os, signal, sys
from functools import partial
from pathlib import Path
from lastcall import Reason, RunKind
from lastcall.planning.selection import Selection
from lastcall.runs.assembly.stories import build_restore, build_shutdown
from lastcall.runs.request import RunRequest
from lastcall.runs.runner import perform
from lastcall.runs.loading import load

config, record, kind, reason, *names = sys.argv[1:]
count = 0
def die(_):
    global count
    count += 1
    if count == int(record):
        os.kill(os.getpid(), signal.SIGKILL)

request = RunRequest(kind=RunKind(kind), reason=Reason(reason), sinks=[("dies", die)])
build = partial(build_shutdown, chosen=Selection(names)) if kind == "shutdown" else build_restore
perform(load(Path(config)), request, build)
if reason != "manual":  # what comes after this run never does
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_at(
    config: Path, record: int, kind: str = "shutdown", *, reason: str = "manual", names: Sequence[str] = ()
) -> None:
    """Do a run that is killed at its nth record; one that is the first half of something, at its end at the latest."""
    command = [sys.executable, "-c", _DIES, str(config), str(record), kind, reason, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST)
    assert done.returncode == -signal.SIGKILL, done.stderr


def takes_its_time(hook: str, seconds: float | str = 3) -> str:
    """A plugin that takes so long for a hook of guests; an expression may depend on the `guest`."""
    return f"import time\nimport lastcall\n\n@lastcall.hookimpl\ndef {hook}(guest, run):\n    time.sleep({seconds})\n"


def waits_for(path: Path, hook: str = "on_guest_stop") -> str:
    """A plugin whose hook of guests waits until there is a file."""
    return (
        f"import os, time\nimport lastcall\n\n@lastcall.hookimpl\ndef {hook}(guest, run):\n"
        f"    while not os.path.exists({str(path)!r}):\n        time.sleep(0.05)\n"
    )


def by_name(report: Report, name: str) -> GuestResult:
    """The result of one guest."""
    return next(guest for guest in report.guests if guest.name == name)


def waiting_guests(folder: Path) -> list[str]:
    """The names on the list of guests to restore."""
    return [entry["name"] for entry in json.loads((folder / "state.json").read_text())["guests"]]


def next_boot(folder: Path, ident: str) -> None:
    """Make the state file that of the boot before, of which only the id counts."""
    text = (folder / "state.json").read_text()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (folder / "state.json").write_text(text.replace(boot, ident))


def list_of_a_killed_run(folder: Path, guests: Sequence[Guest], *, restarting: Sequence[Key]) -> None:
    """Leave the list that a run leaves that was killed after its first requests."""
    state = StateFile(folder)
    state.add(guests, run="killed", boot_id="boot", cause="hand", due=False, restarting=restarting)
    state.save()


def run_context(clock: Callable[[], float]) -> RunContext:
    """A run without guests, options or domains, for tests of single calls."""

    def nothing(*_: object, **__: object) -> Any:
        raise HypervisorError("not in this test")

    return RunContext(
        id="run",
        kind=RunKind.SHUTDOWN,
        rehearsal=False,
        terms=Terms(Reason.MANUAL, Deadline.after(clock(), None), clock),
        folders=Path("/nonexistent"),
        options=nothing,
        settings=nothing,
        domain=nothing,
    )


def run_lastcall(
    config: Path, *words: str, env: Mapping[str, str] | None = None, timeout: float = LONGEST
) -> "subprocess.CompletedProcess[str]":
    """Run the installed program with this configuration."""
    command = [str(PROGRAM), "--config", str(config), *words]
    environment = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environment)


def report_of(result: "subprocess.CompletedProcess[str]") -> Any:
    """The JSON report on standard output."""
    assert result.stdout, result.stderr
    return json.loads(result.stdout)


def write_config(folder: Path, *uris: str, more: str = "") -> Path:
    """A configuration that keeps everything in `folder`."""
    for name in ("state", "run", "hooks.d"):
        (folder / name).mkdir(exist_ok=True, mode=0o755)
    listed = ", ".join(json.dumps(uri) for uri in uris)
    paths = f"{{state: {folder}/state, run: {folder}/run, hooks: {folder}/hooks.d}}"
    config = folder / "config.yaml"
    config.write_text(f"connections: [{listed}]\npaths: {paths}\n{more}")
    return config


def start_and_wait_for(config: Path, line: str, *words: str) -> "subprocess.Popen[str]":
    """Start the program and return when it has said this on standard error."""
    command = [*AWAKE, str(PROGRAM), "--config", str(config), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for said in process.stderr:
        if line in said:
            return process
    raise AssertionError(f"{line!r} was never said")


def dependencies(names: Sequence[str], count: int) -> str:
    """Rules with about so many dependencies between these guests, always the same, without a cycle."""
    chance = random.Random(1)
    needs: dict[str, set[str]] = {}
    for _ in range(count):
        one, other = sorted(chance.sample(range(len(names)), 2))
        needs.setdefault(names[other], set()).add(names[one])
    lines = [f"  - {{match: {name}, depends_on: [{', '.join(sorted(below))}]}}" for name, below in needs.items()]
    return "\n".join(["guests:", *lines])


def over_in_time(report: Any) -> bool:
    """Whether a run was over by its deadline, which the tests on the clock that jumps prove to the second.

    Here a fifth more is for what a busy machine needs to see that it is time: what hangs, hangs for minutes.
    """
    return report["run"]["duration"] <= 1.2 * report["run"]["deadline"]


def by_name_in(report: Any, name: str) -> Any:
    """The result of one guest in a report's JSON."""
    return next(guest for guest in report["guests"] if guest["name"] == name)


def records(folder: Path, report: Any, kind: str) -> list[Any]:
    """The records of one type in the log of the run that this report is of."""
    log = folder / "state" / "runs" / f"{report['run']['id']}.jsonl"
    return [record for record in map(json.loads, log.read_text().splitlines()) if record["type"] == kind]


def order_asked(folder: Path, report: Any) -> list[str]:
    """The names of a run's guests as they were asked first: by the log, since two may share a millisecond."""
    names = {guest["uuid"]: guest["name"] for guest in report["guests"]}
    return [names[record["guest"][1]] for record in records(folder, report, "GuestAsked") if record["attempt"] == 1]


def shell_blocks(page: str) -> list[list[str]]:
    """The blocks of commands that a page of the docs shows, a line each."""
    text = (Path(__file__).parents[1] / "docs" / page).read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block.splitlines() for language, block in blocks if not language]


def unit_blocks(page: str) -> dict[str, str]:
    """The unit files that a page of the docs shows, by the path in their first line."""
    text = (Path(__file__).parents[1] / "docs" / page).read_text()
    return dict(re.findall(r"^```ini\n# (\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def looks(after: str) -> list[tuple[str, str]]:
    """(command, what it is to say) for each look that docs/install.md advises after something."""
    text = (Path(__file__).parents[1] / "docs/install.md").read_text()
    found = re.findall(rf"^\| {re.escape(after)} \| `(.+?)` \| `(.+?)` \|$", text, re.MULTILINE)
    assert found, after
    return found


def yaml_blocks(page: str) -> list[str]:
    """The configurations that a page of the docs shows."""
    text = (Path(__file__).parents[1] / "docs" / page).read_text()
    return re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def default_paths(folder: Path) -> Path:
    """Make what `at_default_paths` needs; returns where the configuration file is to be."""
    for name in ("lib", "run"):
        (folder / name).mkdir()
    subprocess.run(["cp", "-a", "/etc", str(folder / "etc")], check=True)
    file = folder / "etc" / "lastcall" / "config.yaml"
    file.parent.mkdir(exist_ok=True)
    return file


def at_default_paths(folder: Path, *words: str, user: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    """Run the program as an administrator would, with /etc/lastcall, /var/lib/lastcall and /run being `folder`'s."""
    mounts = "\n".join(f"mount --bind {folder}/{name} /{path}" for name, path in
                       (("etc", "etc"), ("lib", "var/lib"), ("run", "run")))  # fmt: skip
    command = shlex.join([*AWAKE, *user, str(PROGRAM), *words])
    shell = ["unshare", "--mount", "sh", "-e", "-c", f"{mounts}\nexec {command}"]
    return subprocess.run(shell, capture_output=True, text=True, check=False, timeout=LONGEST)


def hang_over_write(number: int, patch: pytest.MonkeyPatch) -> list[StateFile]:
    """Have the disk hang over this write of the list of guests, from 1; returns what is written, as it is."""
    whole, writes = StateFile.snapshot, list[StateFile]()

    def hangs(state: StateFile) -> Callable[[], None]:
        writes.append(state)
        return never if len(writes) == number else whole(state)

    def never() -> None:
        raise Hangs

    patch.setattr(StateFile, "snapshot", hangs)
    return writes
