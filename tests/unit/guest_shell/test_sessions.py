"""What a guest shell of a plugin connects to: a session of the base class, with as little in it as it needs."""

from typing import Any

import pytest

from lastcall import Command, CommandResult, Guest, GuestShell, Run, ShellRefused, ShellSession
from lastcall.guest_shell.shell import ChosenShell

GUEST = Guest(uri="fake:///", uuid="u", name="g")


class Answers(ShellSession):
    """A session that has nothing to close, and does not say so."""

    def execute(self, command: Command) -> CommandResult:
        said = f"\n{command.argv[4]} exit 0\n"
        return CommandResult(exit_code=0, stdout="", stderr=said, truncated=False, duration=0.1, shell="any")


class Connects(GuestShell):
    """A guest shell that connects to whatever it was given."""

    def __init__(self, session: object) -> None:
        self._session: Any = session

    def connect(self, guest: Guest, run: Run) -> ShellSession:
        return self._session


class View:
    """The provider's view of a call, as far as it is asked."""

    def remaining(self) -> float:
        return 10.0


def shell_of(**sessions: object) -> ChosenShell:
    def view(_plugin: str) -> Any:
        return View()

    return ChosenShell(GUEST, list(sessions), {name: (name, Connects(one)) for name, one in sessions.items()}, view)


def test_a_session_needs_no_close_of_its_own() -> None:
    shell = shell_of(plain=Answers())
    assert shell.run("true").exit_code == 0
    shell.close()


@pytest.mark.parametrize("session", [None, object(), Answers, "a session"])
def test_what_is_no_session_is_told_with_its_plugin_and_the_next_shell_is_used(session: object) -> None:
    with pytest.raises(ShellRefused, match=r"^odd: odd connects to .*, which is no ShellSession$"):
        shell_of(odd=session).run("true")
    assert shell_of(odd=session, plain=Answers()).run("true").shell == "plain"
