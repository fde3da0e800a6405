"""A hook, a plugin or a guest that says things without end costs itself its time, and nobody else anything."""

import json
import re
from pathlib import Path

import pytest

from support import report_of, run_lastcall, write_config

WORLD = "test:///default"
DEADLINE = 12.0
LOOP = """
import lastcall
@lastcall.hookimpl
def on_guest_stop(guest, run):
    while True:
        run.log("y")
"""
TEXT = LOOP.replace("while True:", "for _ in range(3):").replace('"y"', '"\\n" * 30_000_000')
WORLD_OF_TWO = """
<node>
  <cpu><nodes>1</nodes><sockets>1</sockets><cores>2</cores><threads>1</threads><active>2</active><mhz>1000</mhz>
    <model>x</model></cpu>
  <memory>1000000</memory>
  <domain type="test"><name>loud</name><memory>1000</memory><os><type>hvm</type></os></domain>
  <domain type="test"><name>quiet</name><memory>1000</memory><os><type>hvm</type></os></domain>
</node>
"""
LOCAL_SHELL = """
import subprocess, lastcall
class Session(lastcall.ShellSession):
    def execute(self, command):
        done = subprocess.run(command.argv, input=command.input, capture_output=True)
        return lastcall.CommandResult(exit_code=done.returncode, stdout=done.stdout.decode(),
            stderr=done.stderr.decode(), truncated=False, duration=0.0, shell="local")
class Local(lastcall.GuestShell):
    name = "local"
    def connect(self, guest, run): return Session()
@lastcall.hookimpl
def guest_shells(): return [Local()]
@lastcall.hookimpl
def on_guest_stop(guest, run):
    if guest.name == "quiet":
        for _ in range(50): run.sleep(0.02)
"""
PROGRAM = "#!/bin/sh\nexec yes\n"
ENDLESS_LINE = "#!/bin/sh\nexec cat /dev/zero\n"


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("on_guest_stop/10-f", PROGRAM),
        ("on_guest_stop/10-f", ENDLESS_LINE),
        ("10-f.py", LOOP),
        ("10-f.py", TEXT),
    ],
    ids=["program", "endless line", "plugin in a loop", "plugin with huge texts"],
)
def test_a_flood_ends_by_the_deadline_with_every_guest_stopped(tmp_path: Path, where: str, text: str) -> None:
    config = write_config(tmp_path, WORLD, more="hooks: {timeout: 1s}")
    path = tmp_path / "hooks.d" / where
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if text.startswith("#!") else 0o644)
    done = run_lastcall(config, "-v", "shutdown", "--json", "--deadline", f"{DEADLINE}s")
    report = report_of(done)
    assert [guest["outcome"] for guest in report["guests"]] == ["stopped"]
    assert report["run"]["duration"] < DEADLINE
    (log,) = (tmp_path / "state" / "runs").glob("*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    lines = [record["line"] for record in records if record["type"] == "HookSaid"]
    assert re.search(r"… cut: \d+ more (lines?|bytes) left out$", lines[-1])
    assert lines[-1].rpartition("…")[2] in done.stderr
    assert len(lines) < 3000


def test_a_guest_whose_commands_print_line_ends_by_the_mebibyte_does_not_delay_another(tmp_path: Path) -> None:
    def duration(folder: Path, command: str) -> float:
        folder.mkdir()
        (folder / "world.xml").write_text(WORLD_OF_TWO)
        rule = f"guests: [{{match: loud, shell: local, commands: [{', '.join([json.dumps(command)] * 4)}]}}]"
        config = write_config(folder, f"test://{folder}/world.xml", more=rule)
        (folder / "hooks.d" / "local.py").write_text(LOCAL_SHELL)
        report = report_of(run_lastcall(config, "-v", "shutdown", "--yes", "--json"))
        assert [hook["result"] for guest in report["guests"] for hook in guest["hooks"]] == ["ok"] * 3
        return next(guest["duration"] for guest in report["guests"] if guest["name"] == "quiet")

    calm = duration(tmp_path / "calm", "true")
    assert duration(tmp_path / "flood", "head -c 1048576 /dev/zero | tr '\\0' '\\n' | tee /dev/stderr") < 3 * calm
