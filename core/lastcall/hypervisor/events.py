"""libvirt's numbers for events and states as our words."""

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
