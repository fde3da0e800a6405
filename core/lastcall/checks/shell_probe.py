"""Trying the shells of guests: does a command get in, by each of them?"""

import asyncio
from collections.abc import Sequence

from lastcall.api.guests import Guest
from lastcall.api.shell import CommandResult
from lastcall.errors import LastcallError
from lastcall.formats.values import value
from lastcall.hooks.call import HookCall, RunContext
from lastcall.hooks.isolation.outside_runs import ask_worker
from lastcall.threads.own_code import OwnCode
from lastcall.threads.workers import Workers

TIME = 30.0  # seconds for one login


@value
class ShellProbe:
    """One shell of one guest: who the command was there and how long it took, or why it did not get in."""

    guest: Guest
    shell: str
    user: str = ""
    seconds: float = 0.0
    error: LastcallError | None = None


async def probe_shells(context: RunContext, workers: Workers, guests: Sequence[Guest]) -> list[ShellProbe]:
    """Log in to all guests at once, by every shell that they have."""
    pairs = [(guest, shell) for guest in guests for shell in context.shell_names(guest)]
    return await asyncio.gather(*(_try(context, workers, guest, shell) for guest, shell in pairs))


async def _try(context: RunContext, workers: Workers, guest: Guest, shell: str) -> ShellProbe:
    call = HookCall(context, "core", expires=context.terms.clock() + TIME)

    def log_in() -> CommandResult:
        try:
            # A command, too: a server may accept the key of an account whose shell is nologin.
            return call.shell(guest, use=[shell]).run(["id", "-un"]).check()
        finally:
            call.release()

    plugin, provider = context.shells.get(shell, ("core", None))
    try:
        result = await ask_worker(workers, context.called(plugin), OwnCode(provider), log_in, TIME)
    except LastcallError as error:  # whatever a shell's plugin raises, it is that shell's failure only
        return ShellProbe(guest, shell, error=error)
    finally:
        # The worker may hang in the login and is left there: after this it can do nothing more in our name.
        call.expire()
    return ShellProbe(guest, shell, result.stdout.strip(), result.duration)
