"""What waits for somebody who may block: whoever puts it there never does."""

import threading
import time

import pytest

from lab.patience import LONGEST
from lastcall.threads.outbox import Outbox


def test_everything_is_delivered_in_its_order_by_the_time_it_is_closed() -> None:
    got: list[int] = []
    box = Outbox[int](lambda things, _dropped: got.extend(things), "test", pause=0.01)
    for number in range(5000):
        box.put(number)
    assert box.close(LONGEST)
    assert got == list(range(5000))
    assert Outbox[int](lambda _things, _dropped: None, "test").close(LONGEST), "nothing has to be delivered"


def test_where_nobody_takes_them_the_oldest_are_dropped_and_counted() -> None:
    release, got, missing = threading.Event(), list[int](), list[int]()

    def deliver(things: list[int], dropped: int) -> None:
        release.wait()
        got.extend(things)
        missing.append(dropped)

    box = Outbox[int](deliver, "test", room=10)
    for number in range(1000):
        box.put(number)
    assert not box.close(0.01)
    release.set()
    assert box.close(LONGEST)
    assert got[-10:] == list(range(990, 1000))
    assert len(got) + sum(missing) == 1000


def test_who_does_not_move_is_not_waited_for() -> None:
    release = threading.Event()

    def deliver(_things: list[int], _dropped: int) -> None:
        release.wait()

    box = Outbox[int](deliver, "test")
    box.put(1)
    began = time.monotonic()
    assert not box.close(LONGEST, still=0.1)
    assert not box.close(LONGEST, stop=lambda: True)
    assert time.monotonic() - began < LONGEST / 2
    release.set()


def test_who_moves_slowly_is_waited_for() -> None:
    got: list[int] = []

    def deliver(things: list[int], _dropped: int) -> None:
        time.sleep(0.5)
        got.extend(things)

    box = Outbox[int](deliver, "test")
    for number in range(1000):
        box.put(number)
    assert box.close(LONGEST, still=60)
    assert len(got) == 1000


def test_an_error_ends_the_delivery_and_is_kept() -> None:
    def deliver(_things: list[int], _dropped: int) -> None:
        raise LookupError("no")

    box = Outbox[int](deliver, "test")
    box.put(1)
    assert not box.close(LONGEST)
    assert isinstance(box.error, LookupError)
    box.put(2)


@pytest.mark.parametrize("room", [1, 3])
def test_a_small_room_keeps_the_latest(room: int) -> None:
    release, got = threading.Event(), list[int]()

    def deliver(things: list[int], _dropped: int) -> None:
        release.wait()
        got.extend(things)

    box = Outbox[int](deliver, "test", room=room)
    for number in range(50):
        box.put(number)
    release.set()
    assert box.close(LONGEST)
    assert got[-room:] == list(range(50))[-room:]


def test_where_nothing_comes_whoever_wants_it_is_called_now_and_then_and_is_not_waited_for_when_that_hangs() -> None:
    release, batches = threading.Event(), list[list[int]]()

    def deliver(things: list[int], _dropped: int) -> None:
        batches.append(things)
        if batches.count([]) == 3:
            release.wait()

    box = Outbox[int](deliver, "test", idle=0.01)
    box.put(1)
    while batches.count([]) < 3:
        time.sleep(0.01)
    assert batches[0] == [1]
    time.sleep(0.3)
    box.put(2)
    began = time.monotonic()
    assert not box.close(LONGEST, still=0.1)
    assert time.monotonic() - began < LONGEST / 10
    release.set()
