"""The sample that keeps a stuck guest's last words: what there is, in time, and never more than it may.

A real QEMU's are in tests/guests/test_last_words.py; here the screen is that of libvirt's test driver.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from lastcall import HookRecord, Outcome, Reason, Verdict
from lastcall.testing import Lab, LabGuest
from samples import record, stage

SAMPLE = "60-last-words.py"
# As the sample calls it, but for the connection and the guest, which are of the test driver here.
VIRSH = 'echo "$@" >>"$here/asked"; exec /usr/bin/virsh --connect test:///default screenshot test --file "$7"'


def lab_of(folder: Path, virsh: str | None = VIRSH, log: str = "", **settings: Any) -> tuple[Lab, LabGuest]:
    tools = {"virsh": virsh} if virsh else {}
    lab = stage(folder, SAMPLE, tools=tools, config={"plugins": {"last_words": settings}} if settings else {})
    guest = lab.guest("../db 1", agent=True, xml=log, settings={"stop": [{"acpi": {"timeout": 5}}]})
    guest.is_deaf_to("acpi")
    return lab, guest


def serial(path: Path, *, kind: str = "pty") -> str:
    inner = f"<log file='{path}'/>" if kind == "pty" else f"<source path='{path}'/>"
    return f"<domain><devices><serial type='{kind}'>{inner}</serial></devices></domain>"


def stuck(lab: Lab, guest: LabGuest, **more: Any) -> HookRecord:
    result = lab.shutdown(**more).guest(guest.name)
    assert result.outcome in {Outcome.LEFT, Outcome.FORCED}
    return record(result, SAMPLE)


def folders(folder: Path) -> list[Path]:
    return sorted((folder / "plugins" / "last_words").iterdir())


@pytest.mark.parametrize("kind", ["pty", "file"])
@pytest.mark.parametrize("reason", [Reason.MANUAL, Reason.POWER])
def test_its_screen_its_serial_log_and_what_was_tried_are_kept(tmp_path: Path, kind: str, reason: Reason) -> None:
    log = tmp_path / "serial"
    log.write_text("boot\n" * 1000 + "Kernel panic - not syncing\n")
    lab, guest = lab_of(tmp_path, log=serial(log, kind=kind), serial=100)
    told = stuck(lab, guest, reason=reason)
    (kept,) = folders(tmp_path)
    assert (told.result, told.evidence["lacking"]) == (Verdict.OK, {})
    assert told.evidence["folder"] == str(kept)
    assert sorted(path.name for path in kept.iterdir()) == ["facts.json", "screen.png", "serial.log"]
    assert (kept / "screen.png").read_bytes().startswith(b"\x89PNG")
    words = (kept / "serial.log").read_text()
    assert (len(words), words.endswith("not syncing\n")) == (100, True)
    facts = json.loads((kept / "facts.json").read_text())
    assert (facts["guest"], facts["state"], facts["agent"]) == ("../db 1", "running", "answers")
    assert [attempt["method"] for attempt in facts["attempts"]] == ["acpi"]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (kept, *kept.iterdir())}
    assert modes == {0o700, 0o600}, "a screen may show anything"


@pytest.mark.parametrize(
    ("virsh", "why"),
    [
        (None, "there is no virsh here"),
        ("echo no screens to take screenshot from >&2; exit 1", "no screens"),
        ("exit 0", "virsh: exit code 0"),
        ("sleep 60", "timed out"),
    ],
    ids=["no virsh", "no screen", "nothing", "hangs"],
)
def test_what_cannot_be_had_is_named_and_costs_neither_the_rest_nor_the_guest(
    tmp_path: Path, virsh: str | None, why: str
) -> None:
    log = tmp_path / "serial"
    log.write_text("last words")
    lab, guest = lab_of(tmp_path, virsh, serial(log))
    told = stuck(lab, guest, reason=Reason.REBOOT)
    assert told.result is Verdict.OK
    assert why in told.evidence["lacking"]["screen"]
    (kept,) = folders(tmp_path)
    assert sorted(path.name for path in kept.iterdir()) == ["facts.json", "serial.log"]
    assert json.loads((kept / "facts.json").read_text())["lacking"] == told.evidence["lacking"]


def test_a_serial_log_that_is_none_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    cases = {
        serial(tmp_path / "pipe"): "is no plain file",
        serial(tmp_path / "gone"): "No such file",
        "": "its domain has none",
        "<domain": "no element found",
    }
    for number, (xml, why) in enumerate(cases.items()):
        own = tmp_path / str(number)
        own.mkdir()
        lab, guest = lab_of(own, log=xml or "<domain/>")
        assert why in stuck(lab, guest).evidence["lacking"]["serial log"] or xml == "<domain"


def test_the_oldest_ones_go(tmp_path: Path) -> None:
    lab, guest = lab_of(tmp_path, keep=3, megabytes=1)
    home = tmp_path / "plugins" / "last_words"
    home.mkdir(parents=True, mode=0o700)
    for number, size in enumerate((10, 10, 10, 10, 10)):
        (home / f"2020010{number}-x").mkdir()
        (home / f"2020010{number}-x" / "screen.png").write_bytes(bytes(size))
    stuck(lab, guest)
    assert [path.name for path in folders(tmp_path)][:2] == ["20200103-x", "20200104-x"]
    assert len(folders(tmp_path)) == 3
    (home / "20200104-x" / "screen.png").write_bytes(bytes(1_000_000))
    stuck(lab, guest)
    assert not [path for path in folders(tmp_path) if path.name.startswith("2020")], "more than a megabyte together"


def test_a_rehearsal_keeps_nothing(tmp_path: Path) -> None:
    lab, guest = lab_of(tmp_path)
    (told,) = lab.fire("on_guest_stuck", guest)
    assert told.result is Verdict.OK
    assert lab.lines == ["would keep its screen, the end of its serial log, and whether its agent answers"]
    assert not (tmp_path / "plugins" / "last_words").exists()


def test_a_guest_that_stops_is_not_looked_at(tmp_path: Path) -> None:
    lab, _ = lab_of(tmp_path)
    lab.guest("well")
    assert not [one for one in lab.shutdown("well").guest("well").hooks if one.plugin == "last_words"]
    assert not (tmp_path / "bin" / "asked").exists()
