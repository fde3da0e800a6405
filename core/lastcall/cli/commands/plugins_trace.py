"""`lastcall plugins trace`: the calls of a hook, one by one, as a rehearsal."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import chain

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.cli.commands.check import find_problems
from lastcall.cli.commands.check_findings import tell_findings
from lastcall.cli.commands.hook import fire_hook, is_for_guests
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import occasion_option
from lastcall.errors import ExitCode, UsageError
from lastcall.formats.visible_text import page
from lastcall.hooks.occasions.occasions import usual_reason
from lastcall.hooks.order import ASKED_HOOKS, LOAD_HOOKS, RESTORE_HOOKS, RUN_HOOKS
from lastcall.hooks.tracing.onlooker import watched_by
from lastcall.hooks.tracing.trace import HookTrace
from lastcall.presence.lookup import find_guest
from lastcall.report.text import problem_lines
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.loading import Loaded, load
from lastcall.runs.request import RunRequest

HOOKS = (*RUN_HOOKS, *ASKED_HOOKS, *LOAD_HOOKS)


@click.command("trace")
@click.argument("hook", required=False, type=click.Choice(HOOKS), metavar="[HOOK]")
@click.argument("guests", nargs=-1, metavar="[GUEST]...")
@occasion_option
@click.pass_context
def trace_command(ctx: click.Context, hook: str | None, guests: tuple[str, ...], reason: str) -> int:
    """Fire a hook as a rehearsal, for these guests or all that run, and show each call: its place in the firing order,
    thread, arguments, what it returned or how it failed, and how long it took.

    Without HOOK: what loading the plugins calls. `LASTCALL_TRACE=1` shows the same of any command, on standard error.
    Exit code 1 when a call failed.
    """
    if guests and not is_for_guests(hook or ""):
        raise UsageError(f"{hook or 'loading'} is for no guest", "leave GUEST out")
    seen = _Seen(ctx.obj.started)
    if hook is None or hook in LOAD_HOOKS:
        _load(ctx, hook, seen)
    else:
        _rehearse(ctx.obj, hook, guests, usual_reason(hook, Reason(reason)), seen)
    click.echo(page(seen.lines))
    return ExitCode.NOT_AS_PLANNED if seen.failed else ExitCode.OK


class _Seen:
    """What is traced, in its lines."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._traces = list[HookTrace]()
        self.lines = list[str]()

    @contextmanager
    def of(self, *hooks: str) -> Generator[None]:
        """Have the calls of these hooks traced, that are made meanwhile."""
        self._traces.append(HookTrace(self.lines.append, started=self._started, hooks=hooks))
        with watched_by(self._traces[-1]):
            yield

    @property
    def failed(self) -> bool:
        """Whether any call has."""
        return any(one.any_failed for one in self._traces)


def _load(ctx: click.Context, hook: str | None, seen: _Seen) -> None:
    with seen.of(*(LOAD_HOOKS if hook is None else (hook,))):
        load(ctx.obj.config)
    if hook in {None, "register_commands"}:
        root = ctx.find_root()
        assert isinstance(root.command, click.Group)  # noqa: S101  it is `lastcall` itself, whose help asks for them
        with seen.of("register_commands"):
            root.command.list_commands(root)
    if not seen.lines:
        seen.lines.append(f"no plugin implements {hook}")


def _rehearse(invocation: Invocation, hook: str, guests: Sequence[str], reason: Reason, seen: _Seen) -> None:
    kind = RunKind.RESTORE if hook in RESTORE_HOOKS else RunKind.SHUTDOWN
    request = RunRequest(kind=kind, reason=reason, rehearsal=True, started=invocation.started)
    loop = asyncio.new_event_loop()
    with seen.of(hook):
        loaded = load(invocation.config)
        parts = assemble(loaded.for_reason(reason), request, loop)
        loop.run_until_complete(_check(parts, loaded) if hook == "post_check" else _fire(parts, hook, guests))
    if not seen.lines:
        known = loaded.plugins.registry.implementations(hook)
        seen.lines.append(f"no call of {hook}: {'no guest that it is for' if known else 'no plugin implements it'}")
    seen.lines += chain.from_iterable(map(problem_lines, parts.stream.story.report().problems))


async def _check(parts: Parts, loaded: Loaded) -> None:
    """What the hook is told has to be found first."""
    await find_problems(parts, loaded)
    await tell_findings(parts, loaded, lambda other, request: assemble(other, request, parts.loop))


async def _fire(parts: Parts, hook: str, guests: Sequence[str]) -> None:
    if not is_for_guests(hook):
        await fire_hook(parts, hook, ())
        return
    await parts.connections.connect()
    names = guests or [one.uuid for one in await parts.connections.active()]
    if hook == "guest_settings":  # whoever looks at a guest asks for them
        for name in names:
            await find_guest(parts.inventory, parts.stream, name)
    else:
        await fire_hook(parts, hook, names)
