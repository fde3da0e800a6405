"""Calls of which only so many get a worker at a time."""

import asyncio
import threading
from contextlib import closing

import pytest

from lab.patience import LONGEST
from lastcall.testing.memory import VirtualLoop
from lastcall.threads.turnstile import SLOW, Turnstile
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


def test_one_more_is_let_in_for_each_that_is_slow_and_no_more_than_may_be() -> None:
    release, begun = threading.Event(), dict[int, float]()

    async def story() -> None:
        loop = asyncio.get_running_loop()
        turnstile, start = Turnstile(ThreadWorkers(loop), most=5, few=2), loop.time()

        def wait(number: int) -> None:
            begun[number] = loop.time()
            release.wait(LONGEST)

        calls = [asyncio.ensure_future(turnstile.call(lambda n=n: wait(n), timeout=LONGEST)) for n in range(9)]
        async with asyncio.timeout(LONGEST):
            while len(begun) < 5:
                await asyncio.sleep(0.01)
        await asyncio.sleep(3 * SLOW)
        assert set(begun) == {0, 1, 2, 3, 4}
        assert min(begun[number] for number in (2, 3, 4)) - start >= SLOW, "the two before them were no longer quick"
        release.set()
        await asyncio.gather(*calls)
        assert set(begun) == set(range(9))

    asyncio.run(story())


def test_calls_that_take_no_time_go_by_few() -> None:
    inside, most = list[int](), list[int]()

    async def story() -> None:
        turnstile = Turnstile(ThreadWorkers(asyncio.get_running_loop()), most=64, few=4)

        async def call(number: int) -> None:
            async with turnstile.let_in():
                inside.append(number)
                most.append(len(inside))
                await asyncio.sleep(0)
                inside.remove(number)

        await asyncio.gather(*(call(number) for number in range(500)))

    with closing(VirtualLoop()) as loop:  # on whose clock no call takes longer because the machine is busy
        loop.run_until_complete(story())
    assert (max(most), len(most)) == (4, 500)


@pytest.mark.parametrize("cancelled", [range(0, 40, 2), range(40)], ids=["every second", "all"])
def test_who_is_given_up_at_the_moment_of_its_turn_keeps_nobody_out(cancelled: range) -> None:
    async def story() -> list[int]:
        turnstile, through, first = (
            Turnstile(ThreadWorkers(asyncio.get_running_loop()), 1),
            list[int](),
            asyncio.Event(),
        )

        async def call(number: int) -> None:
            async with turnstile.let_in():
                through.append(number)
                await asyncio.sleep(0)

        async def holds() -> None:
            async with turnstile.let_in():
                await first.wait()

        holder = asyncio.ensure_future(holds())
        await asyncio.sleep(0)
        calls = [asyncio.ensure_future(call(number)) for number in range(40)]
        await asyncio.sleep(0)
        first.set()
        await holder  # a turn has come, and whose it is may not know it yet
        for number in cancelled:
            calls[number].cancel()
        await asyncio.wait(calls)
        async with asyncio.timeout(LONGEST):
            await call(40)
        return through

    through = asyncio.run(story())
    assert [number for number in through if number not in cancelled] == [
        number for number in range(41) if number not in cancelled
    ]
