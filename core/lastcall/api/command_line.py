"""What the core hands to a command of a plugin: the guests and options behind the command line."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from lastcall.api.guests import Guest
from lastcall.api.run import Run
from lastcall.errors import LastcallError

T = TypeVar("T")


class CommandLine(Protocol):
    """What a command of a plugin is handed, as click's `obj`: `@click.pass_obj` makes it the first argument.

    The core implements it; it may grow. The `run` of its calls is a rehearsal: nothing is stopped, and what has to be
    done with a guest is the command's own affair.
    """

    @property
    def plugin(self) -> str:
        """The name of the plugin whose command it is."""
        ...

    def each_guest(
        self, names: Sequence[str], work: Callable[[Guest, Run], T], *, timeout: float = 60.0
    ) -> list[tuple[Guest, T | LastcallError]]:
        """Call `work` for running guests by name, UUID or glob, all at once, each in a thread of its own.

        Returns (guest, answer) in the order of the names; the answer is the LastcallError that the work raised, also
        for one that raised something else or took longer than `timeout` seconds. Raises LastcallError where the
        configuration is invalid, no connection can be had, or a name is that of no running guest.
        """
        ...

    def once(self, work: Callable[[Run], T], *, timeout: float = 60.0) -> T:
        """Call `work` for no guest, as for the plugin's options and folder alone; libvirt is not asked for guests.

        Returns what it returns. Raises LastcallError for whatever it raises, and after `timeout` seconds.
        """
        ...
