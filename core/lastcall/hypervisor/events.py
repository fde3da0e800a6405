"""libvirt's events: the loop that brings them, and its numbers for events and states as our words."""

import functools
import threading

import libvirt

from lastcall.api.guests import Ended, GuestState
from lastcall.hypervisor.ports import GuestCrashed, GuestStarted, GuestStopped

# The event is the same for all of these; only its detail tells a guest that shut down from one that somebody
# destroyed, or that runs on another host by now.
_STOPPED = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: Ended.SHUTDOWN,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: Ended.DESTROYED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: Ended.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED: Ended.MIGRATED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED: Ended.SAVED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: Ended.FAILED,
}
_SHUT_OFF = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: Ended.SHUTDOWN,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: Ended.DESTROYED,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: Ended.CRASHED,
    libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED: Ended.MIGRATED,
    libvirt.VIR_DOMAIN_SHUTOFF_SAVED: Ended.SAVED,
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: Ended.FAILED,
}
_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: GuestState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: GuestState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: GuestState.RUNNING,  # on its way down, not off yet
    libvirt.VIR_DOMAIN_PAUSED: GuestState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: GuestState.SUSPENDED,
    libvirt.VIR_DOMAIN_CRASHED: GuestState.CRASHED,
    libvirt.VIR_DOMAIN_SHUTOFF: GuestState.OFF,
}


def guest_event(uri: str, uuid: str, event: int, detail: int) -> GuestStarted | GuestStopped | GuestCrashed | None:
    """Translate a lifecycle event; None for those that neither start nor end a guest."""
    if event == libvirt.VIR_DOMAIN_EVENT_CRASHED:
        return GuestCrashed(uri, uuid)
    if event == libvirt.VIR_DOMAIN_EVENT_STARTED:
        return GuestStarted(uri, uuid, restored=detail == libvirt.VIR_DOMAIN_EVENT_STARTED_RESTORED)
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
        return GuestStopped(uri, uuid, _STOPPED.get(detail, Ended.SHUTDOWN))
    return None


def guest_state(state: int) -> GuestState:
    """Translate a domain state."""
    return _STATES.get(state, GuestState.UNKNOWN)


def shut_off_reason(reason: int) -> Ended:
    """Translate the reason of the state SHUTOFF."""
    return _SHUT_OFF.get(reason, Ended.SHUTDOWN)


@functools.cache  # libvirt allows one event loop per process, and it has to stand before the first connection opens
def start_event_loop() -> None:
    """Start libvirt's default event loop, which lifecycle events and keepalives need; again it does nothing."""
    libvirt.registerErrorHandler(_ignore, None)  # libvirt would print every error to standard error
    libvirt.virEventRegisterDefaultImpl()
    # While it does not run no event arrives and no keepalive is sent: a dead daemon would look like a slow one.
    threading.Thread(target=_run, name="libvirt-events", daemon=True).start()


def _run() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _ignore(_context: object, _error: object) -> None:
    """Errors are raised, and reported once, by whoever made the call."""
