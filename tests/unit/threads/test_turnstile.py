"""Calls of which only so many get a worker at a time."""

import asyncio
import threading

import pytest

from lab.patience import LONGEST
from lastcall.threads.turnstile import Turnstile
from lastcall.threads.workers import ThreadWorkers

MOST = 3


def worker_threads() -> int:
    return sum(thread.name == "lastcall-worker" for thread in threading.enumerate())


def test_of_calls_that_wait_for_each_other_only_some_have_a_thread() -> None:
    release, let_in = threading.Event(), list[int]()

    async def story() -> None:
        before = worker_threads()
        turnstile = Turnstile(ThreadWorkers(asyncio.get_running_loop()), MOST)

        def wait(number: int) -> int:
            let_in.append(number)
            release.wait(LONGEST)
            return number

        calls = [asyncio.ensure_future(turnstile.call(lambda n=n: wait(n), timeout=LONGEST)) for n in range(50)]
        async with asyncio.timeout(LONGEST):
            while len(let_in) < MOST:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1)  # in which the slow ones got a thread more each
        assert (let_in, worker_threads() - before) == ([0, 1, 2], MOST)
        release.set()
        assert await asyncio.gather(*calls) == list(range(50))

    asyncio.run(story())


def test_the_wait_counts_and_whose_time_is_up_is_never_begun_and_makes_room() -> None:
    release, begun = threading.Event(), list[str]()

    async def story() -> None:
        turnstile = Turnstile(ThreadWorkers(asyncio.get_running_loop()), 1)
        hangs = asyncio.ensure_future(turnstile.call(lambda: release.wait(LONGEST), timeout=1.0))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await turnstile.call(lambda: begun.append("late"), timeout=0.05)
        next_one = asyncio.ensure_future(turnstile.call(lambda: begun.append("next"), timeout=LONGEST))
        with pytest.raises(TimeoutError):
            await hangs
        await next_one
        assert begun == ["next"], "the worker of the first has not returned, and holds up nobody"
        release.set()

    asyncio.run(story())
