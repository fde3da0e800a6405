"""The last words of real guests that do not stop, as hooks.d/60-last-words.py keeps them."""

import json
import shutil
from pathlib import Path
from typing import Any

from lab.daemon import Daemon
from lab.guests import FIRMWARE, linux_guests, opened, remove
from samples import SAMPLES
from support import by_name_in, report_of, run_lastcall, write_config

SCREEN = "<devices><video><model type='vga'/></video></devices></domain>"


def test_what_guests_show_and_have_said_is_kept_before_the_plug_is_pulled(lab: Daemon, tmp_path: Path) -> None:
    """One has a screen and no console, the other a console and no screen."""
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [{acpi: {timeout: 2s}}]}")
    shutil.copy(SAMPLES / "60-last-words.py", tmp_path / "hooks.d")
    with linux_guests(lab, deaf="deaf=1"):
        try:
            with opened(lab.qemu) as connection:
                connection.defineXML(FIRMWARE.format(name="blank").replace("</domain>", SCREEN)).create()
                done = run_lastcall(config, "shutdown", "--reason", "reboot", "--deadline", "60s", "--json")
        finally:
            with opened(lab.qemu) as connection:
                remove(connection, ["blank"])
    blank, deaf = (_kept(report_of(done), name) for name in ("blank", "deaf"))
    assert (blank / "screen.png").read_bytes().startswith(b"\x89PNG")
    assert "guest is up" in (deaf / "serial.log").read_text()
    facts = [json.loads((folder / "facts.json").read_text()) for folder in (blank, deaf)]
    assert [one["agent"] for one in facts] == ["not connected", "answers"]
    assert {(one["state"], one["attempts"][0]["method"]) for one in facts} == {("running", "acpi")}
    assert [list(one["lacking"]) for one in facts] == [["serial log"], ["screen"]]


def _kept(report: Any, name: str) -> Path:
    guest = by_name_in(report, name)
    (told,) = [hook for hook in guest["hooks"] if hook["hook"] == "on_guest_stuck"]
    assert (guest["outcome"], told["result"]) == ("forced", "ok"), told
    return Path(told["evidence"]["folder"])
