"""What the lab is made of, and what our own tests use without it: guests in memory, a clock that jumps, whole runs.

Nothing here is promised to plugin authors; they have `lastcall.testing.Lab`.
"""

from lastcall.testing.memory.clock import VirtualLoop
from lastcall.testing.memory.guest import FakeGuest
from lastcall.testing.memory.hypervisor import FakeHypervisor
from lastcall.testing.memory.runs import run_restore, run_shutdown, run_sleep, run_waking
from lastcall.testing.memory.workers import Hangs, InlineWorkers

__all__ = [
    "FakeGuest", "FakeHypervisor", "Hangs", "InlineWorkers", "VirtualLoop", "run_restore", "run_shutdown", "run_sleep",
    "run_waking",
]  # fmt: skip
