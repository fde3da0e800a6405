"""The last words of a real guest that does not stop, as hooks.d/60-last-words.py keeps them."""

import json
import shutil
from pathlib import Path

from lab.daemon import Daemon
from lab.guests import FIRMWARE, opened, remove
from samples import SAMPLES
from support import by_name_in, report_of, run_lastcall, write_config

DEVICES = "<devices><serial type='file'><source path='{log}'/></serial><video><model type='vga'/></video></devices>"


def test_a_guest_with_a_firmware_only_leaves_its_screen_and_what_it_said(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [{acpi: {timeout: 2s}}]}")
    shutil.copy(SAMPLES / "60-last-words.py", tmp_path / "hooks.d")
    log = lab.folder / "stuck-serial"
    xml = FIRMWARE.format(name="stuck").replace("</domain>", f"{DEVICES.format(log=log)}</domain>")
    try:
        with opened(lab.qemu) as connection:
            connection.defineXML(xml).create()
            done = run_lastcall(config, "shutdown", "--reason", "reboot", "--deadline", "60s", "--json")
    finally:
        with opened(lab.qemu) as connection:
            remove(connection, ["stuck"])
    guest = by_name_in(report_of(done), "stuck")
    (told,) = [hook for hook in guest["hooks"] if hook["hook"] == "on_guest_stuck"]
    assert (guest["outcome"], told["result"], told["evidence"]["lacking"]) == ("forced", "ok", {}), done.stderr
    folder = Path(told["evidence"]["folder"])
    assert sorted(told["evidence"]["kept"]) == ["facts.json", "screen.png", "serial.log"]
    assert (folder / "screen.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "serial.log").read_bytes() == log.read_bytes()
    facts = json.loads((folder / "facts.json").read_text())
    assert (facts["state"], facts["agent"], facts["attempts"][0]["method"]) == ("running", "not connected", "acpi")
