"""The trace: every hook call on standard error, or of one hook on demand, without any cost to those who want none."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.patience import LONGEST
from lastcall.cli.commands.plugins_trace import HOOKS
from lastcall.config.settings import HookSettings
from lastcall.hooks.registry import Registry
from support import PROGRAM, by_name_in, report_of, run_lastcall, write_config

WORLD = "test:///default"
PLUGIN = """
import time, click, lastcall
from lastcall.options import Options, StepOptions

class Settings(Options):
    password: str = "open-sesame"

class Mine(lastcall.StopMethod):
    name, options = "mine", StepOptions
    def request(self, call):
        call.run.domain(call.guest).shutdown("default")

@lastcall.hookimpl
def plugin_options():
    return lastcall.PluginOptions(settings=Settings, guest=Settings)
@lastcall.hookimpl
def stop_methods():
    return [Mine()]
@lastcall.hookimpl
def register_commands(group):
    raise ValueError("no command today")
@lastcall.hookimpl
def guest_settings(guest):
    return {"timeout": "77s", "traced": {"password": "swordfish"}}
@lastcall.hookimpl
def check(run):
    yield lastcall.Problem(what="traced", where="here", message="odd" * 200, remedy="none")
@lastcall.hookimpl
def describe_guest(guest):
    return {"odd": "a\\x1b[2Jb"}
@lastcall.hookimpl
def pre_shutdown(run):
    raise lastcall.Skip("nobody to tell")
@lastcall.hookimpl
def on_guest_stop(guest, run):
    raise ValueError("no\\x1b[2Juse")
@lastcall.hookimpl
def post_shutdown(report):
    time.sleep(3600)
"""
RAISED = PLUGIN.splitlines().index('    raise ValueError("no\\x1b[2Juse")'.replace("\\\\", "\\")) + 1


def world(folder: Path) -> Path:
    more = "hooks: {timeout: 1s}\nplugins: {traced: {password: hush-hush}}\ndefaults: {stop: [mine]}"
    config = write_config(folder, WORLD, more=more)
    (folder / "hooks.d" / "10-traced.py").write_text(PLUGIN)
    script = folder / "hooks.d" / "pre_shutdown" / "20-script"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n# lastcall: reasons=host\nexit 3\n")
    script.chmod(0o755)
    return config


def traced(text: str) -> list[str]:
    """What the trace says, without moments, threads and durations."""
    lines = [line.partition("s  trace: ")[2] for line in text.splitlines() if "s  trace: " in line]
    return [re.sub(r", \d+\.\d{3} s$", "", re.sub(r" in [\w-]+ \d+$| \d+\.\d s(?=>)", "", line)) for line in lines]


def test_a_run_tells_every_call_with_its_arguments_its_order_and_what_came_of_it(tmp_path: Path) -> None:
    config = world(tmp_path)
    done = run_lastcall(config, "shutdown", "--json", env={"LASTCALL_TRACE": "1"})
    assert by_name_in(report_of(done), "test")["outcome"] == "stopped"
    assert "trace:" not in done.stdout
    place = f"{tmp_path}/hooks.d/10-traced.py"
    lines = traced(done.stderr)
    assert [line for line in lines if "of traced" in line][:4] == [
        "plugin_options of traced()",
        "plugin_options of traced: returned settings=Settings, guest=Settings",
        "stop_methods of traced()",
        "stop_methods of traced: returned [mine]",
    ]
    asked = "stop method mine of traced for test: "
    # The guest may be off before its method has returned.
    assert sum(line in {f"{asked}returned None", f"{asked}not waited for any longer"} for line in lines) == 1
    lines = [line for line in lines if not line.startswith(asked)]
    busy = [line for line in lines if line.startswith("guest_busy")]
    assert busy[:2] == [
        "guest_busy for test: agent",
        "guest_busy for test 1/1 agent(guest=test, run=<shutdown, manual,>)",
    ]
    lines = [line for line in lines if line not in busy]
    assert lines[lines.index("guest_settings for test: traced") :] == [
        "guest_settings for test: traced",
        "guest_settings for test 1/1 traced(guest=test)",
        "guest_settings for test 1/1 traced: returned {timeout, traced}",
        "pre_shutdown: traced, pre_shutdown/20-script",
        "pre_shutdown 1/2 traced(run=<shutdown, manual,>)",
        "pre_shutdown 1/2 traced: skipped: nobody to tell",
        "pre_shutdown 2/2 pre_shutdown/20-script: not run: meant for host stops",
        "on_guest_stop for test: traced",
        "on_guest_stop for test 1/1 traced(guest=test, run=<shutdown, manual,>)",
        rf"on_guest_stop for test 1/1 traced: failed: ValueError: no\x1b[2Juse, {place}:{RAISED}",
        "stop method mine of traced for test(guest=test, run=<shutdown, manual,>, attempt=1)",
        "post_shutdown: traced",
        "post_shutdown 1/1 traced(report=<report of a shutdown>)",
        f"post_shutdown 1/1 traced: timeout: no answer within 1.0 s, {place}:{len(PLUGIN.splitlines())}",
    ]


def test_moments_threads_and_durations_are_told(tmp_path: Path) -> None:
    done = run_lastcall(world(tmp_path), "shutdown", "--json", env={"LASTCALL_TRACE": "1"})
    hung = [line for line in done.stderr.splitlines() if "trace: post_shutdown 1/1" in line]
    assert re.search(r" in lastcall-worker \d+$", hung[0])
    began, ended = (float(line.partition("s ")[0]) for line in hung)
    lasted = float(hung[1].split(", ")[-1].removesuffix(" s"))
    assert 1.0 <= lasted <= ended - began + 0.002
    # One clock for loading, run and lines of progress.
    told = [float(line.partition("s ")[0]) for line in done.stderr.splitlines() if re.match(r" +\d", line)]
    assert max(told) - min(told) < ended


@pytest.mark.parametrize(
    "words", [["-v", "plan", "--json"], ["check", "--json"], ["config", "guest", "test", "--json"]]
)
def test_other_commands_are_traced_on_standard_error_and_their_json_is_json(tmp_path: Path, words: list[str]) -> None:
    done = run_lastcall(world(tmp_path), *words, "--json", env={"LASTCALL_TRACE": "1"})
    assert isinstance(json.loads(done.stdout), dict)
    lines = traced(done.stderr)
    assert "guest_settings for test 1/1 traced: returned {timeout, traced}" in lines
    assert ("describe_guest for test 1/2 traced: returned {'odd': 'a\\x1b[2Jb'}" in lines) == ("plan" in words)


def test_values_are_cut_and_nothing_that_is_set_is_told(tmp_path: Path) -> None:
    done = run_lastcall(world(tmp_path), "check", env={"LASTCALL_TRACE": "1"})
    found = next(line for line in traced(done.stderr) if line.startswith("check 1/2 traced: returned"))
    assert "oddodd" in found
    assert len(found.partition("returned ")[2]) <= 200
    for word in ("open-sesame", "swordfish", "hush-hush"):
        assert word not in done.stdout + done.stderr


@pytest.mark.parametrize("wanted", [None, "", "0"])
def test_where_nobody_wants_a_trace_nothing_is_told_nor_loaded_for_it(tmp_path: Path, wanted: str | None) -> None:
    config = world(tmp_path)
    ends = "import os, sys; os._exit = lambda code: print(*sys.modules); from lastcall.cli.main import main; main()"
    command = [sys.executable, "-c", ends, "--config", str(config), "shutdown", "--json"]
    env = {} if wanted is None else {"LASTCALL_TRACE": wanted}
    done = subprocess.run(["env", *(f"{k}={v}" for k, v in env.items()), *command], capture_output=True, text=True)
    assert "trace:" not in done.stderr
    loaded = done.stdout.split()
    assert "lastcall.hooks.dispatch" in loaded
    assert not {"lastcall.hooks.tracing.trace", "lastcall.hooks.tracing.told_values"} & set(loaded)


def test_a_trace_that_nobody_reads_holds_up_nothing(tmp_path: Path) -> None:
    config = world(tmp_path)
    for number in range(400):  # more lines than a pipe takes
        text = "import lastcall\n@lastcall.hookimpl\ndef pre_shutdown(run): run.evidence(long='x')\n"
        (tmp_path / "hooks.d" / f"30-many{number}.py").write_text(text)
    with (tmp_path / "report").open("w") as report:
        process = subprocess.Popen(
            ["env", "LASTCALL_TRACE=1", PROGRAM, "--config", config, "shutdown", "--reason", "power", "--json"],
            stdout=report, stderr=subprocess.PIPE,
        )  # fmt: skip
    process.wait(timeout=LONGEST)
    process.communicate()
    told = json.loads((tmp_path / "report").read_text())
    assert by_name_in(told, "test")["outcome"] == "stopped"
    assert len(told["hooks"]) > 400


def trace(folder: Path, *words: str) -> tuple[int, list[str], str]:
    """The exit code of `lastcall plugins trace`, what it tells, and all that it prints."""
    done = run_lastcall(world(folder), "plugins", "trace", *words)
    return done.returncode, traced(done.stdout), done.stdout + done.stderr


@pytest.mark.parametrize("guests", [["test"], []])
def test_one_hook_is_traced_as_a_rehearsal(tmp_path: Path, guests: list[str]) -> None:
    code, lines, _ = trace(tmp_path, "on_guest_stop", *guests)
    assert code == 1
    assert lines[:2] == [
        "on_guest_stop for test: traced",
        "on_guest_stop for test 1/1 traced(guest=test, run=<shutdown, manual, rehearsal,>)",
    ]
    assert "failed: ValueError" in lines[2]
    assert len(lines) == 3
    # Nothing was stopped, and it was no run.
    assert {file.name for file in (tmp_path / "state").iterdir()} <= {"last-look.json"}


def test_a_hook_is_traced_for_the_reason_that_is_given(tmp_path: Path) -> None:
    code, lines, _ = trace(tmp_path, "pre_shutdown", "--reason", "power")
    assert code == 0
    assert lines[-1].startswith("pre_shutdown 2/2 pre_shutdown/20-script: not run in a rehearsal")


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["check"], "check 1/2 traced: returned [Problem("),
        (["guest_settings"], "guest_settings for test 1/1 traced: returned {timeout, traced}"),
        (["describe_guest", "test"], "describe_guest for test 1/2 traced: returned {'odd'"),
        (["stop_methods"], "stop_methods of traced: returned [mine]"),
    ],
)
def test_hooks_that_no_run_fires_are_traced_too(tmp_path: Path, words: list[str], last: str) -> None:
    code, lines, _ = trace(tmp_path, *words)
    assert [line for line in lines if line.startswith(last)]
    assert all(line.startswith(words[0]) for line in lines)
    assert code == 0


def test_without_a_hook_it_tells_what_loading_calls(tmp_path: Path) -> None:
    code, lines, _ = trace(tmp_path)
    assert "plugin_options of traced: returned settings=Settings, guest=Settings" in lines
    assert [line for line in lines if line.startswith("register_commands of traced: failed: ")]
    assert len(lines) == len(set(lines))
    assert code == 1


def test_what_is_not_called_is_said(tmp_path: Path) -> None:
    assert "no call of pre_restore: no plugin implements it" in trace(tmp_path, "pre_restore")[2]


def test_a_guest_for_a_hook_of_the_whole_run_and_a_hook_that_is_none_are_errors_of_usage(tmp_path: Path) -> None:
    config = world(tmp_path)
    for words in (["pre_shutdown", "test"], ["pre_shutdwn"], ["stop_methods", "test"], ["on_guest_stop", "tst"]):
        assert run_lastcall(config, "plugins", "trace", *words).returncode == 2


def test_every_hook_can_be_traced() -> None:
    assert sorted(HOOKS) == sorted(Registry(HookSettings()).hook_names())


def test_plugins_alone_lists_them_as_ever(tmp_path: Path) -> None:
    done = run_lastcall(world(tmp_path), "plugins", "--json")
    assert "traced" in [one["name"] for one in json.loads(done.stdout)["plugins"]]
