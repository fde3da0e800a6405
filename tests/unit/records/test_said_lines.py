"""What a call says is bounded before the loop sees it; what was left out is counted, and the loop stays free."""

import asyncio
import threading
import time
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from lastcall.records.said_lines import LINE_BYTES, LINES, RATE, ROOM, SaidLines
from lastcall.testing.memory.workers import InlineWorkers
from lastcall.threads.workers import ThreadWorkers


class NobodyLooks(InlineWorkers):
    """The loop has other things to do."""

    def post(self, action: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Nothing."""


def queue() -> SaidLines:
    """Where lines wait until the end of their call."""
    with closing(asyncio.new_event_loop()) as loop:
        return SaidLines(NobodyLooks(), loop)


def said(*texts: str) -> list[str]:
    """What comes of these texts, said in one call by a worker, until the end of the call."""
    lines: list[str] = []
    call = queue().of_call(lines.append)
    for text in texts:
        call.say(text)
    call.end()
    return lines


@given(st.lists(st.text(max_size=50), max_size=20))
def test_little_output_arrives_line_by_line_as_it_was_said(texts: list[str]) -> None:
    assert said(*texts) == [line.rstrip() for text in texts for line in text.splitlines() or [""]]


def test_of_a_flood_the_first_lines_arrive_and_the_others_are_counted_once_at_the_end() -> None:
    for texts in (["x\n" * 1_000_000], ["x"] * 20_000, ["\n" * 50_000, "x\n" * 50_000]):
        total = sum(len(text.splitlines()) for text in texts)
        *kept, last = said(*texts)
        assert RATE <= len(kept) <= LINES
        assert last == f"… cut: {total - len(kept)} more lines left out"


def test_a_call_that_takes_its_time_may_say_more_but_never_more_than_its_share() -> None:
    lines: list[str] = []
    call = queue().of_call(lines.append)
    began = time.monotonic()
    for _ in range(4):
        call.say("x\n" * RATE)
        time.sleep(0.1)
    call.end()
    assert RATE < len(lines) - 1 <= RATE * (1 + time.monotonic() - began)


def test_a_long_line_is_cut_with_the_number_left_out_whatever_its_characters_weigh() -> None:
    for character in ("x", "ä", "\U0001f600", "\udc80"):
        (line,) = said(character * 1_000_000)
        kept = line.partition("… cut: ")[0]
        assert len(kept.encode("utf-8", "surrogatepass")) <= LINE_BYTES
        assert line.endswith(f"… cut: {1_000_000 - len(kept)} more characters left out")


def test_all_calls_together_have_so_many_lines_waiting_and_each_says_how_many_of_its_own_are_missing() -> None:
    lines: list[str] = []
    way = queue()
    calls = [way.of_call(lines.append) for _ in range(100)]
    for call in calls:
        call.say("x\n" * RATE)
    for call in calls:
        call.end()
    cut = [line for line in lines if line.startswith("…")]
    assert lines.count("x") == ROOM
    assert not way.full  # what has ended waits no longer
    assert sum(int(line.split()[2]) for line in cut) == 100 * RATE - ROOM


def test_timers_and_what_others_post_come_between_the_lines_of_a_flood() -> None:
    async def story() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        workers, lines, over = ThreadWorkers(loop), list[str](), threading.Event()
        way = SaidLines(workers, loop)

        def write(line: str) -> None:
            lines.append(line)
            time.sleep(0.0005)  # as a sink that takes its time

        def flood() -> None:
            while not over.is_set():
                way.of_call(write).say("x\n" * RATE)

        talking = [loop.create_task(workers.call(flood, timeout=None)) for _ in range(3)]
        while len(lines) < 50:
            await asyncio.sleep(0.001)
        before, turns = len(lines), 20
        for _ in range(turns):
            await workers.call(lambda: None, timeout=None)
            await asyncio.sleep(0.001)
        between = len(lines) - before
        over.set()
        await asyncio.gather(*talking)
        return between, turns

    between, turns = asyncio.run(story())
    assert between / turns < 200  # a hand-over and a timer: each waits for a handful of lines, and not for all


def test_after_its_end_a_call_says_nothing_more() -> None:
    lines: list[str] = []
    call = queue().of_call(lines.append)
    call.end()
    call.say("late")
    call.end()
    assert "late" not in lines
