"""Lanes where calls hang: who is well never waits for those that hang, and nobody waits for a connection to open."""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from lab.patience import LONGEST, wait_until
from lastcall.errors import CallExpired, ConnectionLost
from lastcall.hypervisor import call_limits
from lastcall.hypervisor.call_limits import BLOCKING_LANES, CALLS_PER_LANE, READY, SPARE, CallBudget, Lanes, Need

ALL = CALLS_PER_LANE * (BLOCKING_LANES + 1)


class Open:
    """A connection, as far as lanes look at it."""

    def isAlive(self) -> bool:  # noqa: N802  libvirt's name
        return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that hang from their beginning, as if it were later."""
    monkeypatch.setattr(call_limits, "PATIENCE", {"quick": 0.0, "blocking": 0.0, "plug": 0.0})


def lanes(opens: Callable[[], Any] = Open, budget: CallBudget | None = None, **more: Any) -> Lanes:
    return Lanes(opens, budget or CallBudget(), **more)


def hang(hung: ExitStack, on: Lanes, count: int, need: Need = "quick") -> None:
    for number in range(count):
        hung.enter_context(on.borrow(need, f"hung-{number}", timeout=LONGEST))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("need", ["quick", "blocking"])
def test_guests_that_are_well_get_lanes_when_calls_about_others_hold_them_all(need: Need) -> None:
    found = lanes()
    with ExitStack() as hung:
        hang(hung, found, CALLS_PER_LANE * BLOCKING_LANES, "blocking")
        hang(hung, found, CALLS_PER_LANE)
        with found.borrow(need, "well-1", timeout=0.0) as first, found.borrow(need, "well-2", timeout=0.0) as second:
            assert first is second, "a lane of their own"
            with pytest.raises(CallExpired), found.borrow(need, "well-3", timeout=0.0):
                pytest.fail("a call more than the daemon is burdened with")
        with found.borrow(need, "well-1", timeout=0.0) as again:
            assert again is first, "given back, it is there for the next"


@pytest.mark.usefixtures("impatient")
def test_a_guest_of_which_a_call_hangs_leaves_two_places_to_the_others() -> None:
    found = lanes()
    with ExitStack() as hung:
        hang(hung, found, ALL - SPARE)
        with pytest.raises(CallExpired), found.borrow("quick", "hung-1", timeout=0.0):
            pytest.fail("one of the last two places")
        for number in range(SPARE):
            hung.enter_context(found.borrow("quick", f"well-{number}", timeout=0.0))


def test_calls_that_return_in_time_are_as_many_as_ever() -> None:
    found = lanes()
    with ExitStack() as busy:
        hang(busy, found, ALL)
        with pytest.raises(CallExpired), found.borrow("quick", "one more", timeout=0.0):
            pytest.fail("a call more than the daemon is burdened with")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor


def borrowed(pool: ThreadPoolExecutor, found: Lanes, guest: str) -> Future[None]:
    def borrow() -> None:
        with found.borrow("quick", guest, timeout=LONGEST):
            pass

    return pool.submit(borrow)


@pytest.mark.usefixtures("impatient")
def test_who_waits_for_those_that_hang_says_for_whom_until_it_has_its_lane(pool: ThreadPoolExecutor) -> None:
    told: list[Collection[str]] = []
    found = lanes(crowded=told.append)
    with ExitStack() as hung:
        hang(hung, found, ALL + SPARE)
        assert not told
        waits = borrowed(pool, found, "well")
        wait_until(lambda: told, "it is told who is in the way", pause=0.01)
        assert set(told[0]) == {f"hung-{number}" for number in range(ALL + SPARE)}
        hung.pop_all().close()
        waits.result(LONGEST)
    said = len(told)
    with found.borrow("quick", "well", timeout=LONGEST):
        assert len(told) == said


def test_who_waits_for_calls_that_do_not_hang_says_nothing(pool: ThreadPoolExecutor) -> None:
    told: list[Collection[str]] = []
    found = lanes(crowded=told.append)
    with ExitStack() as busy:
        hang(busy, found, ALL)
        waits = borrowed(pool, found, "well")
        time.sleep(0.1)
        busy.pop_all().close()
        waits.result(LONGEST)
    assert not told


def test_who_waits_for_a_lane_gets_it_in_the_order_of_coming(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_limits, "STEP", LONGEST)  # nobody looks by itself
    budget, entered, leave = CallBudget(), list[int](), threading.Event()
    found = lanes(budget=budget)

    def enter(number: int) -> None:
        with found.borrow("quick", f"well-{number}", timeout=LONGEST):
            entered.append(number)
            leave.wait(LONGEST)

    busy = [ExitStack() for _ in range(ALL)]
    for one in busy:
        hang(one, found, 1)
    waits: list[Future[None]] = []
    for number in range(4):
        waits.append(pool.submit(enter, number))
        wait_until(lambda: len(budget.waiters) == len(waits), "it waits", pause=0.01)
    for count, one in enumerate(busy[:4], 1):
        one.close()
        wait_until(lambda count=count: len(entered) == count, "the next has its lane", pause=0.01)
    leave.set()
    for wait in waits:
        wait.result(LONGEST)
    for one in busy:
        one.close()
    assert (entered, budget.waiters) == ([0, 1, 2, 3], {})


def test_a_connection_that_hangs_as_it_is_opened_holds_up_nobody_else(pool: ThreadPoolExecutor) -> None:
    release, opening = threading.Event(), threading.Event()

    def opens() -> Open:
        if not opening.is_set():
            opening.set()
            release.wait(LONGEST)
        return Open()

    found = lanes(opens)
    stuck = borrowed(pool, found, "first")
    assert opening.wait(LONGEST)
    with pytest.raises(CallExpired), found.borrow("quick", "short", timeout=0.05):
        pytest.fail("a lane that nobody has opened")
    with found.borrow("blocking", "other", timeout=LONGEST), found.borrow("quick", "second", timeout=LONGEST) as lane:
        with found.borrow("quick", "third", timeout=LONGEST) as same:
            assert same is lane
        assert not stuck.done()
    release.set()
    stuck.result(LONGEST)


def test_a_lane_that_cannot_be_opened_is_tried_anew_by_the_next_call() -> None:
    answers: list[Any] = [ConnectionLost("no further connection"), Open()]

    def opens() -> Open:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = lanes(opens)
    with pytest.raises(ConnectionLost), found.borrow("quick", "g", timeout=LONGEST):
        pytest.fail("there is no connection")
    with found.borrow("quick", "g", timeout=LONGEST):
        pass


def test_a_crowd_of_calls_is_sent_one_by_one_as_others_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirtd starts no worker for a request that comes while another waits for one, and then never again."""
    budget, sent = CallBudget(), threading.Event()
    found = lanes(budget=budget)
    with ExitStack() as crowd, ThreadPoolExecutor() as threads:
        hang(crowd, found, READY - 1)
        monkeypatch.setattr(call_limits, "PACE", LONGEST)
        with found.borrow("quick", "one that returns", timeout=LONGEST):

            def call() -> None:
                with found.borrow("blocking", "next", timeout=LONGEST):
                    sent.set()

            over = threads.submit(call)
            wait_until(lambda: budget.pacing == 1, "it waits")
            assert not sent.is_set()
        over.result(timeout=LONGEST)
        assert sent.is_set()


def test_a_crowd_of_calls_that_do_not_return_is_sent_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_limits, "PACE", 0.01)
    budget = CallBudget()
    found = lanes(budget=budget)
    with ExitStack() as crowd:
        hang(crowd, found, CALLS_PER_LANE * BLOCKING_LANES)
        assert (budget.returned, budget.pacing) == (0, 0), "all were sent, and none has returned"
