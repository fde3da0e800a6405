"""A box keeps calls in their time, and leaves no thread behind."""

import threading

import pytest

from lab.patience import wait_until
from lastcall.threads.box import Box


def threads() -> int:
    return sum(one.name == "lastcall-box" for one in threading.enumerate())


def test_the_thread_of_a_box_that_nobody_holds_any_more_ends() -> None:
    before = threads()
    for number in range(20):
        assert Box().call(lambda number=number: number, timeout=60) == number
    wait_until(lambda: threads() <= before, "the threads end")


def test_a_call_that_overruns_keeps_its_thread_until_it_returns_and_no_longer() -> None:
    before, release, box = threads(), threading.Event(), Box()
    with pytest.raises(TimeoutError):
        box.call(release.wait, timeout=0.01)
    assert box.call(lambda: "another", timeout=60) == "another"
    box.close()
    wait_until(lambda: threads() <= before + 1, "the other one ends")
    release.set()
    wait_until(lambda: threads() <= before, "this one, too")
