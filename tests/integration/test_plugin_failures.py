"""A plugin that fails where a command asks it: named, with file and line, in bounded time, and nobody else's loss."""

import json
import os
from pathlib import Path

import pytest

from support import run_lastcall, write_config

WORLD = "test:///default"
HEAD = "import sys, time, click, lastcall\nfrom lastcall.options import StepOptions\n"


def with_plugin(folder: Path, text: str, more: str = "hooks: {timeout: 1s}") -> tuple[Path, str]:
    """A configuration, and the file of a drop-in with this text; its first line is number 3."""
    config = write_config(folder, WORLD, more=more)
    file = folder / "hooks.d" / "10-bmc.py"
    file.write_text(HEAD + text)
    return config, str(file)


WAYS = {
    "raises": ("raise ValueError('boom')", "ValueError: boom"),
    "exits": ("sys.exit(3)", "SystemExit: 3"),
    "hangs": ("time.sleep(3600)", "no answer within"),
    "refuses": ("raise lastcall.HookFailed('not today')", "not today"),
    "returns nonsense": ("return 5", ""),
}


@pytest.mark.parametrize(
    ("hook", "command", "way"),
    [
        *(("check()", ["check"], way) for way in WAYS),
        ("check_guest(guest)", ["check"], "raises"),
        ("guest_settings(guest)", ["check"], "hangs"),
        ("guest_settings(guest)", ["plan"], "raises"),
        ("guest_settings(guest)", ["config", "guest", "test"], "returns nonsense"),
        ("guest_settings(guest)", ["hook", "on_guest_stop", "--guest", "test"], "refuses"),
        ("describe_guest(guest)", ["-v", "plan"], "raises"),
        ("pre_shutdown()", ["hook", "pre_shutdown"], "hangs"),
        ("on_guest_stop(guest)", ["hook", "on_guest_stop", "--guest", "test"], "raises"),
    ],
)
def test_a_hook_that_fails_is_shown_by_the_command_that_asked(
    tmp_path: Path, hook: str, command: list[str], way: str
) -> None:
    statement, words = WAYS[way]
    config, file = with_plugin(tmp_path, f"@lastcall.hookimpl\ndef {hook}:\n    {statement}\n")
    done = run_lastcall(config, *command)
    place = f"{file}:{3 if way == 'returns nonsense' else 5}"
    told = [
        line for line in (done.stdout + done.stderr).splitlines() if hook.partition("(")[0] in line and place in line
    ]
    assert told
    assert all("bmc" in line and words in line for line in told)
    assert done.returncode == 1
    assert "nothing wrong found" not in done.stdout


def test_with_v_check_tells_the_way_to_the_failure(tmp_path: Path) -> None:
    config, file = with_plugin(tmp_path, "@lastcall.hookimpl\ndef check():\n    raise ValueError('boom')\n")
    done = run_lastcall(config, "-v", "check", "--json")
    assert json.loads(done.stdout)["problems"]
    assert f'File "{file}", line 5, in check' in done.stderr
    assert "line 5, in check" not in run_lastcall(config, "check").stderr


METHOD = """
class Mine(lastcall.StopMethod[StepOptions]):
    name = "mine"
    options = StepOptions
    def unfit(self, guest, run):
        {}
    def request(self, call):
        pass
@lastcall.hookimpl
def stop_methods():
    return [Mine()]
"""


@pytest.mark.parametrize("way", ["raises", "exits", "refuses", "hangs"])
def test_a_method_that_fails_to_say_whether_it_fits_is_a_problem_of_the_plan(tmp_path: Path, way: str) -> None:
    statement, words = WAYS[way]
    config, file = with_plugin(tmp_path, METHOD.format(statement), more="defaults: {stop: [mine, acpi]}")
    done = run_lastcall(config, "plan", "--json")
    shown = json.loads(done.stdout)
    (problem,) = [one for one in shown["problems"] if one["what"] == "plugin"]
    assert problem["message"].startswith(f"plugin 'bmc' ({file}) failed: ")
    assert words in problem["message"]
    assert way == "refuses" or problem["message"].endswith(f", {file}:8")
    assert [step["method"] for step in shown["guests"][0]["stop"]] == ["mine", "acpi"]
    assert done.returncode == 1


SHELL = """
class Session:
    def execute(self, command):
        {execute}
    def close(self):
        pass
class Mine(lastcall.GuestShell):
    name = "mine"
    def unfit(self, guest, run):
        {unfit}
    def connect(self, guest, run):
        {connect}
        return Session()
@lastcall.hookimpl
def guest_shells():
    return [Mine()]
@lastcall.hookimpl
def on_guest_stop(guest, run):
    run.shell(guest).run("true")
"""


@pytest.mark.parametrize(("place", "line"), [("execute", 6), ("unfit", 12), ("connect", 14)])
def test_a_guest_shell_that_fails_is_named_and_not_the_hook_that_used_it(tmp_path: Path, place: str, line: int) -> None:
    places = {**dict.fromkeys(("execute", "unfit", "connect"), "pass"), place: "raise ValueError('boom')"}
    config, file = with_plugin(tmp_path, SHELL.format(**places), more="defaults: {shell: mine}")
    user = tmp_path / "hooks.d" / "20-uses.py"
    user.write_text(
        "import lastcall\n@lastcall.hookimpl\ndef on_guest_stop(guest, run):\n    run.shell(guest).run('x')\n"
    )
    told = f"plugin 'bmc' ({file}) failed: ValueError: boom, {file}:{line}"
    checked = run_lastcall(config, "-v", "check", "--guests")
    assert told in checked.stdout
    assert f'File "{file}", line {line}' in checked.stderr
    assert checked.returncode == 1
    hooks = json.loads(run_lastcall(config, "hook", "on_guest_stop", "--guest", "test", "--json").stdout)
    (call,) = [one for one in hooks["fired"][0]["calls"] if one["plugin"] == "uses"]
    assert (call["message"], call["where"]) == (told, f"{user}:4")


COMMAND = """
@click.command("enroll")
@click.option("--kind", shell_complete=lambda ctx, param, incomplete: complete())
def enroll(kind):
    {command}
def complete():
    {complete}
@lastcall.hookimpl
def register_commands(group):
    {register}
    group.add_command(enroll)
"""
FINE = {"command": "pass", "complete": "return ['fast']", "register": "pass"}


def test_a_command_of_a_plugin_that_fails_is_its_failure_and_no_bug_of_ours(tmp_path: Path) -> None:
    config, file = with_plugin(tmp_path, COMMAND.format(**{**FINE, "command": "raise ValueError('boom')"}))
    done = run_lastcall(config, "enroll")
    assert done.stderr == f"lastcall: plugin 'bmc' ({file}) failed: ValueError: boom, {file}:7\n"
    assert done.returncode == 1
    assert f'File "{file}", line 7, in enroll' in run_lastcall(config, "-v", "enroll").stderr


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        ("sys.exit(9)", 9, ""),
        ("sys.exit()", 0, ""),
        ("raise lastcall.LastcallError('no BMC', 'plug it in')", 1, "lastcall: no BMC\n  → plug it in\n"),
        ("raise click.UsageError('which one?')", 2, "which one?"),
    ],
)
def test_what_a_command_means_to_say_stays_its_word(tmp_path: Path, statement: str, code: int, said: str) -> None:
    config, _ = with_plugin(tmp_path, COMMAND.format(**{**FINE, "command": statement}))
    done = run_lastcall(config, "enroll")
    assert (done.returncode, said in done.stderr, "failed" in done.stderr) == (code, True, False)


@pytest.mark.parametrize(
    ("statement", "words"),
    [("raise ValueError('boom')", "ValueError: boom"), ("time.sleep(99)", "no answer within 5 s")],
)
def test_commands_that_could_not_be_registered_are_missing_and_not_unknown(
    tmp_path: Path, statement: str, words: str
) -> None:
    config, file = with_plugin(tmp_path, COMMAND.format(**{**FINE, "register": statement}))
    done = run_lastcall(config, "enroll")
    why = f"the commands of bmc are missing: {words}, {file}:12"
    assert f"lastcall: plugin 'bmc' ({file}) failed: {why}" in done.stderr
    assert done.returncode == 1
    assert done.stderr.count("are missing") == 1


def complete(config: Path, words: str) -> tuple[int, list[str], str]:
    environment = {"_LASTCALL_COMPLETE": "bash", "_LASTCALL_LINE": f"lastcall --config {config} {words}"}
    done = run_lastcall(config, "complete", env={**os.environ, **environment})
    return done.returncode, done.stdout.split("\0")[:-1], done.stderr


def test_completion_knows_commands_and_values_of_plugins(tmp_path: Path) -> None:
    config, _ = with_plugin(tmp_path, COMMAND.format(**FINE))
    assert complete(config, "enr") == (0, ["plain", "enroll"], "")
    assert complete(config, "enroll --kind f") == (0, ["plain", "fast"], "")


@pytest.mark.parametrize(
    ("statement", "words"),
    [("raise ValueError('boom')", "ValueError: boom"), ("time.sleep(99)", "no answer within 5 s")],
)
def test_a_plugin_in_the_way_of_a_completion_is_named_in_bounded_time(
    tmp_path: Path, statement: str, words: str
) -> None:
    config, file = with_plugin(tmp_path, COMMAND.format(**{**FINE, "complete": statement}))
    code, found, said = complete(config, "enroll --kind f")
    assert (code, found) == (1, [])
    assert said == f"lastcall: plugin 'bmc' ({file}) failed: {words}, {file}:9\n"


def test_a_plugin_whose_commands_fail_costs_the_core_no_completion(tmp_path: Path) -> None:
    config, _ = with_plugin(tmp_path, COMMAND.format(**{**FINE, "register": "raise ValueError('boom')"}))
    code, found, _ = complete(config, "shut")
    assert (code, found) == (0, ["plain", "shutdown"])


REHEARSES = """

def work(guest, run):
    {}
@click.command("enroll")
@click.pass_obj
def enroll(command_line):
    for guest, answer in command_line.each_guest(["test"], work, timeout=1):
        click.echo(f"{{guest.name}}: {{answer}}")
@lastcall.hookimpl
def register_commands(group):
    group.add_command(enroll)
"""


@pytest.mark.parametrize("way", ["raises", "exits", "hangs"])
def test_work_of_a_command_on_guests_that_fails_is_an_answer_that_names_it(tmp_path: Path, way: str) -> None:
    statement, words = WAYS[way]
    config, file = with_plugin(tmp_path, REHEARSES.format(statement))
    done = run_lastcall(config, "enroll")
    assert done.stdout.startswith(f"test: plugin 'bmc' ({file}) failed: {words}")
    assert done.stdout.endswith(f", {file}:6\n")


MODELS = """
from lastcall.options import Options
from pydantic import field_serializer, model_serializer
from typing import Annotated, Any
class Colour(str):
    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return handler(str)
    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        SCHEMA
        return handler(schema)
class Settings(Options):
    colour: Colour = Colour("red")
    @field_serializer("colour")
    def shown(self, value):
        SHOWN
        return str(value)
class Steps(StepOptions):
    size: int = 1
    @field_serializer("size")
    def shown(self, value):
        SHOWN
        return value
class Mine(lastcall.StopMethod):
    name, options = "mine", Steps
    def request(self, call):
        pass
@lastcall.hookimpl
def plugin_options():
    return lastcall.PluginOptions(settings=Settings, guest=Settings)
@lastcall.hookimpl
def stop_methods():
    return [Mine()]
"""


@pytest.mark.parametrize("way", ["raises", "exits", "hangs"])
@pytest.mark.parametrize("command", [["show", "--json"], ["guest", "test", "--json"], ["schema"]])
def test_a_model_that_fails_where_the_configuration_is_shown_costs_what_is_its_own(
    tmp_path: Path, command: list[str], way: str
) -> None:
    statement, words = WAYS[way]
    where = "SCHEMA" if command == ["schema"] else "SHOWN"
    text = MODELS.replace(where, statement).replace("SCHEMA", "pass").replace("SHOWN", "pass")
    more = "plugins: {bmc: {}}\ndefaults: {bmc: {}, timeout: 77s, stop: [mine, acpi]}\nguests: [{match: test, bmc: {}}]"
    config, file = with_plugin(tmp_path, text, more)
    done = run_lastcall(config, "config", *command)
    assert done.returncode == 1
    assert f"plugin 'bmc' ({file}) failed: " in done.stderr
    line = next(number for number, one in enumerate((HEAD + text).splitlines(), 1) if statement in one)
    assert f"{file}:{line}" in done.stderr
    assert words in done.stderr
    shown = json.loads(done.stdout)
    assert "bmc" not in json.dumps(shown)
    assert "reserve" in json.dumps(shown) or "77" in json.dumps(shown)
    assert f"line {line}" not in done.stderr
    assert f'File "{file}", line {line}' in run_lastcall(config, "-v", "config", *command).stderr
