"""The shell of a guest in the lab: what it answers, and what it keeps."""

from pathlib import Path

import pytest

import lastcall
from lastcall import CommandFailed, CommandResult, Run, SecretText, ShellUnreachable, Verdict
from lastcall.testing import Lab, Says, ShellCall, UnansweredCommand
from lastcall.testing.pytest_plugin import MakeLab


class Runs:
    """A plugin that gives one command in each guest that stops."""

    def __init__(self, *words: object, **options: object) -> None:
        self._words = words
        self._options = options
        self.results: list[CommandResult] = []

    @lastcall.hookimpl
    def on_guest_stop(self, guest: lastcall.Guest, run: Run) -> None:
        """Give it."""
        self.results.append(run.shell(guest).run(*self._words, **self._options))  # pyright: ignore[reportArgumentType]


def lab_with(lastcall_lab: MakeLab, plugin: object) -> Lab:
    """A lab with this plugin."""
    return lastcall_lab(plugins={"mine": plugin})


def test_a_command_gets_the_answer_that_the_test_gave(lastcall_lab: MakeLab) -> None:
    plugin = Runs("systemctl is-active worker")
    lab = lab_with(lastcall_lab, plugin)
    db = lab.guest("db-1")
    db.shell.answers({"systemctl is-active worker": Says(stdout="inactive\n", stderr="hm", exit_code=3)})
    lab.shutdown()
    (result,) = plugin.results
    assert (result.stdout, result.stderr, result.exit_code) == ("inactive\n", "hm", 3)
    assert db.shell.calls == ["systemctl is-active worker"]


def test_a_later_answer_wins_and_globs_fit(lastcall_lab: MakeLab) -> None:
    plugin = Runs("systemctl stop worker")
    lab = lab_with(lastcall_lab, plugin)
    db = lab.guest("db-1")
    db.shell.answers({"systemctl *": "first"})
    db.shell.answers({"systemctl stop *": "second"})
    lab.shutdown()
    assert plugin.results[0].stdout == "second"


def test_a_command_is_kept_as_its_plugin_gave_it(lastcall_lab: MakeLab) -> None:
    environment = {"PGPASSWORD": SecretText("it's; export X=1"), "EMPTY": ""}
    plugin = Runs(["psql", "-c", "select 'a b'"], user="postgres", env=environment, input="one\ntwo\0", timeout=7)
    lab = lab_with(lastcall_lab, plugin)
    db = lab.guest("db-1")
    db.shell.answers({"psql *": ""})
    lab.shutdown()
    assert db.shell.details == [
        ShellCall(
            line="""psql -c 'select '"'"'a b'"'"''""",
            user="postgres",
            environment={"PGPASSWORD": "it's; export X=1", "EMPTY": ""},
            input=b"one\ntwo\0",
            timeout=7,
            at=0.0,
        )
    ]


def test_a_command_that_the_test_did_not_think_of_fails_it(lastcall_lab: MakeLab) -> None:
    lab = lab_with(lastcall_lab, Runs("reboot"))
    lab.guest("db-1").shell.answers({"uptime": ""})
    with pytest.raises(UnansweredCommand, match=r"db-1.*'reboot'.*'uptime'"):
        lab.shutdown()


def test_a_command_takes_its_time_on_the_labs_clock(lastcall_lab: MakeLab) -> None:
    lab = lab_with(lastcall_lab, Runs("dump"))
    db = lab.guest("db-1")
    db.shell.answers({"dump": Says(takes=40)})
    assert lab.shutdown().guests[0].asked == 40.0


def test_a_command_that_takes_longer_than_it_may_is_killed(lastcall_lab: MakeLab) -> None:
    lab = lab_with(lastcall_lab, Runs("dump", timeout=5))
    db = lab.guest("db-1")
    db.shell.answers({"dump": Says(takes=40)})
    (guest,) = lab.shutdown().guests
    assert (guest.hooks[0].result, guest.asked) == (Verdict.FAILED, 5.0)
    assert "5 s" in guest.hooks[0].message


def test_an_answer_may_be_an_error_or_be_made_of_the_call(lastcall_lab: MakeLab) -> None:
    plugin = Runs("whoami", user="postgres")
    lab = lab_with(lastcall_lab, plugin)
    one, other = lab.guest("a"), lab.guest("b")
    one.shell.answers({"whoami": ShellUnreachable("no route to it")})
    other.shell.answers({"whoami": lambda call: f"{call.user}\n"})
    by_name = {guest.name: guest for guest in lab.shutdown().guests}
    assert "no route to it" in by_name["a"].hooks[0].message
    assert [result.stdout for result in plugin.results] == ["postgres\n"]


def test_a_result_can_be_checked(lastcall_lab: MakeLab) -> None:
    plugin = Runs("false")
    lab = lab_with(lastcall_lab, plugin)
    lab.guest("db-1").shell.answers({"false": Says(exit_code=1, stderr="no\n")})
    lab.shutdown()
    with pytest.raises(CommandFailed, match="exit code 1: no"):
        plugin.results[0].check()


def test_a_guest_may_have_no_shell(lastcall_lab: MakeLab) -> None:
    lab = lab_with(lastcall_lab, Runs("uptime"))
    lab.guest("db-1", shell=False)
    assert "no shell is configured" in lab.shutdown().guests[0].hooks[0].message


def test_where_the_test_says_so_commands_run_for_real_whoever_they_are_for(
    lastcall_lab: MakeLab, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "pg_ctl"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nread line; echo "$line of $GREETED"; echo odd >&2; exit 3\n')
    program.chmod(0o755)
    plugin = Runs("pg_ctl", user="nobody-at-all", env={"GREETED": "db"}, input="greetings\n", timeout=5)
    lab = lab_with(lastcall_lab, plugin)
    db = lab.guest("db-1")
    db.shell.runs_here(path=program.parent)
    lab.shutdown()
    (result,) = plugin.results
    assert (result.stdout, result.stderr, result.exit_code) == ("greetings of db\n", "odd\n", 3)
    assert (db.shell.calls, db.shell.details[0].user) == (["pg_ctl"], "nobody-at-all")


def test_an_answer_comes_before_what_would_run_and_a_hang_has_the_commands_time(lastcall_lab: MakeLab) -> None:
    plugin = Runs("sleep 100", timeout=1)
    lab = lab_with(lastcall_lab, plugin)
    db = lab.guest("db-1")
    db.shell.runs_here()
    assert "did not end within 1 s" in lab.shutdown().guests[0].hooks[0].message
    lab.guest("db-2").shell.answers({"sleep *": "no need"})
    lab.guests["db-2"].shell.runs_here()
    lab.shutdown()
    assert plugin.results[0].stdout == "no need"


def test_a_shell_that_lets_nobody_in_and_sessions_that_are_given_back(lastcall_lab: MakeLab) -> None:
    plugin = Runs("true")
    lab = lab_with(lastcall_lab, plugin)
    closed, there = lab.guest("closed"), lab.guest("there")
    closed.shell.refuses_logins("nobody is let in")
    seen = list[int]()

    def answer(_call: ShellCall) -> str:
        seen.append(there.shell.open_sessions)
        return ""

    there.shell.answers({"*": answer})
    report = lab.shutdown()
    assert "nobody is let in" in report.guest("closed").hooks[0].message
    assert closed.shell.calls == []
    assert (seen, there.shell.open_sessions, closed.shell.open_sessions) == ([1], 0, 0)
