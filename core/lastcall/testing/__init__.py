"""What plugin authors test with: guests that exist in memory only, a clock that jumps, and whole runs on them.

from lastcall.testing import FakeGuest, run_shutdown

def test_tells_people(tmp_path):
    report = run_shutdown(tmp_path, [FakeGuest("db-1", takes=30)], plugins={"mine": my_plugin})
    assert report.guests[0].outcome == "stopped"
"""

from lastcall.testing.clock import VirtualLoop
from lastcall.testing.guest import FakeGuest
from lastcall.testing.hypervisor import FakeHypervisor
from lastcall.testing.runs import run_restore, run_shutdown
from lastcall.testing.workers import Hangs, InlineWorkers

__all__ = ["FakeGuest", "FakeHypervisor", "Hangs", "InlineWorkers", "VirtualLoop", "run_restore", "run_shutdown"]
