"""What the live view takes of the processor, by the clock of its own thread: a busy machine changes that little."""

import time

from lastcall.cli.live.live_progress import TICK, LiveProgress
from lastcall.cli.live.terminal import Terminal
from lastcall.records.records import RunEnded
from unit.cli.live.test_area import crowd
from unit.cli.live.test_watched_run import begun

SHARE = 0.02  # of the processor


class Wall(Terminal):
    """A large terminal that takes whatever it is given."""

    def __init__(self) -> None:
        self.encoding = "utf-8"
        self.frames = 0

    def size(self) -> tuple[int, int]:
        return 120, 40

    def is_taken(self) -> bool:
        return False

    def write(self, text: str) -> None:
        self.frames += text.count("\033[?7l")


def test_with_a_hundred_guests_that_move_all_the_time_it_takes_hardly_anything_of_the_processor() -> None:
    wall, spent = Wall(), list[float]()
    live = LiveProgress(wall)
    records = crowd(100)
    for batch in ([begun(), *records[:100]], *([record] for record in records[100:]), [RunEnded(at=60.0, exit_code=0)]):
        before = time.thread_time()
        live.deliver(batch, 0)
        spent.append(time.thread_time() - before)
    assert wall.frames > 90
    assert sum(spent) / len(spent) < TICK * SHARE / 4, "a drawing takes 0.3 ms; twice a second is the most there is"


def test_it_draws_twice_a_second_at_most_and_once_where_nothing_happens() -> None:
    wall = Wall()
    live = LiveProgress(wall)
    began = time.monotonic()
    live.take(begun())
    for record in crowd(100):
        live.take(record)
        time.sleep(0.01)
    busy, took = wall.frames, time.monotonic() - began
    assert 1 <= busy <= 2 * took + 2
    time.sleep(3.2)
    assert 2 <= wall.frames - busy <= 6
    live.close()
    frames = wall.frames
    time.sleep(1.5)
    assert wall.frames == frames
