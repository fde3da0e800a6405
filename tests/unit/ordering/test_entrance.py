"""Of guests that may all move at once no more begin than can be served: those behind a line wait outside."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from typing import Any

import pytest

from lastcall.ordering.entrance import GROUP, Entrance
from lastcall.testing.memory import VirtualLoop
from lastcall.timing.moment import Moment

HERE, THERE = "qemu:///system", "qemu+ssh://there/system"
CROWD = 5 * GROUP


class Line:
    """Requests that wait for a worker, as many as the test says."""

    def __init__(self) -> None:
        self.length: dict[str, int] = {}
        self._told: list[tuple[str, int, Callable[[], None]]] = []

    def is_short(self, uri: str, length: int, tell: Callable[[], None]) -> bool:
        if self.length.get(uri, 0) < length:
            return True
        self._told.append((uri, length, tell))
        return False

    def shrink(self, uri: str) -> None:
        """All of those have been served."""
        self.length[uri] = 0
        told, self._told = self._told, []
        for one, _, tell in told:
            assert one == uri
            tell()


class World:
    def __init__(self, loop: VirtualLoop) -> None:
        self.loop, self.line, self.last_ask = loop, Line(), Moment(loop, float("inf"))
        self.entrance = Entrance(loop, self.line, self.last_ask)
        self.inside = list[tuple[str, int]]()
        self.tasks = list[asyncio.Task[None]]()

    def come(self, uri: str, count: int = CROWD, *, waits_in_line: bool = True) -> None:
        async def one(number: int) -> None:
            await self.entrance.come_in(uri)
            self.inside.append((uri, number))
            if waits_in_line:
                self.line.length[uri] = self.line.length.get(uri, 0) + 1

        self.tasks += [self.loop.create_task(one(number)) for number in range(count)]

    def count(self, uri: str) -> int:
        return sum(one == uri for one, _ in self.inside)


@pytest.fixture
def world() -> Iterator[World]:
    with closing(VirtualLoop()) as loop:
        yield World(loop)


def run(world: World, story: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        await story
        for task in world.tasks:
            task.cancel()
        await asyncio.wait(world.tasks)

    world.loop.run_until_complete(whole())


def test_where_nobody_stands_in_line_all_begin_in_their_order_and_in_no_time(world: World) -> None:
    async def story() -> None:
        world.come(HERE, waits_in_line=False)
        await asyncio.wait(world.tasks)
        assert world.inside == [(HERE, number) for number in range(CROWD)]
        assert world.loop.time() == 0

    run(world, story())


def test_who_comes_behind_a_line_begins_as_soon_as_it_is_short(world: World) -> None:
    async def story() -> None:
        world.come(HERE)
        for groups in (1, 2, 3):
            await asyncio.sleep(0.01)
            assert world.inside == [(HERE, number) for number in range(groups * GROUP)]
            world.line.shrink(HERE)

    run(world, story())


def test_a_line_in_which_nothing_moves_keeps_nobody_out_for_long(world: World) -> None:
    async def story() -> None:
        world.come(HERE, 5000)
        await asyncio.sleep(0.1)
        assert world.count(HERE) == GROUP
        await asyncio.wait(world.tasks)
        assert world.loop.time() < 3

    run(world, story())


def test_one_daemons_line_is_no_others(world: World) -> None:
    async def story() -> None:
        world.line.length[HERE] = GROUP
        world.come(HERE)
        world.come(THERE, waits_in_line=False)
        await asyncio.sleep(0.01)
        assert (world.count(HERE), world.count(THERE)) == (GROUP, CROWD)

    run(world, story())


def test_when_it_is_time_to_ask_everybody_nobody_waits_outside(world: World) -> None:
    async def story() -> None:
        with world.last_ask.watch(world.entrance.heed_last_ask):
            world.come(HERE, 5000)
            await asyncio.sleep(0.1)
            world.last_ask.move(world.loop.time() + 1)
            await asyncio.sleep(0)
            assert world.count(HERE) == GROUP, "it is not yet"
            world.last_ask.hasten()
            world.come(HERE, 1)
            began = world.loop.time()
            await asyncio.wait(world.tasks)
            assert world.loop.time() == began

    run(world, story())


def test_who_waits_no_longer_takes_nobodys_place(world: World) -> None:
    async def story() -> None:
        world.come(HERE)
        await asyncio.sleep(0.01)
        for task in world.tasks[GROUP : 3 * GROUP]:
            task.cancel()
        await asyncio.sleep(0.01)
        world.line.shrink(HERE)
        await asyncio.sleep(0.01)
        assert world.inside[GROUP:] == [(HERE, number) for number in range(3 * GROUP, 4 * GROUP)]

    run(world, story())
