"""One guest by its name, running or not, for commands that are about a single guest."""

import difflib

from lastcall.api.guests import Guest
from lastcall.errors import HypervisorError, UsageError
from lastcall.presence.inventory import Inventory
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
        close = difflib.get_close_matches(name, [guest.name for guest in guests], n=1)
        hint = f"did you mean {close[0]!r}?" if close else "`virsh list --all` shows them"
        raise UsageError(f"no guest is called {name!r}", hint)
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} guests are called {name!r}", f"give the UUID: {', '.join(g.uuid for g in found)}"
        )
    await inventory.learn(found)
    return found[0]
