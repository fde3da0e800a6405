"""Lanes where calls hang: who is well never waits for those that hang, and nobody waits for a connection to open."""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, cast

import pytest

from lab.patience import LONGEST, wait_until
from lastcall.errors import CallExpired, ConnectionLost
from lastcall.hypervisor import lanes as lanes_module
from lastcall.hypervisor.call_limits import call_budget, call_places
from lastcall.hypervisor.call_limits.call_budget import BLOCKING, READY, SPARE, CallBudget
from lastcall.hypervisor.call_limits.call_places import QUESTIONS, QUICK, CallPlaces
from lastcall.hypervisor.call_limits.open_call import Need
from lastcall.hypervisor.lanes import ALIVE_FOR, OPENINGS, Lanes

ALL = QUICK + BLOCKING


class Open:
    """A connection, as far as lanes look at it."""

    alive = True

    def isAlive(self) -> bool:  # noqa: N802  libvirt's name
        return self.alive


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that hang from their beginning, as if it were later."""
    monkeypatch.setattr(call_places, "PATIENCE", dict.fromkeys(call_places.PATIENCE, 0.0))


def lanes(opens: Callable[[], Any] = Open, budget: CallBudget | None = None, **more: Any) -> Lanes:
    return Lanes(opens(), opens, budget or CallBudget(), **more)


def hang(hung: ExitStack, on: Lanes, count: int, need: Need = "quick") -> None:
    for number in range(count):
        hung.enter_context(on.borrow(need, f"hung-{number}", timeout=LONGEST))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("need", ["quick", "blocking"])
def test_guests_that_are_well_get_lanes_when_calls_about_others_hold_them_all(need: Need) -> None:
    found = lanes()
    with ExitStack() as hung:
        hang(hung, found, BLOCKING, "blocking")
        hang(hung, found, QUICK)
        with found.borrow(need, "well-1", timeout=0.0), found.borrow(need, "well-2", timeout=0.0):
            third = found.borrow(need, "well-3", timeout=0.0)
            with pytest.raises(CallExpired), third:
                pytest.fail("a call more than the daemon is burdened with")
        with found.borrow(need, "well-3", timeout=0.0):
            pass  # given back, a place is there for the next


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


def waiting(budget: CallBudget) -> int:
    return sum(map(len, budget.lines.values()))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor


def borrowed(pool: ThreadPoolExecutor, found: Lanes, guest: str, need: Need = "quick") -> Future[None]:
    def borrow() -> None:
        with found.borrow(need, guest, timeout=LONGEST):
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
    monkeypatch.setattr(call_places, "STEP", LONGEST)  # nobody looks by itself
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
        wait_until(lambda: waiting(budget) == len(waits), "it waits", pause=0.01)
    for count, one in enumerate(busy[:4], 1):
        one.close()
        wait_until(lambda count=count: len(entered) == count, "the next has its lane", pause=0.01)
    leave.set()
    for wait in waits:
        wait.result(LONGEST)
    for one in busy:
        one.close()
    assert (entered, budget.lines) == ([0, 1, 2, 3], {})


@pytest.mark.parametrize("need", ["quick", "question", "blocking"])
def test_a_call_that_returns_costs_as_much_whether_few_wait_or_many(
    monkeypatch: pytest.MonkeyPatch, need: Need
) -> None:
    monkeypatch.setattr(call_places, "STEP", LONGEST)  # nobody looks by itself
    budget, tries = CallBudget(), list[str]()
    found = lanes(budget=budget)
    kept = CallPlaces.try_to_take

    def counted(self: CallPlaces, need: Need, uuid: str) -> Any:
        tries.append(uuid)
        return kept(self, need, uuid)

    crowd = 60
    with ThreadPoolExecutor(crowd) as threads:
        with ExitStack() as busy:
            hang(busy, found, ALL)
            hang(busy, found, QUESTIONS, "question")
            waits = [borrowed(threads, found, f"well-{number}", need) for number in range(crowd)]
            wait_until(lambda: waiting(budget) == crowd, "they wait", pause=0.01)
            monkeypatch.setattr(CallPlaces, "try_to_take", counted)
        for wait in waits:
            wait.result(LONGEST)
    calls = ALL + QUESTIONS + crowd
    assert len(tries) < 3 * calls, "some two for each call; to ask all that wait would be thousands"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("need", ["quick", "blocking"])
def test_who_waits_behind_one_whose_call_hangs_goes_on_before_it(pool: ThreadPoolExecutor, need: Need) -> None:
    budget = CallBudget()
    found = lanes(budget=budget)
    with ExitStack() as hung, ExitStack() as last:
        hang(hung, found, ALL + SPARE - 1)
        last.enter_context(found.borrow("quick", "well", timeout=LONGEST))
        first = borrowed(pool, found, "hung-1", need)
        wait_until(lambda: waiting(budget) == 1, "it waits", pause=0.01)
        second = borrowed(pool, found, "well-2", need)
        wait_until(lambda: waiting(budget) == 2, "both wait", pause=0.01)
        last.close()
        second.result(LONGEST)
        assert not first.done()
        hung.close()
        first.result(LONGEST)


def test_no_two_calls_share_a_connection_and_none_is_opened_while_another_is_idle() -> None:
    opened = list[Open]()

    def opens() -> Open:
        opened.append(Open())
        return opened[-1]

    found = lanes(opens)
    for need in ("quick", "question", "blocking", "plug"):
        with found.borrow(need, "g", timeout=0.0) as lane:
            assert lane.connection is opened[0]
    with ExitStack() as crowd:
        hang(crowd, found, ALL)
        for number in range(QUESTIONS):
            crowd.enter_context(found.borrow("question", f"g-{number}", timeout=0.0))
        crowd.enter_context(found.borrow("plug", "g", timeout=0.0))
        assert len(opened) == ALL + QUESTIONS + 1
    with ExitStack() as again:
        hang(again, found, ALL)
        assert len(opened) == ALL + QUESTIONS + 1


def test_questions_have_places_of_their_own_and_no_more() -> None:
    found = lanes()
    with ExitStack() as crowd:
        hang(crowd, found, ALL)
        for number in range(QUESTIONS):
            crowd.enter_context(found.borrow("question", f"g-{number}", timeout=0.0))
        with pytest.raises(CallExpired), found.borrow("question", "one more", timeout=0.0):
            pytest.fail("a question more than the daemon is burdened with")


def test_a_connection_that_has_died_is_not_lent_again() -> None:
    found = lanes()
    with found.borrow("quick", "g", timeout=0.0) as lane:
        died = lane.connection
    assert isinstance(died, Open)
    died.alive = False
    time.sleep(ALIVE_FOR)
    with found.borrow("quick", "g", timeout=0.0) as lane:
        assert lane.connection is not died


def test_a_connection_that_hangs_as_it_is_opened_holds_up_nobody_else(pool: ThreadPoolExecutor) -> None:
    release, opening = threading.Event(), threading.Event()

    def opens() -> Open:
        if not opening.is_set():
            opening.set()
            release.wait(LONGEST)
        return Open()

    found = Lanes(cast("Any", Open()), cast("Any", opens), CallBudget())
    with found.borrow("quick", "first", timeout=LONGEST):
        stuck = borrowed(pool, found, "second")
        assert opening.wait(LONGEST)
        with found.borrow("blocking", "other", timeout=LONGEST), found.borrow("quick", "third", timeout=LONGEST):
            assert not stuck.done()
    release.set()
    stuck.result(LONGEST)


def test_only_a_few_connections_are_opened_at_a_time_and_one_that_is_given_back_will_do(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "OPENING", LONGEST)
    release, opening, most = threading.Event(), list[int](), list[int]()

    def opens() -> Open:
        opening.append(1)
        most.append(len(opening))
        release.wait(LONGEST)
        opening.pop()
        return Open()

    found = Lanes(cast("Any", Open()), cast("Any", opens), CallBudget())
    with found.borrow("quick", "first", timeout=LONGEST):
        opened = [borrowed(pool, found, f"g-{number}", "blocking") for number in range(OPENINGS)]
        wait_until(lambda: len(opening) == OPENINGS, "they are being opened", pause=0.01)
        waits = borrowed(pool, found, "one more", "blocking")
        with pytest.raises(CallExpired), found.borrow("blocking", "short", timeout=0.05):
            pytest.fail("a connection that nobody has opened")
    waits.result(LONGEST)
    assert max(most) == OPENINGS
    release.set()
    for one in opened:
        one.result(LONGEST)


def test_connections_that_hang_as_they_are_opened_keep_nobody_from_opening_another(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "OPENING", 0.05)
    release, opening = threading.Event(), list[int]()

    def opens() -> Open:
        opening.append(1)
        if len(opening) <= OPENINGS:
            release.wait(LONGEST)
        return Open()

    found = Lanes(cast("Any", Open()), cast("Any", opens), CallBudget())
    with found.borrow("quick", "first", timeout=LONGEST):
        hang = [borrowed(pool, found, f"g-{number}", "blocking") for number in range(OPENINGS)]
        wait_until(lambda: len(opening) == OPENINGS, "they are being opened", pause=0.01)
        with found.borrow("blocking", "well", timeout=LONGEST):
            assert not any(one.done() for one in hang), "it has a connection, and they hang on"
    release.set()
    for one in hang:
        one.result(LONGEST)


def test_a_lane_that_cannot_be_opened_is_tried_anew_by_the_next_call() -> None:
    answers: list[Any] = [Open(), ConnectionLost("no further connection"), Open()]

    def opens() -> Open:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = lanes(opens)
    with found.borrow("quick", "h", timeout=LONGEST):
        with pytest.raises(ConnectionLost), found.borrow("quick", "g", timeout=LONGEST):
            pytest.fail("there is no further connection")
        with found.borrow("quick", "g", timeout=LONGEST):
            pass


def test_a_crowd_of_calls_is_sent_one_by_one_as_others_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirtd starts no worker for a request that comes while another waits for one, and then never again."""
    budget, sent = CallBudget(), threading.Event()
    found = lanes(budget=budget)
    with ExitStack() as crowd, ThreadPoolExecutor() as threads:
        hang(crowd, found, READY - 1)
        monkeypatch.setattr(call_budget, "PACE", LONGEST)
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
    monkeypatch.setattr(call_budget, "PACE", 0.01)
    budget = CallBudget()
    found = lanes(budget=budget)
    with ExitStack() as crowd:
        hang(crowd, found, BLOCKING)
        assert (budget.returned, budget.pacing) == (0, 0), "all were sent, and none has returned"
