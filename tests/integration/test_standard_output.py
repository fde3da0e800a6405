"""Standard output belongs to the command: whatever plugins print, by whatever way, is somebody else's line."""

import json
from pathlib import Path
from typing import Any

import pytest

from support import records, report_of, run_lastcall, write_config

WORLD = "test:///default"
PRINTS = """
import os, subprocess, sys, threading
import click, lastcall
from lastcall.options import Options, StepOptions
from pydantic import field_validator

def shout(where):
    print(f"{where} printed")
    sys.stdout.write(f"{where} wrote\\n")
    sys.stdout.buffer.write(f"{where} wrote bytes\\n".encode())
    print(f"{where} flushed", flush=True)
    click.echo(f"{where} echoed")
    sys.__stdout__.write(f"{where} of old\\n")  # in one piece: print does not, where PYTHONUNBUFFERED is set
    sys.__stdout__.flush()
    os.write(1, f"{where} by descriptor\\n".encode())
    subprocess.run(["echo", f"{where} by a program"], check=True)
    subprocess.run(["echo", f"{where} by a program that was given it"], stdout=sys.stdout, check=True)
    thread = threading.Thread(target=print, args=(f"{where} in a thread",))
    thread.start()
    thread.join()

class Settings(Options):
    size: int = 1
    @field_validator("size")
    def judged(cls, size):
        shout("validator")
        return size

class Mine(lastcall.StopMethod):
    name, options = "mine", StepOptions
    def unfit(self, guest, run):
        shout("unfit")
    def request(self, call):
        shout("request")
        call.run.domain(call.guest).shutdown("default")

class Shell(lastcall.GuestShell):
    name = "mine"
    def connect(self, guest, run):
        shout("connect")
        raise lastcall.ShellUnreachable("no")

@lastcall.hookimpl
def plugin_options():
    shout("plugin_options")
    return lastcall.PluginOptions(settings=Settings)
@lastcall.hookimpl
def stop_methods():
    shout("stop_methods")
    return [Mine()]
@lastcall.hookimpl
def guest_shells():
    return [Shell()]
@lastcall.hookimpl
def check():
    shout("check")
@lastcall.hookimpl
def check_guest(guest):
    shout("check_guest")
@lastcall.hookimpl
def describe_guest(guest):
    shout("describe_guest")
@lastcall.hookimpl
def guest_settings(guest):
    shout("guest_settings")
@lastcall.hookimpl
def on_guest_stop(guest):
    shout("on_guest_stop")

def work(guest, run):
    shout("work")
@click.command("enroll")
@click.pass_obj
def enroll(command_line):
    command_line.each_guest(["test"], work)
    print("printed by the command", flush=True)
    subprocess.run(["echo", "and by its program"], check=True)
@lastcall.hookimpl
def register_commands(group):
    shout("register_commands")
    group.add_command(enroll)

shout("import")
"""
WAYS = [
    "printed", "wrote", "wrote bytes", "flushed", "echoed", "of old", "by descriptor", "by a program",
    "by a program that was given it", "in a thread",
]  # fmt: skip


def world(folder: Path) -> Path:
    config = write_config(folder, WORLD, more="plugins: {prints: {size: 2}}\ndefaults: {stop: [mine], shell: mine}")
    (folder / "hooks.d" / "10-prints.py").write_text(PRINTS)
    return config


@pytest.mark.parametrize(
    ("words", "said_by"),
    [
        (
            ["shutdown", "--json"],
            ["import", "plugin_options", "validator", "guest_settings", "on_guest_stop", "request"],
        ),
        (["-v", "check", "--guests", "--json"], ["import", "check", "check_guest", "connect"]),
        (["-v", "plan", "--json"], ["unfit", "describe_guest"]),
        (["hook", "on_guest_stop", "--guest", "test", "--json"], ["on_guest_stop"]),
        (["config", "guest", "test", "--json"], ["validator"]),
        (["config", "schema"], ["import"]),
        (["plugins", "--json"], ["stop_methods"]),
    ],
)
def test_what_plugins_print_is_told_on_standard_error_and_the_json_is_json(
    tmp_path: Path, words: list[str], said_by: list[str]
) -> None:
    done = run_lastcall(world(tmp_path), *words)
    assert isinstance(json.loads(done.stdout), dict), done.stdout
    for name in said_by:
        assert [way for way in WAYS if f"{name} {way}\n" not in done.stderr] == [], name


@pytest.mark.parametrize(
    ("hook", "where"), [("on_guest_stop", "on_guest_stop"), ("stop_methods", "unfit"), ("stop_methods", "request")]
)
def test_what_a_call_prints_is_a_line_of_it_in_the_log(tmp_path: Path, hook: str, where: str) -> None:
    done = run_lastcall(world(tmp_path), "shutdown", "--json")
    said: list[Any] = records(tmp_path, report_of(done), "HookSaid")
    told = [record["line"] for record in said if (record["plugin"], record["hook"]) == ("prints", hook)]
    # Of programs and descriptors nobody knows whose they are.
    ways = ("printed", "wrote", "wrote bytes", "flushed", "echoed")
    assert [line for line in told if line.startswith(where)] == [f"{where} {way}" for way in ways]
    assert f"test: prints: {where} printed\n" in done.stderr


def test_what_a_plugins_own_command_prints_is_its_answer(tmp_path: Path) -> None:
    done = run_lastcall(world(tmp_path), "enroll")
    assert done.stdout == "printed by the command\nand by its program\n"
    for way in WAYS:
        assert f"work {way}\n" in done.stderr
        assert f"register_commands {way}\n" in done.stderr
