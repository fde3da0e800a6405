"""libvirt's numbers for events and states as our words."""

import libvirt
import pytest

from lastcall import Ended, GuestState
from lastcall.hypervisor.events import guest_event, guest_standing
from lastcall.hypervisor.ports import (
    GuestCrashed,
    GuestPoweredOff,
    GuestResumed,
    GuestStarted,
    GuestStopped,
    HypervisorEvent,
    Standing,
)

GUEST = ("u", "i")
GUEST_SHUTDOWN = 9  # VIR_DOMAIN_EVENT_SUSPENDED_GUEST_SHUTDOWN of libvirt 11.10
SHUTDOWN, SUSPENDED = libvirt.VIR_DOMAIN_EVENT_SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SUSPENDED
STARTED, STOPPED = libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STOPPED


@pytest.mark.parametrize(
    ("event", "detail", "meant"),
    [
        (STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_BOOTED, GuestStarted(*GUEST)),
        (STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_RESTORED, GuestStarted(*GUEST, restored=True)),
        (STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, GuestStopped(*GUEST, Ended.SHUTDOWN)),
        (STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED, GuestStopped(*GUEST, Ended.DESTROYED)),
        (SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_GUEST, GuestPoweredOff(*GUEST)),
        # The host has told QEMU to end, or nobody knows who has.
        (SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST, None),
        (SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_FINISHED, None),
        (SUSPENDED, GUEST_SHUTDOWN, GuestStopped(*GUEST, Ended.SHUTDOWN, kept=True)),
        (SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_PAUSED, None),
        (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_RESUMED_UNPAUSED, GuestResumed(*GUEST)),
        (libvirt.VIR_DOMAIN_EVENT_CRASHED, libvirt.VIR_DOMAIN_EVENT_CRASHED_PANICKED, GuestCrashed(*GUEST)),
        (libvirt.VIR_DOMAIN_EVENT_DEFINED, 0, None),
    ],
)
def test_what_a_lifecycle_event_means(event: int, detail: int, meant: HypervisorEvent | None) -> None:
    assert guest_event(*GUEST, event, detail) == meant


@pytest.mark.parametrize(
    ("state", "reason", "meant"),
    [
        (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED, Standing(GuestState.RUNNING)),
        (libvirt.VIR_DOMAIN_SHUTDOWN, 0, Standing(GuestState.RUNNING)),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER, Standing(GuestState.PAUSED)),
        (
            libvirt.VIR_DOMAIN_PAUSED,
            libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN,
            Standing(GuestState.OFF, Ended.SHUTDOWN, kept=True),
        ),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED, Standing(GuestState.OFF, Ended.SAVED)),
        (libvirt.VIR_DOMAIN_SHUTOFF, 99, Standing(GuestState.OFF, Ended.SHUTDOWN)),
        (99, 0, Standing(GuestState.UNKNOWN)),
    ],
)
def test_what_a_state_means_together_with_its_reason(state: int, reason: int, meant: Standing) -> None:
    assert guest_standing(state, reason) == meant
