"""Work on guests outside a run, with the configuration of the command line. Nothing is stopped."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from lastcall.api.guests import Guest, RunKind
from lastcall.errors import HypervisorError, LastcallError
from lastcall.hooks.call import HookCall
from lastcall.hooks.isolation.outside_runs import ask_worker
from lastcall.threads.own_code import OwnCode
from lastcall.threads.standard_output import withheld

if TYPE_CHECKING:
    from lastcall.api.run import Run
    from lastcall.config.load import Document
    from lastcall.hooks.discovery import Plugins
    from lastcall.runs.assembly.parts import Parts

T = TypeVar("T")


class Rehearsal:
    """Implements `lastcall.CommandLine` for the commands of one plugin, with those that have registered them.

    Loaded anew, the plugin would know its options by another class than the one that its command was made with: so
    `assembled` makes the parts of a rehearsal with the plugins that there are.
    """

    def __init__(self, plugin: str, assembled: "Callable[[], AbstractContextManager[Parts]]") -> None:
        self._plugin = plugin
        self._assembled = assembled

    @property
    def plugin(self) -> str:
        """Whose commands it is for."""
        return self._plugin

    def each_guest(
        self, names: Sequence[str], work: "Callable[[Guest, Run], T]", *, timeout: float = 60.0
    ) -> list[tuple[Guest, T | LastcallError]]:
        """Call `work` for running guests; see `CommandLine.each_guest`."""
        with self._assembled() as parts:
            return parts.loop.run_until_complete(_all(parts, self._plugin, names, work, timeout))

    def once(self, work: "Callable[[Run], T]", *, timeout: float = 60.0) -> T:
        """Call `work` for no guest; see `CommandLine.once`."""
        with self._assembled() as parts:
            answer = parts.loop.run_until_complete(_one(parts, self._plugin, OwnCode(work), work, timeout))
        if isinstance(answer, LastcallError):
            raise answer
        return answer


@contextmanager
def with_plugins(document: "Document", plugins: "Plugins") -> "Generator[Parts]":
    """The parts of a rehearsal by this configuration, with plugins that are loaded already."""
    from lastcall.runs.assembly.parts import assemble
    from lastcall.runs.loading import Loaded
    from lastcall.runs.request import RunRequest

    with withheld():  # what the work prints, or the plugin's options as they are judged, is no result of the command
        settings = plugins.settings(document)
        loaded = Loaded(settings, plugins, "file" if document.files else "defaults", document)
        loop = asyncio.new_event_loop()
        # Left as it is: a worker that is abandoned may still speak to it.
        yield assemble(loaded, RunRequest(kind=RunKind.SHUTDOWN, rehearsal=True), loop)


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

    def of(guest: Guest) -> "Callable[[Run], T]":
        return lambda run: work(guest, run)

    answers = await asyncio.gather(*(_one(parts, plugin, OwnCode(work), of(guest), timeout) for guest in guests))
    return list(zip(guests, answers, strict=True))


async def _one(
    parts: "Parts", plugin: str, own: OwnCode, work: "Callable[[Run], T]", timeout: float
) -> T | LastcallError:
    call = HookCall(parts.context, plugin, expires=parts.loop.time() + timeout)

    def perform() -> T:
        try:
            return work(call)
        finally:
            call.release()

    try:
        return await ask_worker(parts.workers, parts.context.called(plugin), own, perform, timeout)
    except LastcallError as error:  # the plugin's failure with this guest, and not with the others
        return error
    finally:
        call.expire()
