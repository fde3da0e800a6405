"""Work on guests outside a run, with the configuration of the command line. Nothing is stopped."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from lastcall.api.guests import Guest, RunKind
from lastcall.errors import HypervisorError, LastcallError
from lastcall.hooks.call import HookCall
from lastcall.hooks.isolation.outside_runs import ask_worker
from lastcall.threads.own_code import OwnCode

if TYPE_CHECKING:
    from pathlib import Path

    from lastcall.api.run import Run
    from lastcall.runs.assembly import Parts

T = TypeVar("T")


def rehearse(
    plugin: str, names: Sequence[str], work: "Callable[[Guest, Run], T]", *, timeout: float = 60.0
) -> list[tuple[Guest, T | LastcallError]]:
    """Call `work` for running guests by name, UUID or glob, all at once, as `plugin`; for use inside a click command.

    Returns (guest, answer) in the order of the names; the answer is the LastcallError that the work raised, or one that
    says what else it raised and where, or where it stood after `timeout` seconds. Raises UsageError for one that no
    running guest answers to.
    """
    from lastcall.runs.assembly import RunRequest, assemble
    from lastcall.runs.loading import load

    config: Path | None = click.get_current_context().find_root().params.get("config")
    loop = asyncio.new_event_loop()
    parts = assemble(load(config), RunRequest(kind=RunKind.SHUTDOWN, rehearsal=True), loop)
    return loop.run_until_complete(_all(parts, plugin, names, work, timeout))


async def _all(
    parts: "Parts", plugin: str, names: Sequence[str], work: "Callable[[Guest, Run], T]", timeout: float
) -> list[tuple[Guest, T | LastcallError]]:
    from lastcall.planning.selection import Selection

    await parts.connections.connect()
    running = await parts.connections.active()
    # Without a connection every name would be unknown, which sends the reader after a misspelling.
    if not parts.connections.uris:
        problem = next(iter(parts.stream.story.report().problems))
        raise HypervisorError(f"{problem.where}: {problem.message}", problem.remedy)
    guests = list(dict.fromkeys(guest for name in names for guest in Selection([name]).active(running)))
    await parts.inventory.learn(guests)
    parts.context.guests = tuple(guests)
    answers = await asyncio.gather(*(_one(parts, plugin, guest, work, timeout) for guest in guests))
    return list(zip(guests, answers, strict=True))


async def _one(
    parts: "Parts", plugin: str, guest: Guest, work: "Callable[[Guest, Run], T]", timeout: float
) -> T | LastcallError:
    call = HookCall(parts.context, plugin, expires=parts.loop.time() + timeout)

    def perform() -> T:
        try:
            return work(guest, call)
        finally:
            call.release()

    try:
        return await ask_worker(parts.workers, parts.context.called(plugin), OwnCode(work), perform, timeout)
    except LastcallError as error:  # the plugin's failure with this guest, and not with the others
        return error
    finally:
        call.expire()
