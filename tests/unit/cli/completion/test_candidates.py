"""What may come next on a command line, without loading what the commands need."""

import subprocess
import sys
from pathlib import Path

import pytest

from book.command_index import FILE, command_index
from lastcall.api.guests import Reason
from lastcall.cli.commands import COMMANDS
from lastcall.cli.completion.candidates import candidates
from lastcall.persistence.state import StateFile
from lastcall.testing.memory import FakeGuest, run_shutdown

PROGRAM = """\
import sys; from lastcall.cli.main import run
run(sys.argv[1:])
sys.stderr.write(" ".join(sys.modules))
"""


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    file = tmp_path / "config.yaml"
    file.write_text(f"connections: [test:///default]\npaths: {{state: {tmp_path}, run: {tmp_path}/run}}\n")
    return ["--config", str(file)]


def names(*words: str, last: str = "") -> list[str]:
    return list(candidates(words, last).names)


def test_the_list_of_commands_is_that_of_the_code() -> None:
    assert FILE.read_text() == command_index(), "`make promise` writes it"


def test_commands_options_and_what_they_take_are_offered() -> None:
    assert names() == list(COMMANDS)
    assert names(last="rep") == ["report"]
    assert names("config", last="s") == ["sample", "schema", "show"]
    assert names("plan", last="--re") == ["--reason"]
    assert names("plan", "--reason", last="so") == ["soft-reboot"]
    assert names("--color", last="al") == ["always"]
    assert names("-v", "plan", "--json", last="--fo") == ["--force"]
    assert "pre_shutdown" in names("hook", last="pre")
    assert names("plan", "--deadline") == []
    assert candidates(["--config"], "").files
    assert candidates(["report", "--html"], "").files
    assert names("status", last="x") == []
    assert "timeout=" in names("guest", "set", "db", last="ti")
    assert candidates(["guest", "set", "db"], "ti").open
    assert names("guest", "unset", "db", last="ti") == ["timeout"]


def test_what_is_none_of_ours_is_left_to_plugins() -> None:
    assert candidates(["enroll"], "").foreign
    assert candidates([], "enr").foreign
    assert not candidates([], "sta").foreign
    assert not candidates(["plan"], "x").foreign


def test_guests_and_runs_come_from_files_in_the_order_in_which_people_count(tmp_path: Path, config: list[str]) -> None:
    assert names(*config, "restore") == names(*config, "report") == []
    guests = [FakeGuest(name) for name in ("db-12", "db-2", "my guest")]
    run_shutdown(tmp_path, guests, reason=Reason.POWEROFF)
    assert names(*config, "restore", last="d") == ["db-2", "db-12"]
    assert names(*config, "restore") == names(*config, "shutdown") == ["db-2", "db-12", "my guest"]
    assert names(*config, "hook", "on_guest_stop", "--guest", last="m") == ["my guest"]
    state = StateFile(tmp_path)
    state.load()
    state.entries.clear()
    state.save()
    assert names(*config, "restore") == []
    assert names(*config, "shutdown") == ["db-2", "db-12", "my guest"], "by the last report"
    runs = candidates([*config, "report"], "2").names
    assert [said.partition(" of ")[0] for said in runs.values()] == ["shutdown (poweroff)"]


@pytest.mark.parametrize("broken", ["state.json", "runs"])
def test_whatever_is_broken_there_is_just_nothing_to_offer(tmp_path: Path, config: list[str], broken: str) -> None:
    (tmp_path / broken).write_text("nonsense")
    assert names(*config, "restore") == names(*config, "report") == names(*config, "shutdown") == []


@pytest.mark.parametrize(
    "words", [["pl"], ["plan", "--re"], ["shutdown", ""], ["restore", ""], ["report", ""], ["guest", "set", "x", ""]]
)
def test_an_answer_loads_neither_pydantic_nor_asyncio_nor_plugins_nor_click(
    tmp_path: Path, config: list[str], words: list[str]
) -> None:
    run_shutdown(tmp_path, [FakeGuest("db")], reason=Reason.POWEROFF)
    command = [sys.executable, "-c", PROGRAM, "complete", *config, *words]
    environment = {"PYTHONPATH": ":".join(sys.path), "_LASTCALL_COMPLETE": "zsh"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.startswith("plain\0") or done.stdout.startswith("open\0"), done.stderr
    assert not {"pydantic", "asyncio", "pluggy", "lastcall_plugins", "click", "rich"} & set(done.stderr.split())


def test_what_is_being_written_is_never_done(tmp_path: Path, config: list[str]) -> None:
    for words in (["stamp"], ["shutdown", "--yes"], ["complete"]):
        for shell in ("bash", "zsh", "fish", "nonsense", "bash_complete"):
            environment = {"PYTHONPATH": ":".join(sys.path), "_LASTCALL_COMPLETE": shell, "LASTCALL_CONFIG": config[1]}
            command = [sys.executable, "-m", "lastcall", *words]
            subprocess.run(command, capture_output=True, env=environment)
    assert not list(tmp_path.glob("run/*")) + list(tmp_path.glob("runs/*"))
