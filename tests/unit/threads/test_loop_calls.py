"""What other threads want of the loop's: alone it is done at once, in a crowd together."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing
from contextvars import Context
from typing import Any

from lab.patience import LONGEST
from lastcall.threads.loop_calls import MOMENT, LoopCalls


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often another thread has woken it."""

    wakes = 0

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        self.wakes += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONGEST):
        while not done():
            await asyncio.sleep(0.002)


def test_one_that_comes_alone_is_done_in_the_loops_next_turn() -> None:
    async def story() -> None:
        calls, done = LoopCalls(asyncio.get_running_loop()), list[int]()
        for number in range(5):
            calls.post(lambda number=number: done.append(number))
            await asyncio.sleep(0)
            assert done == list(range(number + 1))

    asyncio.run(story())


def test_a_crowd_wakes_the_loop_once_and_who_comes_after_it_wakes_it_again() -> None:
    async def story(loop: CountingLoop) -> None:
        calls, done = LoopCalls(loop), list[int]()
        for number in range(2):
            calls.post(lambda number=number: done.append(number))
        await asyncio.sleep(0)
        assert done == [0, 1]
        for number in range(2, 50):
            calls.post(lambda number=number: done.append(number))
        await until(lambda: len(done) == 50)
        assert loop.wakes == 1
        await asyncio.sleep(20 * MOMENT)
        calls.post(lambda: done.append(50))
        await asyncio.sleep(0)
        assert (loop.wakes, done) == (2, list(range(51)))

    with closing(CountingLoop()) as loop:
        loop.run_until_complete(story(loop))


def test_what_many_threads_want_is_all_done_each_ones_in_its_order() -> None:
    each, threads = 2000, 4

    async def story() -> None:
        calls, done = LoopCalls(asyncio.get_running_loop()), list[tuple[int, int]]()

        pairs = [[(thread, number) for number in range(each)] for thread in range(threads)]

        def post_all(mine: list[tuple[int, int]]) -> None:
            for pair in mine:
                calls.post(lambda pair=pair: done.append(pair))

        workers = [threading.Thread(target=post_all, args=(mine,)) for mine in pairs]
        for worker in workers:
            worker.start()
        await until(lambda: len(done) == each * threads)
        for thread, mine in enumerate(pairs):
            assert [pair for pair in done if pair[0] == thread] == mine

    asyncio.run(story())


def test_an_action_that_fails_costs_no_other() -> None:
    told = list[object]()

    async def story() -> None:
        loop, done = asyncio.get_running_loop(), list[int]()
        loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
        calls = LoopCalls(loop)
        calls.post(lambda: done.append(1 // 0))
        calls.post(lambda: done.append(1))
        await until(lambda: done == [1])

    asyncio.run(story())
    assert [type(error) for error in told] == [ZeroDivisionError]
