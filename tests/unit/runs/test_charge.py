"""A restore at boot that waits until the battery can carry the host through a second outage."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import lastcall
from lastcall import Outcome, PowerPolicy, PowerWord, Report, Supply
from lastcall.persistence.power.awaited_charge import ChargeNote
from lastcall.records.records import ChargeAwaited, Record
from lastcall.runs.meanwhile.charge import charge_of
from lastcall.runs.restore import Restore
from lastcall.systemd.status_lines import StatusLines
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from support import by_name, waiting_guests

Charges = Callable[[float], Sequence[float | None]]


class Upses:
    """UPSes whose charge goes by the time since the restore began. `wanted` in per cent."""

    def __init__(self, charges: Charges, *, wanted: float = 40.0, needed: int = 1) -> None:
        self.charges, self.wanted, self.needed = charges, wanted, needed
        self.hypervisor: FakeHypervisor | None = None
        self.asked: list[float] = []

    @lastcall.hookimpl
    def power_policy(self) -> PowerPolicy:
        return PowerPolicy(restore_charge=self.wanted, supplies=self.needed)

    @lastcall.hookimpl
    def power_supplies(self) -> list[Supply]:
        assert self.hypervisor
        now = self.hypervisor.loop.time()
        self.asked.append(now)
        charges = self.charges(now)
        return [Supply(name=f"ups{number}", word=PowerWord.LINE, charge=one) for number, one in enumerate(charges)]


def restored(
    tmp_path: Path,
    upses: Upses,
    *,
    at_boot: bool = True,
    seen: list[Record] | None = None,
    meanwhile: Callable[[FakeHypervisor, Restore], None] | None = None,
) -> tuple[FakeGuest, Report]:
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest])

    def begin(hypervisor: FakeHypervisor, run: Restore) -> None:
        upses.hypervisor = hypervisor
        if meanwhile:
            meanwhile(hypervisor, run)

    report = run_restore(
        tmp_path, [guest], config="restore: {deadline: 100s}", plugins={"upses": upses}, at_boot=at_boot,
        sink=seen.append if seen is not None else None, meanwhile=begin,
    )  # fmt: skip
    return guest, report


def started(guest: FakeGuest) -> list[float]:
    return [at for at, how in guest.asked if how == "start"]


def test_nobody_is_started_before_the_charge_is_there_and_then_there_is_as_much_time_as_ever(tmp_path: Path) -> None:
    seen: list[Record] = []
    guest, report = restored(tmp_path, Upses(lambda now: [now]), seen=seen)
    assert started(guest) == [pytest.approx(40, abs=0.5)]
    assert by_name(report, "g").outcome is Outcome.STARTED
    assert report.run.deadline == pytest.approx(140, abs=0.5)
    told = [one for one in seen if isinstance(one, ChargeAwaited)]
    assert [(round(one.charge), one.over) for one in told] == [
        (0, False),
        (10, False),
        (20, False),
        (30, False),
        (30, True),
    ]
    assert report.problems == ()
    assert ChargeNote(tmp_path).read() is None


def test_systemd_and_status_are_told_what_it_waits_for(tmp_path: Path) -> None:
    noted: list[str] = []
    attendant = StatusLines(None, None)
    lines: list[str] = []

    def look(hypervisor: FakeHypervisor, _run: Restore) -> None:
        hypervisor.loop.call_later(15, lambda: noted.append(str(ChargeNote(tmp_path).read())))

    seen: list[Record] = []
    restored(tmp_path, Upses(lambda now: [23 if now < 20 else 50]), seen=seen, meanwhile=look)
    assert noted == ["waits for 40 % charge: 23 %"]
    for record in seen:
        attendant.take(record)
        if isinstance(record, ChargeAwaited):
            lines.append(attendant.line(record.at))
    assert lines[0] == "waits for 40 % charge: 23 %"
    assert lines[-1].startswith("starting 0/")


def test_it_waits_no_longer_than_a_restore_may_take_and_says_that_it_was_not_enough(tmp_path: Path) -> None:
    guest, report = restored(tmp_path, Upses(lambda _now: [12]))
    assert started(guest) == [pytest.approx(100, abs=0.5)]
    assert [problem.message for problem in report.problems] == [
        "12 % charge after 100s, and 40 % is to be there: restored anyway"
    ]


@pytest.mark.parametrize("charges", [[], [None], [None, None]])
def test_where_no_ups_tells_its_charge_nobody_is_kept_off_for_long(tmp_path: Path, charges: list[float | None]) -> None:
    guest, report = restored(tmp_path, Upses(lambda _now: charges))
    assert started(guest) == [pytest.approx(30, abs=1.5)]
    assert ["no UPS tells its charge" in problem.message for problem in report.problems] == [True]


def test_a_ups_that_answers_only_some_seconds_after_the_boot_is_waited_for(tmp_path: Path) -> None:
    guest, report = restored(tmp_path, Upses(lambda now: [now + 30 if now > 5 else None]))
    assert started(guest) == [pytest.approx(16, abs=1.5)]
    assert report.problems == ()


@pytest.mark.parametrize(("wanted", "at_boot"), [(0.0, True), (40.0, False)])
def test_nothing_waits_where_no_charge_is_wanted_nor_by_hand(tmp_path: Path, wanted: float, *, at_boot: bool) -> None:
    upses = Upses(lambda _now: [5], wanted=wanted)
    guest, report = restored(tmp_path, upses, at_boot=at_boot)
    assert started(guest) == [0.0]
    assert (upses.asked, report.problems) == ([], ())


def test_a_signal_ends_the_wait_and_everybody_stays_on_the_list(tmp_path: Path) -> None:
    def told_to_end(hypervisor: FakeHypervisor, run: Restore) -> None:
        hypervisor.loop.call_later(25, run.interrupt)

    guest, report = restored(tmp_path, Upses(lambda _now: [5]), meanwhile=told_to_end)
    assert (started(guest), report.run.duration) == ([], pytest.approx(25, abs=0.5))
    assert waiting_guests(tmp_path) == ["g"]
    assert ChargeNote(tmp_path).read() is None


@pytest.mark.parametrize(
    ("charges", "needed", "counts"),
    [([80, 20], 1, 80), ([80, 20], 2, 20), ([80, None, 30], 2, 30), ([30], 2, 30), ([], 1, None), ([None], 1, None)],
)
def test_the_charge_is_that_of_as_many_supplies_as_the_host_lives_by(
    charges: list[float | None], needed: int, counts: float | None
) -> None:
    supplies = [Supply(name=str(number), charge=one) for number, one in enumerate(charges)]
    assert charge_of(supplies, needed) == counts
