"""Asking around for guests whose end went unheard."""

import asyncio
from pathlib import Path

import pytest

import lastcall
from lastcall import Ended, Guest, GuestState, Outcome, Reason
from lastcall.hypervisor.ports import Standing
from lastcall.presence.guest_lists import NAMES_TIMEOUT
from lastcall.runs.meanwhile.rounds import CLOSEST
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_shutdown
from lastcall.timing.budget import ROUND
from support import by_name

HUNG = "fake:///b"


def test_who_was_started_by_somebody_unheard_is_not_called_stopped_by_a_run_that_was_interrupted(
    tmp_path: Path,
) -> None:
    guest, beside = FakeGuest("g", takes=0.5), FakeGuest("beside", takes=1.5)

    def start(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        def unheard() -> None:
            guest.state, guest.ended = GuestState.RUNNING, None

        hypervisor.loop.call_later(1, unheard)
        hypervisor.loop.call_later(1.2, run.interrupt)

    report = run_shutdown(tmp_path, [guest, beside], meanwhile=start)
    assert (by_name(report, "g").outcome, by_name(report, "g").ended) == (Outcome.LEFT, None)
    assert by_name(report, "beside").outcome is Outcome.STOPPED
    assert report.run.exit_code == 1


def hang(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
    """A moment later, the lists of one connection take all the time that they have."""
    active = hypervisor.active

    async def slow(uri: str) -> list[Guest]:
        if uri == HUNG and hypervisor.loop.time() > 1:
            await asyncio.sleep(10)
            raise TimeoutError
        return await active(uri)

    hypervisor.active = slow


def test_a_connection_that_hangs_keeps_nobody_from_asking_another_for_guests_whose_end_went_unheard(
    tmp_path: Path,
) -> None:
    hung, unheard = FakeGuest("hung", uri=HUNG, takes=60), FakeGuest("unheard", uri="fake:///a", takes=12, quiet=True)
    report = run_shutdown(tmp_path, [hung, unheard], meanwhile=hang)
    assert by_name(report, "unheard").outcome is Outcome.STOPPED
    assert by_name(report, "unheard").duration <= 12 + ROUND.seconds, (
        "found in the next round, however long another takes"
    )


def test_who_needs_a_guest_that_may_be_off_waits_for_no_daemon_that_hangs_over_its_names(tmp_path: Path) -> None:
    """They only tell a mistyped name from that of a guest that is off."""
    hung, web = FakeGuest("hung", uri=HUNG), FakeGuest("web", uri="fake:///a", takes=5)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        async def slow(uri: str) -> list[Guest]:
            await asyncio.sleep(1000 if uri == HUNG else 0)
            return []

        hypervisor.inactive = slow
        hang(hypervisor, run)

    config = "guests: [{match: web, depends_on: [nobody]}]"
    report = run_shutdown(tmp_path, [hung, web], config=config, meanwhile=meanwhile)
    assert by_name(report, "web").asked == pytest.approx(NAMES_TIMEOUT)
    assert [one.where for one in report.problems if "called 'nobody', as far as libvirt answered" in one.message] == [
        "web"
    ]
    assert not [one for one in report.problems if "cannot be listed" in one.message], "nobody is missed for that"


@pytest.mark.parametrize("deadline", [8, 15, 30, 60, 600])
def test_who_goes_off_unheard_shortly_before_the_end_is_asked_for_in_time(tmp_path: Path, deadline: int) -> None:
    """Whatever the time that there is: a QEMU that hangs over its plug keeps libvirt's answer back as well."""
    unheard = FakeGuest("unheard", hangs_in=frozenset({"acpi", "destroy"}))

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        def power_off_unheard() -> None:
            unheard.state, unheard.ended = GuestState.OFF, Ended.DESTROYED

        hypervisor.loop.call_later(deadline - 2, power_off_unheard)

    config = f"shutdown: {{deadline: {deadline}s}}"
    report = run_shutdown(tmp_path, [unheard], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    result = by_name(report, "unheard")
    assert result.outcome is Outcome.FORCED
    assert result.duration <= deadline - 2 + 2 * CLOSEST


def test_who_goes_off_unheard_before_its_turn_is_found_off_by_the_next_round(tmp_path: Path) -> None:
    """Else it is asked, and its request refused, where its daemon hangs when its turn comes."""
    first, waits = FakeGuest("first", takes=60), FakeGuest("waits")

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        def power_off_unheard() -> None:
            waits.state, waits.ended = GuestState.OFF, Ended.SHUTDOWN

        def hang_over_looks() -> None:
            async def hangs(guest: Guest) -> Standing:
                await asyncio.sleep(10)
                raise TimeoutError(f"{guest.name}: no answer")

            hypervisor.standing = hangs

        hypervisor.loop.call_later(3, power_off_unheard)
        hypervisor.loop.call_later(50, hang_over_looks)

    report = run_shutdown(tmp_path, [first, waits], config="shutdown: {parallel: 1}", meanwhile=meanwhile)
    assert (by_name(report, "waits").outcome, by_name(report, "waits").asked) == (Outcome.STOPPED, None)
    assert waits.asked == []


class Listens:
    """To the end of a run, for which it is left time."""

    @lastcall.hookimpl
    def post_shutdown(self) -> None:
        """Do nothing."""


def test_the_guests_of_one_connection_are_heard_of_while_the_last_look_hangs_over_another(tmp_path: Path) -> None:
    never = frozenset({"acpi", "destroy"})
    hung, deaf = FakeGuest("hung", uri=HUNG, hangs_in=never), FakeGuest("deaf", hangs_in=never)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hang(hypervisor, run)
        standing = hypervisor.standing

        async def slow(guest: Guest) -> Standing:
            await asyncio.sleep(60 if guest.uri == HUNG else 0)
            return await standing(guest)

        hypervisor.standing = slow
        hypervisor.loop.call_later(28, hypervisor.stop, deaf, Ended.DESTROYED)

    report = run_shutdown(
        tmp_path,
        [hung, deaf],
        config="shutdown: {deadline: 30s}",
        reason=Reason.POWER,
        plugins={"listens": Listens()},
        meanwhile=meanwhile,
    )
    assert by_name(report, "hung").outcome is Outcome.UNKNOWN
    assert by_name(report, "deaf").outcome is Outcome.FORCED
