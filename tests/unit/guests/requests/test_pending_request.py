"""One request to a guest, as long as it is under way and after."""

import asyncio
import gc
import math
import weakref

import pytest

from lastcall.errors import OperationInvalid
from lastcall.guests.requests.pending_request import PendingRequest


async def never() -> None:
    await asyncio.Event().wait()


async def refused() -> None:
    raise OperationInvalid("domain is not running")


def test_a_request_that_was_given_up_has_no_answer_that_somebody_could_take_for_consent() -> None:
    async def story() -> None:
        loop, told = asyncio.get_running_loop(), list[bool]()
        asking = PendingRequest(loop.time)
        asking.begin(never, loop, lambda: told.append(True))
        assert (asking.answered, asking.unread) == (False, True)
        await asking.abandon()
        assert (asking.answered, asking.unread, asking.error, told) == (True, False, None, [True])

    asyncio.run(story())


def test_what_libvirt_has_refused_is_kept_until_somebody_looks_and_who_waits_is_told() -> None:
    async def story() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        asking = PendingRequest(loop.time)
        asking.begin(refused, loop, over.set)
        await over.wait()
        assert (asking.answered, asking.unread) == (True, True)
        with pytest.raises(OperationInvalid):
            raise asking.error or AssertionError

    asyncio.run(story())


def test_the_first_word_that_it_has_left_counts() -> None:
    clock = iter([3.0, 5.0])
    asking = PendingRequest(lambda: next(clock))
    assert asking.age(4.0) == math.inf
    asking.note_sent()
    asking.note_sent()
    assert (asking.left_at, asking.age(4.0)) == (3.0, 1.0)


class Tools:
    """What a request is made with."""


@pytest.mark.parametrize("is_answered", [True, False])
def test_one_that_is_over_holds_nothing_of_what_it_was_made_with_though_the_collector_never_looks(
    is_answered: bool,
) -> None:
    async def story() -> None:
        loop, over, seen = asyncio.get_running_loop(), asyncio.Event(), list[weakref.ref[Tools]]()

        async def request() -> None:
            tools = Tools()
            seen.append(weakref.ref(tools))
            async with asyncio.timeout(10):  # refers to the task, as the one that bounds a request does
                await (refused() if is_answered else never())

        asking = PendingRequest(loop.time)
        asking.begin(request, loop, over.set)
        if is_answered:
            await over.wait()
        else:
            await asyncio.sleep(0.01)
            await asking.abandon()
        assert asking.answered
        assert [one() for one in seen] == [None]

    gc.disable()
    try:
        asyncio.run(story())
    finally:
        gc.enable()
