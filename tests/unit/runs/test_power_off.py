"""A power-off ends in a reboot where the site wants it and the mains are back, and stays one in any other case."""

from collections.abc import Callable
from pathlib import Path

import pytest

import lastcall
from fake_systemctl import FakeSystemctl
from lastcall import Outcome, PowerPolicy, PowerWord, Reason, Report, Severity
from lastcall.persistence.power.board import PowerBoard
from lastcall.runs.shutdown import Shutdown
from lastcall.systemd.systemctl import SystemctlFailed
from lastcall.systemd.unit_files.power_off import DROP_IN, reboot_instead, reboots_instead
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name

CONFIG = "shutdown: {deadline: 60s}\n"


class Site:
    """What it wants."""

    def __init__(self, power_returns: str) -> None:
        self.power_returns = power_returns

    @lastcall.hookimpl
    def power_policy(self) -> PowerPolicy:
        return PowerPolicy(power_returns=self.power_returns)  # pyright: ignore[reportArgumentType]


def stop(
    folder: Path, reboots: Callable[[], None], *, wanted: str = "reboot", back: Reason | None = Reason.POWEROFF,
    then: Callable[[FakeHypervisor, Shutdown], None] | None = None,
) -> Report:  # fmt: skip
    """A host stop for want of power; `back`: why the host stops as the mains are back, None where they are not."""

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        if back:
            hypervisor.loop.call_later(2, PowerBoard(folder).say, PowerWord.LINE)
            hypervisor.loop.call_later(2, run.power_returns, Deadline.after(0, 300, reserve=30, grace=30), back)
        if then:
            then(hypervisor, run)

    return run_shutdown(
        folder, [FakeGuest("g", takes=10)], config=CONFIG, reason=Reason.POWER, plugins={"site": Site(wanted)},
        meanwhile=meanwhile, reboots=reboots,
    )  # fmt: skip


def test_a_power_off_becomes_a_reboot_once_everybody_is_off_and_the_report_says_so(tmp_path: Path) -> None:
    called = list[str]()
    report = stop(tmp_path, lambda: called.append("reboots"))
    assert called == ["reboots"]
    (problem,) = report.problems
    assert (problem.severity, report.run.exit_code) == (Severity.WARNING, 0)
    assert problem.message == "the host reboots instead of powering off, as its mains are back"
    assert by_name(report, "g").outcome is Outcome.STOPPED


def goes_again(hypervisor: FakeHypervisor, run: Shutdown) -> None:
    hypervisor.loop.call_later(5, run.announce, Reason.POWER, Deadline.after(0, 90, reserve=10, grace=5))


@pytest.mark.parametrize(
    ("wanted", "back", "then"),
    [
        ("stay", Reason.POWEROFF, None), ("reboot", None, None), ("reboot", Reason.REBOOT, None),
        ("reboot", Reason.HALT, None), ("reboot", Reason.POWEROFF, goes_again), ("sleep", Reason.POWEROFF, None),
    ],
    ids=["by default", "not back", "a reboot", "a halt", "gone again", "no such word"],
)  # fmt: skip
def test_in_any_other_case_it_stays_what_it_is(
    tmp_path: Path, wanted: str, back: Reason | None, then: Callable[[FakeHypervisor, Shutdown], None] | None
) -> None:
    called = list[str]()
    stop(tmp_path, lambda: called.append("reboots"), wanted=wanted, back=back, then=then)
    assert called == []


def test_not_where_a_battery_carries_again_of_which_the_run_was_not_told(tmp_path: Path) -> None:
    called = list[str]()
    stop(
        tmp_path, lambda: called.append("reboots"),
        then=lambda hypervisor, _: hypervisor.loop.call_later(5, PowerBoard(tmp_path).say, PowerWord.BATTERY) and None,
    )  # fmt: skip
    assert called == []


@pytest.mark.parametrize("error", [SystemctlFailed("systemctl daemon-reload: no answer"), OSError(28, "No space left")])
def test_what_fails_of_it_is_a_problem_and_costs_nothing_else(tmp_path: Path, error: Exception) -> None:
    def fails() -> None:
        raise error

    report = stop(tmp_path, fails)
    (problem,) = report.problems
    assert problem.message.startswith("the host powers off all the same, though its mains are back: ")
    assert by_name(report, "g").outcome is Outcome.STOPPED


def test_systemd_is_told_by_a_file_that_the_reboot_takes_away_and_by_nothing_where_it_does_not_answer(
    tmp_path: Path,
) -> None:
    reboot_instead(tmp_path, FakeSystemctl({}, **{"daemon-reload": ""}))
    assert (tmp_path / DROP_IN).read_text().splitlines()[1:] == ["[Unit]", "SuccessAction=reboot-force"]
    assert reboots_instead(tmp_path)
    with pytest.raises(SystemctlFailed):
        reboot_instead(tmp_path, FakeSystemctl())
    assert not reboots_instead(tmp_path)
