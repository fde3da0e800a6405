"""One hook, fired by the real dispatcher with real threads, for tests of single calls."""

import asyncio

from lastcall import Guest
from lastcall.config.settings import HookSettings
from lastcall.hooks.dispatch import Dispatcher, Fired
from lastcall.hooks.registry import Registry
from lastcall.hooks.sources import Origin, Source
from lastcall.records.stream import Stream
from lastcall.threads.workers import ThreadWorkers
from support import run_context

GUEST = Guest(uri="fake:///system", uuid="u", name="g")


def fire(
    plugins: dict[str, object], hook: str, settings: HookSettings, guest: Guest | None = GUEST
) -> tuple[Fired, Stream]:
    """Fire one hook of these plugins with real threads; returns what it brought, and the run's stream."""

    async def story() -> tuple[Fired, Stream]:
        loop = asyncio.get_running_loop()
        registry, stream = Registry(settings), Stream(loop.time)
        for name, plugin in plugins.items():
            registry.add(Source(name=name, origin=Origin.PACKAGE, where="test", sort_key=name), plugin)
        stream.story.plan(guest or GUEST)
        dispatcher = Dispatcher(registry, settings, run_context(loop.time), ThreadWorkers(loop), stream, loop)
        return await dispatcher.fire(hook, guest), stream

    return asyncio.run(story())
