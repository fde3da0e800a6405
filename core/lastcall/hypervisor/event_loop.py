"""libvirt's own event loop, which has to run before the first connection is opened.

Apart from what its events mean: whoever has one question to ask wants none, and loads no word for them.
"""

import contextlib
import functools
import os
import threading

import libvirt

_STARTING = threading.Lock()


def start_event_loop() -> None:
    """Start libvirt's default event loop, which lifecycle events and keepalives need; again it does nothing.

    Of several that open their first connections at once one starts it, and the others wait until it stands.
    """
    with _STARTING:
        _start_once()


@functools.cache  # libvirt allows one event loop per process, and it has to stand before the first connection opens
def _start_once() -> None:
    libvirt.registerErrorHandler(_ignore, None)  # libvirt would print every error to standard error
    libvirt.virEventRegisterDefaultImpl()
    # While it does not run no event arrives and no keepalive is sent: a dead daemon would look like a slow one.
    threading.Thread(target=_run, name="libvirt-events", daemon=True).start()


def _run() -> None:
    # Each call to libvirt wakes this thread some seven times, mostly for nothing. As one that gives way it leaves the
    # caller on its processor meanwhile: half of all changes from one thread to another were these.
    with contextlib.suppress(OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER:  # what the unit's owner has chosen stays
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    while True:
        libvirt.virEventRunDefaultImpl()


def _ignore(_context: object, _error: object) -> None:
    """Errors are raised, and reported once, by whoever made the call."""
