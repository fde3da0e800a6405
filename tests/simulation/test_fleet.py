"""Hosts that stop at once and watch each other: the order holds over all of them, and costs nobody anything."""

from pathlib import Path

import pytest

from simulation.fleet import make_fleet, stop


@pytest.mark.parametrize("seed", range(12))
def test_a_fleet_stops_in_order_over_all_hosts_and_takes_its_longest_chain(tmp_path: Path, seed: int) -> None:
    fleet = make_fleet(seed, hosts=5, guests=8)
    assert fleet.over_hosts >= 5
    stopped = stop(fleet, tmp_path)
    assert set(stopped.handed.values()) == {0.0}, "asked in the moment in which the last that needs it is off"
    assert stopped.over == pytest.approx(fleet.longest_chain)
    assert {report.run.exit_code for report in stopped.reports} == {0}


@pytest.mark.parametrize("seed", range(4))
def test_of_a_fleet_most_of_which_is_gone_the_rest_stops_in_time(tmp_path: Path, seed: int) -> None:
    fleet = make_fleet(seed, hosts=10, guests=4)
    stopped = stop(fleet, tmp_path, gone=[f"h{number}" for number in range(1, 10)], deadline="60s")
    (report,) = stopped.reports
    assert {guest.outcome for guest in report.guests} == {"stopped"}
    assert (report.run.exit_code, report.run.duration < 60) == (0, True)
