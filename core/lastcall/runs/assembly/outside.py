"""What a run touches the world with, so that tests can put something in its place."""

import asyncio
import threading
from collections.abc import Callable

from lastcall.formats.values import value
from lastcall.hypervisor.ports import Hypervisor
from lastcall.records.records import Sink
from lastcall.records.run_log import BackgroundRunLog, RunLog
from lastcall.threads.workers import ThreadWorkers, Workers


@value
class Outside:
    """What a run touches the world with: worker threads, libvirt and the disk, or what tests put in their place."""

    workers: Workers
    hypervisor: Hypervisor
    log: Callable[[RunLog, float], Sink]
    wait: Callable[[threading.Event, float], object] = threading.Event.wait

    @classmethod
    def real(cls, loop: asyncio.AbstractEventLoop, *, moves_at_once: int = 0) -> "Outside":
        """Worker threads and libvirt (imported here: most commands, and tests on guests in memory, need none)."""
        from lastcall.hypervisor.pool import LibvirtHypervisor

        workers = ThreadWorkers(loop)
        hypervisor = LibvirtHypervisor(workers, moves_at_once=moves_at_once)
        return cls(workers, hypervisor, lambda log, ends: BackgroundRunLog(log, ends).take)
