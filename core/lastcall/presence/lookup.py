"""Guests by what somebody calls them: one by its name, running or not, or those of the active ones that are meant."""

from collections.abc import Sequence

from lastcall.api.guests import Guest
from lastcall.errors import HypervisorError, Problem, Severity, UsageError
from lastcall.formats.nearest import nearest
from lastcall.planning.selection import Selection
from lastcall.presence.inventory import Inventory
from lastcall.presence.pursuit import WAITING
from lastcall.records.stream import Stream


async def find_guest(inventory: Inventory, stream: Stream, name: str) -> Guest:
    """The guest of this name or UUID, looked at.

    Raises UsageError where there is none or more than one, HypervisorError where libvirt could not be asked.
    """
    connections = inventory.connections
    await connections.connect()
    guests = [*await connections.active(), *await connections.inactive()]
    found = [guest for guest in guests if name in {guest.name, guest.uuid}]
    if not found and not connections.uris:
        problems = stream.story.report().problems
        raise HypervisorError(
            f"no connection: {'; '.join(problem.message for problem in problems)}", problems[0].remedy
        )
    if not found:
        close = nearest(name, [guest.name for guest in guests])
        hint = f"did you mean {close!r}?" if close else "`virsh list --all` shows them"
        raise UsageError(f"no guest is called {name!r}", hint)
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} guests are called {name!r}", f"give the UUID: {', '.join(g.uuid for g in found)}"
        )
    await inventory.learn(found)
    return found[0]


def choose_active(chosen: Selection, active: Sequence[Guest], stream: Stream) -> list[Guest]:
    """Those of the active guests that are meant; raises UsageError for whatever fits none of them.

    Where a connection could not be asked, that is said as well: who is meant may run behind it.
    """
    try:
        return chosen.active(active)
    except UsageError as error:
        missing = [one for one in stream.story.report().problems if _is_missing(one)]
        if not missing:
            raise
        unasked = "; ".join(f"{one.where}: {one.message}" for one in missing)
        message = f"{error}, as far as libvirt answered ({unasked})"
        raise UsageError(message, missing[0].remedy or error.remedy) from None


def _is_missing(problem: Problem) -> bool:
    """Whether it says that a connection could not be opened, or its guests not be listed."""
    of_connection = problem.what in {"connection", "permission"} and problem.severity is Severity.ERROR
    return of_connection or problem.what == WAITING[0]
