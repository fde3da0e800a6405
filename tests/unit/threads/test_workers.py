"""Worker threads: abandoned when they overrun, never awaited, never in each other's way."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from lab.patience import LONGEST
from lastcall.testing.memory import VirtualLoop
from lastcall.threads.answers import WorkerExit
from lastcall.threads.box import Box
from lastcall.threads.workers import AT_ONCE, BURST, FEW, ThreadWorkers
from lastcall.timing.moment import Moment


@pytest.fixture(autouse=True)
def _switch_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def virtual_loop() -> Iterator[VirtualLoop]:
    with closing(VirtualLoop()) as loop:
        yield loop


def leave(code: int) -> None:
    sys.exit(code)


def test_what_the_work_returns_or_raises_arrives() -> None:
    async def story() -> None:
        workers = ThreadWorkers(asyncio.get_running_loop())
        assert await workers.call(lambda: 5, timeout=None) == 5
        with pytest.raises(ValueError, match="invalid literal"):
            await workers.call(lambda: int("x"), timeout=None)
        with pytest.raises(WorkerExit, match="SystemExit: 3"):
            await workers.call(lambda: leave(3), timeout=None)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await workers.call(lambda: next(iter(())), timeout=None)

    asyncio.run(story())


def test_work_that_overruns_is_abandoned_and_the_others_go_on() -> None:
    release = threading.Event()

    async def story() -> None:
        workers = ThreadWorkers(asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            await workers.call(release.wait, timeout=0.05)
        assert await workers.call(lambda: 5, timeout=LONGEST) == 5

    asyncio.run(story())
    release.set()


def test_slow_work_does_not_hold_up_the_rest() -> None:
    release = threading.Event()

    async def story() -> None:
        workers = ThreadWorkers(asyncio.get_running_loop())
        slow = [asyncio.ensure_future(workers.call(release.wait, timeout=None)) for _ in range(BURST * 2)]
        await asyncio.sleep(0)
        assert await workers.call(lambda: 5, timeout=LONGEST) == 5
        release.set()
        await asyncio.gather(*slow)

    asyncio.run(story())


def test_a_thousand_calls_do_not_mean_a_thousand_threads() -> None:
    async def story() -> int:
        workers = ThreadWorkers(asyncio.get_running_loop())
        before = threading.active_count()
        await asyncio.gather(*(workers.call(lambda: None, timeout=None) for _ in range(1000)))
        return threading.active_count() - before

    assert asyncio.run(story()) <= BURST * 4


def test_calls_that_each_return_soon_get_more_threads_where_together_they_do_not() -> None:
    async def story() -> int:
        workers = ThreadWorkers(asyncio.get_running_loop())
        await asyncio.gather(*(workers.call(lambda: time.sleep(AT_ONCE / 2), timeout=None) for _ in range(200)))
        return sum(thread.name == "lastcall-worker" for thread in threading.enumerate())

    before = sum(thread.name == "lastcall-worker" for thread in threading.enumerate())
    assert FEW + 2 <= asyncio.run(story()) - before <= BURST


def test_where_no_thread_can_be_started_calls_wait_for_those_that_there_are_and_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, start, room = threading.Event(), threading.Thread.start, [1]

    def begin(thread: threading.Thread) -> None:
        if not room[0]:
            raise RuntimeError("can't start new thread")
        room[0] -= 1
        start(thread)

    async def story() -> None:
        workers = ThreadWorkers(asyncio.get_running_loop())
        monkeypatch.setattr(threading.Thread, "start", begin)
        slow = asyncio.ensure_future(workers.call(release.wait, timeout=None))
        others = [asyncio.ensure_future(workers.call(lambda: 5, timeout=None)) for _ in range(BURST * 2)]
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await workers.call(lambda: 5, timeout=0.1)
        assert not any(call.done() for call in others)
        room[0] = 1  # who relied on threads that are not there would never start this one
        assert await asyncio.wait_for(asyncio.gather(*others), LONGEST) == [5] * BURST * 2
        release.set()
        await slow

    asyncio.run(story())


def test_a_call_that_overruns_its_box_is_left_and_the_next_is_made() -> None:
    release, box = threading.Event(), Box()
    first = box.call(threading.current_thread, timeout=LONGEST)
    assert box.call(threading.current_thread, timeout=LONGEST) is first
    with pytest.raises(TimeoutError):
        box.call(release.wait, timeout=0.05)
    with pytest.raises(WorkerExit):
        box.call(lambda: leave(1), timeout=LONGEST)
    assert box.call(threading.current_thread, timeout=LONGEST) is not first
    release.set()


def test_spinning_abandoned_workers_do_not_slow_the_hand_over_to_others() -> None:
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    async def story() -> float:
        workers = ThreadWorkers(asyncio.get_running_loop())
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await workers.call(spin, timeout=0.05)
        began = time.process_time()
        for _ in range(100):
            await workers.call(lambda: None, timeout=None)
        return time.process_time() - began

    took = asyncio.run(story())
    stop.set()
    assert sys.getswitchinterval() < 0.001
    assert took < 2.5, "at the interpreter's own interval the spinning takes more than three seconds on a processor"


def test_a_milestone_cuts_work_off_by_time_or_when_it_is_hastened(virtual_loop: VirtualLoop) -> None:
    loop = virtual_loop

    async def story() -> None:
        early, late = Moment(loop, 5.0), Moment(loop, float("inf"))
        assert not await early.bounds(asyncio.sleep(10))
        assert loop.time() == 5.0
        assert await late.bounds(asyncio.sleep(10))
        loop.call_later(1, late.hasten)
        assert not await late.bounds(asyncio.sleep(10))
        assert loop.time() == 16.0
        assert not await late.bounds(asyncio.sleep(10)), "what has passed stays passed"

    loop.run_until_complete(story())


def test_a_clock_that_jumps_says_so_when_nothing_is_going_to_happen(virtual_loop: VirtualLoop) -> None:
    loop = virtual_loop

    async def story() -> None:
        await loop.create_future()

    with pytest.raises(RuntimeError, match="nothing is going to happen"):
        loop.run_until_complete(story())


def test_whoever_posts_without_end_starves_no_timer() -> None:
    async def story() -> int:
        loop, count = asyncio.get_running_loop(), 0
        workers = ThreadWorkers(loop)

        def again() -> None:
            nonlocal count
            count += 1
            if count < 100_000:
                workers.post(again)

        workers.post(again)
        await asyncio.sleep(0.001)
        return count

    assert asyncio.run(story()) < 100_000
