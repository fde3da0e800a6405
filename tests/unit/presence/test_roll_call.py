"""Asking libvirt who runs, before anybody is said to be missing."""

import subprocess
import sys
import threading
from collections.abc import Collection, Mapping

import pytest

from lab.patience import LONGEST
from lastcall.api.guests import GuestState
from lastcall.errors import HypervisorError
from lastcall.presence.roll_call import RollCall, call_roll, roll_in, take_census

A, B = "fake:///a", "fake:///b"
SOON = 0.05
"""Seconds; what hangs in these tests hangs until they end."""


def test_who_is_active_is_back_and_who_is_not_is_off() -> None:
    asked: list[str] = []

    def ask(uri: str) -> Collection[str]:
        asked.append(uri)
        return {A: ["1", "9"], B: ["2"]}[uri]

    roll = call_roll([(A, "1"), (A, "2"), (B, "1"), (B, "2")], ask=ask)
    assert (roll.back, roll.off, roll.silent) == ({(A, "1"), (B, "2")}, {(A, "2"), (B, "1")}, {})
    assert sorted(asked) == [A, B], "each connection once"


@pytest.mark.parametrize("hangs", [True, False])
def test_nothing_is_claimed_of_the_guests_of_a_connection_that_does_not_answer(*, hangs: bool) -> None:
    over = threading.Event()

    def ask(uri: str) -> Collection[str]:
        if uri == A and hangs:
            over.wait()
        if uri == A:
            raise HypervisorError("no socket")
        return ["1"]

    roll = call_roll([(A, "1"), (A, "2"), (B, "1")], SOON if hangs else LONGEST, ask)
    over.set()
    assert (roll.back - {(B, "1")}, roll.off) == (frozenset(), frozenset())
    assert roll.silent[A] == ("no answer within 0.05 s" if hangs else "no socket")


def test_nobody_is_asked_where_nobody_is_missing_nor_of_guests_that_lived_in_another_process() -> None:
    def ask(uri: str) -> Collection[str]:
        raise AssertionError(uri)

    nothing = RollCall(frozenset(), frozenset(), {})
    assert call_roll([], ask=ask) == nothing
    assert call_roll([("test:///default", "1")], ask=ask) == nothing


def test_asking_takes_libvirt_and_none_of_the_rooms_that_a_run_needs() -> None:
    script = (
        "import sys\nfrom lastcall.presence.roll_call import call_roll, take_census\n"
        "print(*call_roll([('nonsense:///x', '1')], 60).silent, *take_census(['nonsense:///y'], 60).silent)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=LONGEST)
    silent, modules = done.stdout.splitlines()
    assert (silent, done.stderr) == ("nonsense:///x nonsense:///y", "")
    assert "libvirt" in modules.split()
    assert not {"asyncio", "pydantic", "pluggy"} & set(modules.split())
    ours = {one for one in modules.split() if one.startswith(("lastcall.hypervisor.", "lastcall.api."))}
    assert ours == {
        "lastcall.hypervisor.bare_connection", "lastcall.hypervisor.event_loop", "lastcall.hypervisor.libvirt_errors",
        "lastcall.api.guests",
    }, "what events mean, and what a run is, takes longer to load than to ask"  # fmt: skip


def test_a_census_has_everybody_of_whoever_answers_and_a_roll_can_be_called_in_it() -> None:
    def ask(uri: str) -> Mapping[str, GuestState]:
        if uri == B:
            raise HypervisorError("no socket")
        return {"1": GuestState.RUNNING, "2": GuestState.OFF, "3": GuestState.PAUSED}

    census = take_census([A, B, A, "test:///default"], ask=ask)
    assert census.guests == {A: {"1": GuestState.RUNNING, "2": GuestState.OFF, "3": GuestState.PAUSED}}
    assert (census.active, census.silent) == ({(A, "1"), (A, "3")}, {B: "no socket"})
    roll = roll_in(census, [(A, "1"), (A, "2"), (A, "9"), (B, "1"), ("test:///default", "1")])
    assert (roll.back, roll.off, roll.silent) == ({(A, "1")}, {(A, "2"), (A, "9")}, {B: "no socket"})
    assert roll_in(census, [(A, "1")]).silent == {}, "who waits for nobody is not missed"
