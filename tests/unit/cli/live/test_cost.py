"""What the live view takes of the processor, by the clock of its own thread: a busy machine changes that little."""

import time
from collections.abc import Sequence
from pathlib import Path

from lab.libvirt_guests import measure
from lastcall.cli.live.live_progress import TICK, LiveProgress
from lastcall.cli.live.terminal import Terminal
from lastcall.records.records import GuestEnded, Record, RunEnded
from lastcall.records.run_log import read_log
from support import PROGRAM, write_config
from unit.cli.live.test_area import crowd
from unit.cli.live.test_watched_run import begun

SHARE = 0.02
LENGTH = 30  # seconds: guests take some tens of them
GUESTS = 100
WORLD = """\
from lastcall.hypervisor.bare_connection import make_world
WORLD = make_world([f"guest-{{number:03}}" for number in range({guests})])
"""


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


def cost_of_watching(records: Sequence[Record], seconds: int) -> float:
    """The processor time of the view, in seconds, where these are spread over a run of this length."""
    now, wall = 0.0, Wall()
    live = LiveProgress(wall, clock=lambda: now)
    before = time.thread_time()
    for second in range(seconds):
        now = second * TICK
        live.deliver(records[len(records) * second // seconds : len(records) * (second + 1) // seconds], 0)
    spent = time.thread_time() - before
    assert wall.frames >= seconds - 1
    return spent


def test_of_the_processor_time_of_a_run_with_a_hundred_guests_it_takes_less_than_a_fiftieth(tmp_path: Path) -> None:
    """Held against a run whose guests go off at once: one that waits for them takes more, and draws no more often."""
    config = write_config(tmp_path, "test:///default")
    (tmp_path / "hooks.d" / "10-world.py").write_text(WORLD.format(guests=GUESTS))
    run = measure([str(PROGRAM), "--config", str(config), "-q", "shutdown", "--yes"])
    (log,) = (tmp_path / "state" / "runs").glob("*.jsonl")
    records = list(read_log(log))
    assert sum(isinstance(record, GuestEnded) for record in records) == GUESTS
    assert min(cost_of_watching(records, LENGTH) for _ in range(3)) < run.cpu * SHARE


def test_with_a_hundred_guests_that_move_all_the_time_it_takes_hardly_anything_of_the_processor() -> None:
    wall, spent = Wall(), list[float]()
    live = LiveProgress(wall)
    records = crowd(100)
    for batch in ([begun(), *records[:100]], *([record] for record in records[100:]), [RunEnded(at=60.0, exit_code=0)]):
        before = time.thread_time()
        live.deliver(batch, 0)
        spent.append(time.thread_time() - before)
    assert wall.frames > 90
    assert sum(spent) / len(spent) < TICK * SHARE / 4, "a drawing takes 0.1 ms, once a second"


def test_it_draws_once_a_second_whatever_happens() -> None:
    wall = Wall()
    live = LiveProgress(wall)
    began = time.monotonic()
    live.take(begun())
    for record in crowd(100):
        live.take(record)
        time.sleep(0.01)
    busy, took = wall.frames, time.monotonic() - began
    assert 1 <= busy <= took + 2
    time.sleep(3.2)
    assert 2 <= wall.frames - busy <= 4
    live.close()
    frames = wall.frames
    time.sleep(1.5)
    assert wall.frames == frames
