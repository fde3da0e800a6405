"""What it takes to read a run again: `status` does so each time, and for whole hosts."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from lastcall.records.run_log import read_log
from lastcall.testing.memory import FakeGuest, run_shutdown


def least(work: Callable[[], object]) -> float:
    """Seconds of the processor, at best."""
    costs: list[float] = []
    for _ in range(7):
        before = time.thread_time()
        work()
        costs.append(time.thread_time() - before)
    return min(costs)


def test_the_log_of_a_hundred_guests_is_read_in_a_few_times_of_what_its_json_takes(tmp_path: Path) -> None:
    run_shutdown(tmp_path, [FakeGuest(f"guest-{number}") for number in range(100)])
    (log,) = (tmp_path / "runs").glob("*.jsonl")
    lines = log.read_text().splitlines()
    assert len(lines) > 400
    assert least(lambda: list(read_log(log))) < 9 * least(lambda: [json.loads(line) for line in lines])
