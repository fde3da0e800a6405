"""A plugin's own command: it is handed the guests and options behind the command line, and nothing of our modules."""

from pathlib import Path

import pytest

from support import run_lastcall, write_config

NODE = """<node>
  <domain type="test"><name>db-1</name><memory>1000</memory><os><type>hvm</type></os></domain>
  <domain type="test"><name>web-1</name><memory>1000</memory><os><type>hvm</type></os></domain>
</node>
"""
PLUGIN = """
import time
import click, lastcall
from lastcall.options import Options

class Host(Options):
    realm: str = "none"

class Board(Options):
    address: str

@lastcall.hookimpl
def plugin_options():
    return lastcall.PluginOptions(settings=Host, guest=Board)

@click.group()
def bmc():
    "Boards."

@bmc.command()
@click.argument("guests", nargs=-1)
@click.option("--seconds", default=60.0)
@click.pass_obj
def status(command_line, guests, seconds):
    "Ask boards."
    def ask(guest, run):
        assert run.rehearsal and guest in run.guests
        if guest.name == "slow":
            time.sleep(600)
        return f"{run.plugin} {run.options(Board, guest).address} {run.domain(guest).state().value}"
    for guest, answer in command_line.each_guest(guests, ask, timeout=seconds):
        click.echo(f"{guest.name}: {type(answer).__name__} {answer}")
    return 7

@bmc.command()
@click.argument("how")
@click.pass_obj
def realm(command_line, how):
    "Say whose they are."
    def work(run):
        if how == "sleeps":
            time.sleep(600)
        if how == "raises":
            raise ValueError("no realm")
        if how == "refuses":
            raise lastcall.LastcallError("nobody's", "buy it")
        return f"{run.options(Host).realm} {run.folder.name} {len(run.guests)}"
    click.echo(f"{command_line.plugin}: {command_line.once(work, timeout=0.5)}")

@lastcall.hookimpl
def register_commands(group):
    group.add_command(bmc)
"""
MORE = (
    "plugins: {boards: {realm: ours}}\n"
    "guests: [{match: db-*, boards: {address: 192.0.2.1}}, {match: slow, boards: {address: none}}]"
)


@pytest.fixture(name="config")
def with_the_plugin(tmp_path: Path) -> Path:
    (tmp_path / "node.xml").write_text(NODE)
    config = write_config(tmp_path, f"test://{tmp_path}/node.xml", more=MORE)
    (tmp_path / "hooks.d" / "10-boards.py").write_text(PLUGIN)
    return config


def test_a_command_gets_running_guests_and_the_plugins_options_for_them(config: Path) -> None:
    done = run_lastcall(config, "bmc", "status", "web-1", "db-*", "db-1")
    assert done.stdout.splitlines() == [
        "web-1: LastcallError boards of web-1 is not set, and needs address",
        "db-1: str boards 192.0.2.1 running",
    ], done.stderr
    assert done.returncode == 7, "what it returns"


def test_a_name_that_is_nobodys_is_an_error_of_usage(config: Path) -> None:
    done = run_lastcall(config, "bmc", "status", "db-2")
    assert done.returncode == 2
    assert "no active guest is called 'db-2'" in done.stderr
    assert "did you mean 'db-1'?" in done.stderr


def test_a_guest_whose_work_takes_too_long_costs_the_others_nothing(config: Path, tmp_path: Path) -> None:
    (tmp_path / "node.xml").write_text(NODE.replace("web-1", "slow"))
    done = run_lastcall(config, "bmc", "status", "*", "--seconds", "1")
    ready, slow = sorted(done.stdout.splitlines())
    assert ready == "db-1: str boards 192.0.2.1 running"
    assert slow.startswith("slow: PluginFailed plugin 'boards'")
    assert "no answer within 1 s" in slow


def test_work_for_no_guest_gets_the_plugins_options_and_folder_and_asks_no_libvirt(
    config: Path, tmp_path: Path
) -> None:
    (tmp_path / "node.xml").unlink()
    assert run_lastcall(config, "bmc", "realm", "simply").stdout == "boards: ours boards 0\n"


@pytest.mark.parametrize(
    ("how", "said"),
    [("raises", "ValueError: no realm"), ("refuses", "nobody's"), ("sleeps", "no answer within")],
)
def test_work_for_no_guest_that_fails_is_an_error_in_one_line(config: Path, how: str, said: str) -> None:
    done = run_lastcall(config, "bmc", "realm", how)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_handed_over_is_each_plugins_own(config: Path, tmp_path: Path) -> None:
    text = (
        "import click, lastcall\n@click.command()\n@click.pass_obj\ndef whose(command_line):\n"
        "    click.echo(command_line.plugin)\n"
        "@lastcall.hookimpl\ndef register_commands(group):\n    group.add_command(whose)\n"
    )
    (tmp_path / "hooks.d" / "20-other.py").write_text(text)
    assert run_lastcall(config, "whose").stdout == "other\n"
    assert run_lastcall(config, "bmc", "realm", "simply").stdout.startswith("boards: ")


def test_what_is_no_command_costs_its_plugin_its_commands_and_nobody_else(config: Path, tmp_path: Path) -> None:
    text = "import lastcall\n@lastcall.hookimpl\ndef register_commands(group):\n    group.commands['odd'] = 7\n"
    (tmp_path / "hooks.d" / "20-odd.py").write_text(text)
    done = run_lastcall(config, "bmc", "realm", "simply")
    assert done.stdout == "boards: ours boards 0\n"
    assert "the commands of odd are missing" in done.stderr
