"""How long the next stop would take, as it was planned last: kept for `status`, never said to be more than it is."""

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lastcall.api.guests import Reason
from lastcall.api.results import StopForecast
from lastcall.planning.last_outlook import KeptForecast, LastOutlook, signature

FORECAST = StopForecast(guests=2, unknown=0, usual=80.0, worst=300.0, last_resort=570.0, deadline=600.0, fits=True)
KEYS = [("qemu:///system", "1"), ("qemu:///system", "2")]


def planned(*files: Path, ago: float = 60.0) -> KeptForecast:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return KeptForecast(
        at=at.isoformat(), reason=Reason.POWEROFF, forecast=FORECAST, who=signature(KEYS),
        files=tuple(map(str, files)),
    )  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text("runs: {keep: 3}\n")
    old = time.time() - 3600
    os.utime(file, (old, old))
    return file


def test_what_is_kept_is_recalled(tmp_path: Path, config: Path) -> None:
    other = replace(FORECAST, last_resort=None, deadline=None, usual=None, fits=False)
    for one in (planned(config), replace(planned(), forecast=other)):
        LastOutlook(tmp_path).keep(one)
        assert LastOutlook(tmp_path).recall() == one
    assert (tmp_path / "last-plan.json").stat().st_mode & 0o777 == 0o600


def test_of_the_same_guests_and_files_it_holds_in_whatever_order_they_come(config: Path) -> None:
    assert planned(config).doubt([config], reversed(KEYS)) == ""
    assert planned(config).doubt([config], None) == "", "who does not answer has not changed"


def test_it_is_doubted_after_the_configuration_or_the_guests_have_changed(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "50.yaml"
    other.write_text("")
    old = time.time() - 3600
    os.utime(other, (old, old))
    assert planned(config).doubt([config, other], KEYS) == "the configuration was changed"
    assert planned(config, other).doubt([config], KEYS) == "the configuration was changed"
    assert planned(config).doubt([config], KEYS[:1]) == "other guests run"
    assert planned(config).doubt([config], [*KEYS, ("lxc:///", "2")]) == "other guests run"
    config.touch()
    assert planned(config).doubt([config], KEYS) == "the configuration was changed"
    config.unlink()
    assert planned(config).doubt([config], KEYS) == "the configuration was changed"


def test_a_plan_of_the_future_is_doubted() -> None:
    assert planned(ago=-60).doubt([], KEYS) == "the clock was set back"


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "nonsense", '{"version": 1}', '{"version": 1, "plan": []}', '{"version": 1, "plan": {"at": 3}}'],
)
def test_a_file_that_nobody_understands_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "last-plan.json").write_text(text)
    assert LastOutlook(tmp_path).recall() is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"version":1', '"version":2'),
        ('"worst":300.0', '"worst":-1.0'),
        ('"worst":300.0', '"worst":"soon"'),
        ('"worst":300.0', '"worst":NaN'),
        ('"last_resort":570.0', '"last_resort":-1.0'),
        ('"guests":2', '"guests":true'),
        ("poweroff", "never"),
        ("+00:00", ""),
    ],
)
def test_nor_is_one_that_cannot_be_ours_believed(tmp_path: Path, old: str, new: str) -> None:
    LastOutlook(tmp_path).keep(planned())
    file = tmp_path / "last-plan.json"
    compact = file.read_text().replace('": ', '":')
    assert old in compact
    file.write_text(compact.replace(old, new))
    assert LastOutlook(tmp_path).recall() is None


def test_a_plan_makes_no_folder_and_fails_by_no_disk(tmp_path: Path) -> None:
    LastOutlook(tmp_path / "nowhere").keep(planned())
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "last-plan.json").mkdir()
    LastOutlook(tmp_path).keep(planned())
    assert LastOutlook(tmp_path).recall() is None
