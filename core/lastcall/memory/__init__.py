"""What the lab is made of, and what our own tests use without it: guests in memory, a clock that jumps, whole runs.

Nothing here is promised to plugin authors; they have `lastcall.testing.Lab`.
"""

from lastcall.memory.clock import VirtualLoop
from lastcall.memory.guest import FakeGuest
from lastcall.memory.hypervisor import FakeHypervisor
from lastcall.memory.runs import run_restore, run_shutdown
from lastcall.memory.workers import Hangs, InlineWorkers

__all__ = ["FakeGuest", "FakeHypervisor", "Hangs", "InlineWorkers", "VirtualLoop", "run_restore", "run_shutdown"]
