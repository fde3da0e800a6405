"""libvirt's numbers for events and states as our words."""

from typing import cast

import libvirt

from lastcall.api.guests import Ended, GuestState
from lastcall.hypervisor.ports import (
    GuestCrashed,
    GuestPoweredOff,
    GuestResumed,
    GuestStarted,
    GuestStopped,
    Standing,
)

_SUSPENDED_GUEST_SHUTDOWN = 9  # since libvirt 11.10; the bindings of older ones have no name for it

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


def guest_event(
    uri: str, uuid: str, event: int, detail: int
) -> GuestStarted | GuestStopped | GuestPoweredOff | GuestResumed | GuestCrashed | None:
    """Translate a lifecycle event; None for those that neither start nor end a guest."""
    match event, detail:
        case libvirt.VIR_DOMAIN_EVENT_CRASHED, _:
            return GuestCrashed(uri, uuid)
        case libvirt.VIR_DOMAIN_EVENT_STARTED, _:
            return GuestStarted(uri, uuid, restored=detail == libvirt.VIR_DOMAIN_EVENT_STARTED_RESTORED)
        case libvirt.VIR_DOMAIN_EVENT_STOPPED, _:
            return GuestStopped(uri, uuid, _STOPPED.get(detail, Ended.SHUTDOWN))
        # Its QEMU may as well be told to end by the host, by SIGTERM: that is not its own doing.
        case libvirt.VIR_DOMAIN_EVENT_SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_GUEST:
            return GuestPoweredOff(uri, uuid)
        case libvirt.VIR_DOMAIN_EVENT_SUSPENDED, _ if detail == _SUSPENDED_GUEST_SHUTDOWN:
            return GuestStopped(uri, uuid, Ended.SHUTDOWN, kept=True)
        case libvirt.VIR_DOMAIN_EVENT_RESUMED, _:
            return GuestResumed(uri, uuid)
        case _:
            return None


def guest_standing(state: int, reason: int) -> Standing:
    """Translate a domain state and its reason; whether there is a saved image they do not tell."""
    # Reset, paused and empty, until its backup is over: a plug pulled here would cost the backup and nothing else.
    if (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN):
        return Standing(GuestState.OFF, Ended.SHUTDOWN, kept=True)
    found = _STATES.get(state, GuestState.UNKNOWN)
    return Standing(found, _SHUT_OFF.get(reason, Ended.SHUTDOWN) if found is GuestState.OFF else None)


def standing_of(domain: libvirt.virDomain) -> Standing:
    """Ask for a domain's state. Raises libvirtError."""
    return guest_standing(*state_of(domain))


def state_of(domain: libvirt.virDomain) -> tuple[int, int]:
    """Ask for libvirt's numbers of a domain's state and of the reason for it. Raises libvirtError."""
    return cast("tuple[int, int]", domain.state())  # libvirt-python says that these are texts
