"""What a UPS says, by the real NUT: its driver's UPS is a file of ours."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.nut import NutServer, nut_server, upsmon
from lab.patience import wait_until
from lastcall import PowerPolicy, PowerWord, Reason, RunKind, Supply
from lastcall.hooks.power.supplies import PowerQuestions
from lastcall.planning.power.runtime import UNKNOWN, believed_runtime
from lastcall.runs.assembly.parts import assemble
from lastcall.runs.loading import load
from lastcall.runs.request import RunRequest
from support import write_config

WORLD = "test:///default"
CONTRIB = Path(__file__).parents[2] / "contrib" / "ups"


@pytest.fixture
def nut(tmp_path: Path) -> Iterator[NutServer]:
    folder = tmp_path / "nut"
    folder.mkdir()
    with nut_server(folder) as server:
        yield server


def ask(folder: Path, *upses: str, more: str = "") -> tuple[PowerPolicy, tuple[Supply, ...]]:
    """As the program asks: the configuration, the bundled plugin, the server."""
    section = f"plugins: {{power: {{ups: [{', '.join(upses)}]{more}}}}}\n"
    loaded = load(write_config(folder, WORLD, more=section))

    async def story() -> tuple[PowerPolicy, tuple[Supply, ...]]:
        loop = asyncio.get_running_loop()
        parts = assemble(loaded, RunRequest(kind=RunKind.SHUTDOWN, reason=Reason.POWER, rehearsal=True), loop)
        questions = PowerQuestions(parts.hooks, parts.context.terms, loop)
        return await questions.policy(), await questions.supplies()

    return asyncio.run(story())


def test_what_the_real_server_tells_is_read_and_judged(tmp_path: Path, nut: NutServer) -> None:
    policy, (found,) = ask(tmp_path, nut.address)
    assert (found.name, found.word, found.charge, found.runtime) == (nut.address, PowerWord.LINE, 100, 1200)
    for status, word in {"OB DISCHRG": PowerWord.BATTERY, "OB LB": PowerWord.LOW, "OL CHRG LB": PowerWord.LINE}.items():
        nut.wait_for(ups_status=status, battery_charge="31", battery_runtime="240")
        policy, (found,) = ask(tmp_path, nut.address)
        assert (found.word, found.charge, found.problem) == (word, 31, "")
    assert believed_runtime([found], policy).seconds == 120
    for runtime in ("-1", "0", "999999999", ""):
        nut.wait_for(ups_status="OB LB", battery_runtime=runtime or "none")
        policy, supplies = ask(tmp_path, nut.address)
        believed = believed_runtime(supplies, policy)
        assert (believed.seconds, believed.answered) == (UNKNOWN, False)


def test_of_two_upses_one_of_which_is_dead_the_other_is_believed(tmp_path: Path, nut: NutServer) -> None:
    nut.wait_for(ups_status="OB LB", battery_runtime="100")
    policy, supplies = ask(tmp_path, nut.address, "other@127.0.0.1:1", more=", trust: 0.8")
    assert [bool(one.problem) for one in supplies] == [False, True]
    believed = believed_runtime(supplies, policy)
    assert (believed.seconds, believed.answered) == (80, True)
    assert "other@127.0.0.1:1" in believed.words
    assert believed_runtime(supplies, ask(tmp_path, nut.address, "b@c", more=", supplies: 2")[0]).seconds == 50


def test_why_a_ups_does_not_answer_is_told(tmp_path: Path, nut: NutServer) -> None:
    _, (wrong,) = ask(tmp_path, nut.address.replace("rack@", "shelf@"))
    assert "no UPS of this name" in wrong.problem
    nut.kill("dummy-ups")
    wait_until(lambda: not nut.variables(), "the server misses the driver")
    _, (found,) = ask(tmp_path, nut.address)
    assert found.word is None
    assert "driver" in found.problem or "heard nothing" in found.problem
    nut.kill("upsd")
    _, (found,) = ask(tmp_path, nut.address)
    assert "no connection" in found.problem


def test_a_primary_waits_for_a_secondary_that_is_set_up_as_we_ship_it_until_its_upsmon_is_stopped(
    tmp_path: Path, nut: NutServer
) -> None:
    """What stands for systemd, which stops upsmon after lastcall, is the end of the secondary's upsmon."""
    began, cut = tmp_path / "began", tmp_path / "cut"
    monitor = f"MONITOR {nut.address} 1 mon pass"
    shipped = (CONTRIB / "nut" / "secondary" / "upsmon-before-2.8.5.conf").read_text()
    text = shipped.replace("/usr/local/sbin/lastcall-ups", f"{tmp_path}/notify")
    (tmp_path / "notify").write_text(f'#!/bin/sh\necho "$NOTIFYTYPE $1" >> {began}\n')
    (tmp_path / "notify").chmod(0o755)
    first = upsmon(tmp_path / "primary", f"{monitor} primary\nSHUTDOWNCMD 'touch {cut}'\n".replace("'", '"')
                   + f"HOSTSYNC 600\nFINALDELAY 0\nPOWERDOWNFLAG {tmp_path}/flag\n")  # fmt: skip
    second = upsmon(tmp_path / "secondary", f"{monitor} secondary\n{text}")
    try:
        log = tmp_path / "secondary" / "log"
        wait_until(lambda: b"Logged into UPS" in log.read_bytes(), "the secondary is logged in")
        time.sleep(3)
        nut.says(ups_status="OB LB", battery_runtime="100")  # not waited for: a moment later the primary adds FSD to it
        wait_until(lambda: began.exists() and "SHUTDOWN" in began.read_text(), "the secondary begins to go down")
        assert "FSD" in began.read_text()
        time.sleep(8)  # more than FINALDELAY is by default
        assert not cut.exists(), "its guests still stop"
        second.kill()
        second.wait()
        wait_until(cut.exists, "the primary goes down")
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
