"""The power in `lastcall status`: one line, by files alone."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lastcall import PowerWord
from lastcall.cli.status.power import power_now, power_words
from lastcall.formats.layout.screen import PLAIN
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.power.board import PowerBoard
from lastcall.persistence.power.outage import OutageFile, OutageNote
from support import run_lastcall, write_config

LINE, BATTERY, LOW = PowerWord.LINE, PowerWord.BATTERY, PowerWord.LOW


def outage(**changes: Any) -> OutageNote:
    now = time.monotonic()
    found = OutageNote(
        word=BATTERY, since=now - 125, at=now - 1, charge=80.4, runtime=725.0, shed=("web-1",), next=("db",),
        next_at=now + 183, boot=boot_id(),
    )  # fmt: skip
    return replace(found, **changes)


def shown(folder: Path, **changes: Any) -> str:
    OutageFile(folder).keep(outage(**changes))
    found = power_now(folder)
    assert found
    return power_words(found, PLAIN)


def test_an_outage_is_one_line_with_what_it_has_come_to_and_what_comes_next(tmp_path: Path) -> None:
    assert shown(tmp_path) == "on battery for 2min, 80 %, about 12min left; shed: web-1; next: db in 3min"


def test_what_nobody_knows_is_not_told(tmp_path: Path) -> None:
    found = shown(tmp_path, charge=None, runtime=None, shed=(), next=(), next_at=None)
    assert found == "on battery for 2min"


def test_a_stage_that_comes_by_the_charge_has_no_time(tmp_path: Path) -> None:
    assert shown(tmp_path, next_at=None).endswith("; next: db")


def test_mains_that_are_back_say_who_comes_back_and_when(tmp_path: Path) -> None:
    now = time.monotonic()
    found = shown(tmp_path, word=LINE, since=now - 20, returns_at=now + 40.4, next=(), charge=None)
    assert found == "on the mains again for 20s; shed: web-1; back in 40s"
    assert shown(tmp_path, word=LINE, since=now - 80, returns_at=now - 20, next=(), charge=None).endswith("; back now")


def test_where_nobody_is_shed_that_is_said(tmp_path: Path) -> None:
    assert "nobody is shed, as plugins.power.on_battery says" in shown(tmp_path, sheds=False, shed=(), next=())


def test_an_outage_that_nobody_watches_any_more_says_so_and_nothing_that_is_old(tmp_path: Path) -> None:
    PowerBoard(tmp_path).say(BATTERY)
    found = shown(tmp_path, at=time.monotonic() - 600)
    assert "80 %" not in found
    assert "nobody watches it: `systemctl start lastcall-outage`" in found
    assert "shed: web-1" in found


def test_words_alone_are_told_too(tmp_path: Path) -> None:
    PowerBoard(tmp_path).say(LOW, "ups")
    found = power_now(tmp_path)
    assert found
    assert power_words(found, PLAIN).startswith("on battery for 0s, which is low; nobody watches it")


@pytest.mark.parametrize("said", [(), (LINE,), (BATTERY, LINE)])
def test_mains_that_are_there_are_no_line(tmp_path: Path, said: tuple[PowerWord, ...]) -> None:
    for word in said:
        PowerBoard(tmp_path).say(word)
    assert power_now(tmp_path) is None


def test_an_outage_of_an_earlier_boot_is_over(tmp_path: Path) -> None:
    OutageFile(tmp_path).keep(outage(boot="another"))
    assert power_now(tmp_path) is None


def test_the_command_shows_it_as_a_line_and_as_json(tmp_path: Path) -> None:
    config = write_config(tmp_path, "test:///default")
    OutageFile(tmp_path / "run").keep(outage(shed=("web\x1b[31m",)))
    lines = run_lastcall(config, "status").stdout.splitlines()
    assert [line for line in lines if line.startswith("power: on battery for 2min, 80 %")]
    assert not [line for line in lines if "\x1b" in line]
    found = json.loads(run_lastcall(config, "status", "--json").stdout)["power"]
    assert (found["word"], found["shed"], found["watched"]) == ("battery", ["web\x1b[31m"], True)
    assert 125 <= found["seconds"] < 140
    (tmp_path / "run/outage.json").unlink()
    assert json.loads(run_lastcall(config, "status", "--json").stdout)["power"] is None
