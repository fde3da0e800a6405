"""One hostile guest costs a run what it may say, however many others there are, and no other guest anything."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import lastcall
from lastcall import Guest, Outcome, Reason, Report, Run
from lastcall.config.metadata import LONGEST
from lastcall.hypervisor.ports import GuestFacts
from lastcall.records.found_problems import OF_A_SOURCE
from lastcall.testing.memory import FakeGuest, run_shutdown

NAME = "tenant\u202e\x1b[2J\u2028✓ g1 stopped\n" + "x" * 200
SETTABLE = (
    "depends_on",
    "stop",
    "timeout",
    "order",
    "hooks",
    "databases",
    "ssh",
    "manage",
    "last_resort",
    "stop_order",
)
METADATA = {
    **dict.fromkeys(SETTABLE, ("[" + "{a: b}, " * LONGEST)[: LONGEST - 1] + "]"),
    **{f"key-{number}": "*" * LONGEST for number in range(100 - len(SETTABLE))},
}
OTHERS = (10, 100, 1000)  # guests


class Fails:
    """Fails for that guest in every hook, in as many words as it has."""

    def _fail(self, guest: Guest, run: Run) -> None:
        if guest.name == NAME:
            run.evidence(**{f"figure {number}": "\u202e" * 3000 for number in range(3000)})
            for number in range(3000):
                run.log(f"{number} \x1b[2J")
            raise ValueError("no" * 10**6)

    @lastcall.hookimpl
    def on_guest_stop(self, guest: Guest, run: Run) -> None:
        """While it runs."""
        self._fail(guest, run)

    @lastcall.hookimpl
    def on_guest_stopped(self, guest: Guest, run: Run) -> None:
        """Once it is off."""
        self._fail(guest, run)


def shut_down(folder: Path, others: int, *, hostile: bool) -> Report:
    """A host stop of so many guests and one more."""
    guests = [FakeGuest(f"g{number}") for number in range(others)]
    last = FakeGuest(NAME, traits=GuestFacts(metadata=METADATA)) if hostile else FakeGuest("g")
    return run_shutdown(folder, [last, *guests], plugins={"fails": Fails()}, reason=Reason.POWEROFF)


def work_of(action: Callable[[], object]) -> int:
    """How many functions are called, of Python's and of C's: what a busy machine does not change."""
    count = 0

    def look(_frame: FrameType, event: str, _what: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        action()
    finally:
        sys.setprofile(before)
    return count


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[int, int]]:
    """By the number of the others: what a host stop beside a decent guest takes, and beside a hostile one."""
    folder = tmp_path_factory.mktemp("costs")
    shut_down(folder / "first", 1, hostile=True)  # what is imported and composed once

    def cost(others: int, *, hostile: bool) -> int:
        return work_of(lambda: shut_down(folder / f"{others} {hostile}", others, hostile=hostile))

    return {others: (cost(others, hostile=False), cost(others, hostile=True)) for others in OTHERS}


def test_what_a_hostile_guest_costs_does_not_grow_with_the_number_of_the_others(
    costs: dict[int, tuple[int, int]],
) -> None:
    extras = [hostile - decent for decent, hostile in costs.values()]
    assert max(extras) < 1.2 * min(extras), costs


def test_beside_many_guests_a_hostile_one_is_no_more_than_its_share(costs: dict[int, tuple[int, int]]) -> None:
    decent, hostile = costs[max(OTHERS)]
    assert hostile < 2.2 * decent, costs  # from Python 3.12 on a comprehension is no call: decent ones have many


def test_the_others_are_stopped_beside_a_hostile_guest_as_they_are_without_it(tmp_path: Path) -> None:
    with_it, without = (shut_down(tmp_path / str(hostile), 50, hostile=hostile) for hostile in (True, False))

    def seen(report: Report) -> dict[str, tuple[Outcome, float | None, float]]:
        return {
            guest.name: (guest.outcome, guest.asked, guest.duration)
            for guest in report.guests
            if guest.name[1:].isdigit()
        }

    assert len(seen(with_it)) == 50
    assert seen(with_it) == seen(without)
    assert {one.where for one in with_it.problems} == {NAME}
    assert len(with_it.problems) <= OF_A_SOURCE + 1
    assert {guest.outcome for guest in with_it.guests} == {Outcome.STOPPED}
