"""Trying the shells of guests: does a command get in, by each of them?"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from lastcall.api.guests import Guest
from lastcall.api.shell import CommandResult
from lastcall.engine import Parts
from lastcall.errors import LastcallError
from lastcall.hooks.call import HookCall

TIME = 30.0  # seconds for one login


@dataclass(frozen=True, slots=True)
class Login:
    """One shell of one guest: who the command was there and how long it took, or why it did not get in."""

    guest: Guest
    shell: str
    user: str = ""
    seconds: float = 0.0
    error: LastcallError | None = None


async def try_logins(parts: Parts, guests: Sequence[Guest]) -> list[Login]:
    """Log in to all guests at once, by every shell that they have."""
    pairs = [(guest, shell) for guest in guests for shell in parts.policies.of(guest).shell]
    return await asyncio.gather(*(_try(parts, guest, shell) for guest, shell in pairs))


async def _try(parts: Parts, guest: Guest, shell: str) -> Login:
    call = HookCall(parts.context, "core", expires=parts.loop.time() + TIME)

    def log_in() -> CommandResult:
        try:
            return call.shell(guest, use=[shell]).run(["id", "-un"]).check()
        finally:
            call.release()

    try:
        result = await parts.workers.call(log_in, timeout=TIME)
    except TimeoutError:
        return Login(guest, shell, error=LastcallError(f"no answer within {TIME:.0f} s"))
    except LastcallError as error:
        return Login(guest, shell, error=error)
    finally:
        call.expire()
    return Login(guest, shell, result.stdout.strip(), result.duration)
