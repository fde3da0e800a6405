"""A plugin's guest shell, of which whatever it raises against its contract is told as that plugin's failure."""

from collections.abc import Callable
from typing import TypeVar

from lastcall.api.guests import Guest
from lastcall.api.run import Run
from lastcall.api.shell import Command, CommandResult, GuestShell, ShellSession
from lastcall.errors import LastcallError
from lastcall.hooks.isolation.outside_runs import plugin_failed
from lastcall.threads.own_code import OwnCode

T = TypeVar("T")


class GuardedShell(GuestShell):
    """Passes everything on. A hook that runs a command in a guest has not written the shell that it comes by."""

    def __init__(self, called: str, shell: GuestShell) -> None:
        self._called, self._shell = called, shell

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """See `GuestShell.unfit`."""
        return self.guarded(lambda: self._shell.unfit(guest, run))

    def connect(self, guest: Guest, run: Run) -> ShellSession:
        """See `GuestShell.connect`."""
        return _GuardedSession(self, self.guarded(lambda: self._shell.connect(guest, run)))

    def guarded(self, work: Callable[[], T]) -> T:
        """Do some work of the shell's. A time that is over is not the shell's failure, but that of who has waited."""
        try:
            return work()
        except (LastcallError, TimeoutError):  # as they are: by their kind it is decided what is tried next
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the next line knows whose it is
            raise plugin_failed(self._called, OwnCode(self._shell), error) from None


class _GuardedSession(ShellSession):
    def __init__(self, shell: GuardedShell, session: ShellSession) -> None:
        self._shell, self._session = shell, session

    def execute(self, command: Command) -> CommandResult:
        return self._shell.guarded(lambda: self._session.execute(command))

    def close(self) -> None:
        self._session.close()
