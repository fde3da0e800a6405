"""A plugin's commands, its checks and its part of the plan, in the lab."""

import click
import pytest

import lastcall
from lastcall import CommandLine, Guest, GuestState, LastcallError, PluginOptions, Problem, Run
from lastcall.options import Options
from lastcall.testing.pytest_plugin import MakeLab


class Settings(Options):
    """The section `plugins.bmc`."""

    greeting: str = "up"


class Bmc:
    """A plugin with a command, a check and facts."""

    @lastcall.hookimpl
    def plugin_options(self) -> PluginOptions:
        """Have one."""
        return PluginOptions(settings=Settings)

    @lastcall.hookimpl
    def register_commands(self, group: click.Group) -> None:
        """Add `lastcall bmc status` and others."""
        group.add_command(bmc)

    @lastcall.hookimpl
    def check_guest(self, guest: Guest, run: Run) -> list[Problem]:
        """Find fault with one."""
        return [Problem(what="bmc", where=guest.name, message="has no board", remedy="buy one")]


@click.group("bmc")
def bmc() -> None:
    """The boards."""


@bmc.command("status")
@click.argument("names", nargs=-1)
@click.pass_obj
def status(command_line: CommandLine, names: tuple[str, ...]) -> int:
    """Show them."""

    def look(guest: Guest, run: Run) -> str:
        run.sleep(30)
        return f"{guest.name} {run.options(Settings).greeting} {run.domain(guest).state().value}"

    answers = command_line.each_guest(names, look)
    for _, answer in answers:
        click.echo(answer)
    return int(any(isinstance(answer, LastcallError) for _, answer in answers))


@bmc.command("ask")
def ask() -> None:
    """Ask a person."""
    click.confirm("Really?", abort=True)
    click.echo("done")


@bmc.command("break")
def broken() -> None:
    """Break."""
    raise ZeroDivisionError


def test_a_command_works_on_the_labs_guests_and_on_its_clock(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab(plugins={"bmc": Bmc()}, config="plugins: {bmc: {greeting: is}}")
    lab.guest("db-1")
    lab.guest("db-2", state=GuestState.PAUSED)
    outcome = lab.command("bmc", "status", "db-*")
    assert (outcome.output, outcome.exit_code) == ("db-1 is running\ndb-2 is paused\n", 0)


def test_what_a_command_cannot_do_is_its_exit_code_and_its_words(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab(plugins={"bmc": Bmc()})
    lab.guest("db-1")
    unknown = lab.command("bmc", "status", "db-7")
    assert unknown.exit_code == 2
    assert "db-7" in unknown.errors
    assert lab.command("bmc", "--nonsense").exit_code == 2


def test_a_command_that_asks_gets_the_tests_answer(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab(plugins={"bmc": Bmc()})
    assert lab.command("bmc", "ask", answers="y\n").output.endswith("done\n")


def test_a_command_that_breaks_fails_the_test(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab(plugins={"bmc": Bmc()})
    with pytest.raises(ZeroDivisionError):
        lab.command("bmc", "break")


def test_what_check_finds_is_returned(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab(plugins={"bmc": Bmc()}, config="guests: [{match: nobody, timeout: 3s}]")
    lab.guest("db-1")
    found = {problem.where: problem.message for problem in lab.check()}
    assert found["db-1"] == "has no board"
    assert any("nobody" in problem.message or "nobody" in problem.where for problem in lab.check())


def test_a_plan_is_what_the_command_prints_as_json(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab(config="defaults: {stop: [acpi]}")
    lab.guest("db-1", settings={"depends_on": ["store"]})
    lab.guest("store")
    plan = lab.plan(reason=lastcall.Reason.POWEROFF)
    assert plan["run"]["reason"] == "poweroff"
    by_name = {guest["name"]: guest for guest in plan["guests"]}
    assert by_name["store"]["waits_for"] == ["db-1"]
