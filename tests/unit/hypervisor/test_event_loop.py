"""The thread of libvirt's events."""

import os
import threading

from lab.patience import wait_until
from lastcall.hypervisor.event_loop import start_event_loop


def test_it_gives_way_to_whoever_calls_libvirt() -> None:
    start_event_loop()
    start_event_loop()
    (events,) = (thread for thread in threading.enumerate() if thread.name == "libvirt-events")
    own = os.sched_getscheduler(0)
    expected = os.SCHED_BATCH if own == os.SCHED_OTHER else own  # what somebody has chosen stays
    wait_until(lambda: os.sched_getscheduler(events.native_id or 0) == expected, "it gives way")
    assert os.sched_getscheduler(0) == own, "and nobody else does"
