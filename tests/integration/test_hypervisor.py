"""The connections to a real libvirtd: lanes, events, errors."""

import asyncio
import gc
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from typing import Any

import libvirt
import pytest

from lab.daemon import Daemon
from lab.guests import driver_guests, firmware_guests
from lab.patience import LONGEST, wait_until
from lastcall import Guest, GuestState, HypervisorError
from lastcall.errors import CallExpired, ConnectionLost, GuestGone, StartedAnew
from lastcall.hypervisor.call_limits.call_budget import BLOCKING, CallBudget
from lastcall.hypervisor.call_limits.call_places import PLUGS, QUICK
from lastcall.hypervisor.call_limits.open_call import Need
from lastcall.hypervisor.connection import KEEPALIVE
from lastcall.hypervisor.lanes import Lanes
from lastcall.hypervisor.pool import LibvirtHypervisor
from lastcall.hypervisor.ports import GuestStarted, GuestStopped, HypervisorEvent, Target
from lastcall.threads.box import Box
from lastcall.threads.workers import ThreadWorkers

Story = Callable[[LibvirtHypervisor, list[HypervisorEvent]], Coroutine[Any, Any, None]]


class Time:
    """What bounds a call, in these tests."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def remaining(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise CallExpired("over")
        return left

    def to_last_resort(self) -> float:
        return math.inf


def play(uris: list[str], story: Story) -> None:
    async def run() -> None:
        events: list[HypervisorEvent] = []
        hypervisor = LibvirtHypervisor(ThreadWorkers(asyncio.get_running_loop()))
        found = await hypervisor.connect([Target(uri=uri) for uri in uris], events.append)
        assert [one.error for one in found] == [None] * len(uris)
        await story(hypervisor, events)

    asyncio.run(run())


def test_guests_are_listed_with_state_and_persistence(lab: Daemon) -> None:
    with driver_guests(lab, ["runs", "pauses", "rests"]) as connection:
        connection.lookupByName("pauses").suspend()
        connection.lookupByName("rests").destroy()

        async def story(hypervisor: LibvirtHypervisor, _events: list[HypervisorEvent]) -> None:
            guests = {guest.name: guest for guest in await hypervisor.active(lab.test)}
            assert {name: guest.state for name, guest in guests.items()} == {
                "runs": GuestState.RUNNING,
                "pauses": GuestState.PAUSED,
            }
            assert all(guest.persistent and guest.driver == "TEST" for guest in guests.values())

        play([lab.test], story)


def test_events_tell_how_a_guest_ended_and_where_it_came_from(lab: Daemon) -> None:
    with driver_guests(lab, ["g"]) as connection:
        domain = connection.lookupByName("g")
        uuid = domain.UUIDString()

        async def story(hypervisor: LibvirtHypervisor, events: list[HypervisorEvent]) -> None:
            for action in (domain.shutdown, domain.create, domain.managedSave, domain.create, domain.destroy):
                await asyncio.to_thread(action)
            await asyncio.to_thread(wait_until, lambda: len(events) >= 5, "five events", pause=0.01)
            kinds = [event.ended if isinstance(event, GuestStopped) else type(event) for event in events]
            assert kinds == ["shutdown", GuestStarted, "saved", GuestStarted, "destroyed"]
            assert {(event.uri, getattr(event, "uuid", "")) for event in events} == {(lab.test, uuid)}

        play([lab.test], story)


class Occupied:
    """Lanes of which some are held by other threads until the end of the test."""

    def __init__(self, lab: Daemon, calls: int, need: Need) -> None:
        self.budget = CallBudget()
        self.lanes = Lanes(libvirt.open(lab.test), lambda: libvirt.open(lab.test), self.budget)
        self._begun = threading.Barrier(calls + 1)
        self._release = threading.Event()
        self._threads = [threading.Thread(target=self._hold, args=(need, f"guest-{number}")) for number in range(calls)]

    def __enter__(self) -> Lanes:
        for thread in self._threads:
            thread.start()
        self._begun.wait(LONGEST)
        return self.lanes

    def __exit__(self, *_: object) -> None:
        self._release.set()
        for thread in self._threads:
            thread.join(LONGEST)

    def _hold(self, need: Need, guest: str) -> None:
        with self.lanes.borrow(need, guest, timeout=LONGEST):
            self._begun.wait(LONGEST)
            self._release.wait(LONGEST)


def test_blocking_calls_never_crowd_out_the_others_and_leave_the_daemon_workers(lab: Daemon) -> None:
    with driver_guests(lab, ["g"]) as connection:
        uuid = connection.lookupByName("g").UUIDString()
        with Occupied(lab, BLOCKING, "blocking") as lanes:
            with pytest.raises(CallExpired, match="too busy"), lanes.borrow("blocking", "g", timeout=0.05):
                pytest.fail("a thirteenth blocking call began")
            with lanes.borrow("quick", "g", timeout=LONGEST) as lane:
                assert lane.connection.lookupByUUIDString(uuid).isActive()
        assert BLOCKING == 12


def test_plugs_are_pulled_when_every_blocking_call_hangs_and_nobody_waits_for_the_plug_of_a_guest_that_hangs(
    lab: Daemon,
) -> None:
    with (
        driver_guests(lab, ["g"]),
        Occupied(lab, BLOCKING, "blocking") as lanes,
        ExitStack() as hung,
    ):
        for number in range(PLUGS):
            hung.enter_context(lanes.borrow("plug", f"guest-{number}", timeout=LONGEST))
        with pytest.raises(CallExpired, match="too busy"), lanes.borrow("plug", "guest-7", timeout=0.05):
            pytest.fail("a fifth plug of a guest that hangs")
        with lanes.borrow("plug", "deaf", timeout=LONGEST) as lane:
            assert lane.connection.isAlive()


def test_connections_to_one_daemon_share_its_blocking_calls(lab: Daemon) -> None:
    """As qemu:///system and lxc:///system do where one libvirtd serves both."""
    occupied = Occupied(lab, BLOCKING, "blocking")
    others = Lanes(libvirt.open(lab.test), lambda: libvirt.open(lab.test), occupied.budget)
    with driver_guests(lab, ["g"]), occupied:
        with pytest.raises(CallExpired, match="too busy"), others.borrow("blocking", "g", timeout=0.05):
            pytest.fail("a thirteenth blocking call began")
        with others.borrow("quick", "g", timeout=LONGEST) as lane:
            assert lane.connection.isAlive()


def test_hung_quick_requests_overflow_into_free_blocking_lanes(lab: Daemon) -> None:
    with (
        driver_guests(lab, ["g"]),
        Occupied(lab, QUICK, "quick") as lanes,
        lanes.borrow("quick", "g", timeout=LONGEST) as lane,
    ):
        assert lane.connection.isAlive()


def test_libvirts_errors_come_as_ours(lab: Daemon) -> None:
    with driver_guests(lab, ["g"]) as connection:
        known = Guest(uri=lab.test, uuid=connection.lookupByName("g").UUIDString(), name="g", driver="TEST")
        nobody = Guest(uri=lab.test, uuid="00000000-0000-0000-0000-00000000beef", name="nobody", driver="TEST")
        elsewhere = Guest(uri="qemu:///elsewhere", uuid="u", name="x")

        async def story(hypervisor: LibvirtHypervisor, _events: list[HypervisorEvent]) -> None:
            with pytest.raises(GuestGone):
                hypervisor.domain(nobody, Time(LONGEST)).xml()
            assert hypervisor.domain(nobody, Time(LONGEST)).state() is GuestState.OFF
            assert (await hypervisor.standing(nobody)).ended == "vanished"
            with pytest.raises(HypervisorError):
                hypervisor.domain(known, Time(LONGEST)).agent("guest-ping")
            with pytest.raises(ConnectionLost):
                hypervisor.domain(elsewhere, Time(LONGEST))
            with pytest.raises(CallExpired):
                hypervisor.domain(known, Time(0)).state()
            assert "<name>g</name>" in hypervisor.domain(known, Time(LONGEST)).xml()
            assert not hypervisor.domain(known, Time(LONGEST)).agent_connected()

        play([lab.test], story)


@pytest.mark.parametrize("graceful", [False, True])
def test_a_guest_that_was_started_anew_since_it_was_asked_keeps_its_plug(lab: Daemon, *, graceful: bool) -> None:
    with driver_guests(lab, ["g"]) as connection:
        domain = connection.lookupByName("g")
        guest = Guest(uri=lab.test, uuid=domain.UUIDString(), name="g", driver="TEST")

        async def story(hypervisor: LibvirtHypervisor, _events: list[HypervisorEvent]) -> None:
            sent: list[bool] = []
            hypervisor.domain(guest, Time(LONGEST)).shutdown("default")
            domain.create()
            with pytest.raises(StartedAnew):
                hypervisor.domain(guest, Time(LONGEST), lambda: sent.append(True)).destroy(graceful=graceful)
            assert domain.isActive()
            assert sent == []
            hypervisor.domain(guest, Time(LONGEST), lambda: sent.append(True)).destroy(graceful=graceful)
            assert not domain.isActive(), "nobody waits for ever for one that nobody can ask"
            assert sent == [True]

        play([lab.test], story)


def test_a_call_that_was_abandoned_while_it_waited_for_a_lane_sends_nothing(lab: Daemon) -> None:
    with driver_guests(lab, ["g"]) as connection:
        domain = connection.lookupByName("g")
        guest = Guest(uri=lab.test, uuid=domain.UUIDString(), name="g", driver="TEST")

        async def story(hypervisor: LibvirtHypervisor, _events: list[HypervisorEvent]) -> None:
            sent: list[bool] = []
            view = hypervisor.domain(guest, Time(0.05), lambda: sent.append(True))
            await asyncio.sleep(0.1)
            with pytest.raises(CallExpired):
                Box().call(lambda: view.shutdown("default"), timeout=LONGEST)
            assert sent == []
            assert domain.isActive()

        play([lab.test], story)


@pytest.mark.parametrize("how", ["shutdown", "destroy"])
def test_a_call_that_was_abandoned_while_the_daemon_hung_sends_nothing_when_that_goes_on(lab: Daemon, how: str) -> None:
    with driver_guests(lab, ["g"]) as connection:
        domain = connection.lookupByName("g")
        guest = Guest(uri=lab.test, uuid=domain.UUIDString(), name="g", driver="TEST")

        async def story(hypervisor: LibvirtHypervisor, _events: list[HypervisorEvent]) -> None:
            sent: list[bool] = []
            daemon = lab.pid()
            gc.collect()  # a connection of another test's that is closed by chance, on this thread, would wait for it
            os.kill(daemon, signal.SIGSTOP)
            try:
                # Only now: on a busy machine what is above takes longer than the call has.
                view = hypervisor.domain(guest, Time(1.0), lambda: sent.append(True))
                stop = partial(view.shutdown, "default") if how == "shutdown" else view.destroy
                call = asyncio.create_task(asyncio.to_thread(stop))
                await asyncio.sleep(2.0)
                assert not call.done()
            finally:
                os.kill(daemon, signal.SIGCONT)
            with pytest.raises(CallExpired):
                await asyncio.wait_for(call, LONGEST)
            assert sent == []
            assert domain.isActive()

        play([lab.test], story)


def test_what_is_asked_beside_a_call_that_hangs_is_sent_at_once(lab: Daemon) -> None:
    """On a connection that it shared with that call it could lie unsent until the next keepalive."""
    with firmware_guests(lab, "hung", "well") as connection:
        hung, well = (
            Guest(uri=lab.qemu, uuid=connection.lookupByName(name).UUIDString(), name=name, driver="QEMU")
            for name in ("hung", "well")
        )
        process = lab.qemu_of("hung")
        assert process

        async def story(hypervisor: LibvirtHypervisor, _events: list[HypervisorEvent]) -> None:
            end = asyncio.get_running_loop().time() + LONGEST
            hangs = [
                asyncio.create_task(asyncio.to_thread(hypervisor.domain(hung, Time(LONGEST)).shutdown, "acpi")),
                asyncio.create_task(hypervisor.look(hung.uri, [hung], until=lambda: end)),
            ]
            try:
                await asyncio.sleep(0.5)  # they are under way
                for _ in range(200):
                    began = time.monotonic()
                    await hypervisor.standing(well)
                    await asyncio.to_thread(hypervisor.domain(well, Time(LONGEST)).state)
                    assert time.monotonic() - began < KEEPALIVE[0] / 2
                assert not hangs[0].done()
            finally:
                os.kill(process, signal.SIGCONT)
                await asyncio.wait(hangs, timeout=LONGEST)

        os.kill(process, signal.SIGSTOP)
        play([lab.qemu], story)
