"""What becomes of libvirt's words about guests: which of them count, and until when."""

import pytest

from lastcall.api.guests import Ended, Key
from lastcall.hypervisor.ports import (
    GuestPoweredOff,
    GuestRebooted,
    GuestResumed,
    GuestStarted,
    GuestStopped,
    HypervisorEvent,
)
from lastcall.presence.power_state import PowerState

KEY = URI, UUID = ("u", "i")
OFF, PLUG = GuestPoweredOff(URI, UUID), GuestStopped(URI, UUID, Ended.DESTROYED)
KEPT = GuestStopped(URI, UUID, Ended.SHUTDOWN, kept=True)


def after(*events: HypervisorEvent) -> PowerState:
    status = PowerState()
    for event in events:
        status.take(event)
    return status


@pytest.mark.parametrize(
    ("events", "ended"),
    [
        ([OFF], None),
        ([PLUG], Ended.DESTROYED),
        ([OFF, PLUG], Ended.SHUTDOWN),
        ([OFF, GuestStopped(URI, UUID, Ended.CRASHED)], Ended.CRASHED),
        ([OFF, GuestStopped("u", "another", Ended.DESTROYED), PLUG], Ended.SHUTDOWN),
        ([OFF, GuestRebooted(URI, UUID), PLUG], Ended.DESTROYED),
        ([OFF, GuestStarted(URI, UUID), PLUG], Ended.DESTROYED),
        ([GuestPoweredOff("u", "another"), PLUG], Ended.DESTROYED),
    ],
)
def test_a_plug_ends_only_who_has_not_powered_off_already(events: list[HypervisorEvent], ended: Ended | None) -> None:
    assert after(*events).ended(KEY) is ended


def test_who_is_kept_for_a_backup_is_off_until_somebody_lets_it_begin_anew() -> None:
    started: list[Key] = []
    status = PowerState()
    status.on_start = started.append
    status.take(GuestResumed(URI, UUID))
    assert started == [], "it was paused, and goes on"
    status.take(KEPT)
    assert (status.ended(KEY), status.kept(KEY)) == (Ended.SHUTDOWN, True)
    status.take(GuestResumed(URI, UUID))
    assert (status.ended(KEY), status.kept(KEY), started) == (None, False, [KEY])


def test_who_is_kept_no_longer_is_off_as_before() -> None:
    status = after(KEPT, GuestStopped(URI, UUID, Ended.SHUTDOWN))
    assert (status.ended(KEY), status.kept(KEY)) == (Ended.SHUTDOWN, False)
