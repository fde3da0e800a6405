"""The thread of libvirt's events."""

import os
import subprocess
import sys
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


SEVERAL = """
import threading
from lastcall.hypervisor.event_loop import start_event_loop
begin = threading.Barrier(8)
def open_first():
    begin.wait()
    start_event_loop()
threads = [threading.Thread(target=open_first) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(thread.name == "libvirt-events" for thread in threading.enumerate()))
"""


def test_however_many_open_their_first_connection_at_once_there_is_one() -> None:
    done = subprocess.run([sys.executable, "-c", SEVERAL], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
