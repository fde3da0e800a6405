"""A drill with real guests: who hears the power button goes and comes back, who does not is left running."""

import json
from pathlib import Path

from lab.daemon import Daemon
from lab.guests import linux_guests, opened, states
from support import run_lastcall, waiting_guests, write_config


def test_a_guest_that_hears_goes_and_comes_back_and_a_deaf_one_runs_on_unforced(lab: Daemon, tmp_path: Path) -> None:
    ladder = "defaults: {drill: true, stop: [{acpi: {timeout: 12s}}, destroy], last_resort: destroy}"
    config = write_config(tmp_path, lab.qemu, more=ladder)
    with linux_guests(lab, deaf="deaf=1", hears="slow=1") as guests:
        process = lab.qemu_of("deaf")
        done = run_lastcall(config, "drill", "--json")
        told = {guest["name"]: guest for guest in json.loads(done.stdout)["guests"]}
        assert done.returncode == 1, done.stderr
        assert (told["hears"]["went"], told["hears"]["came"]) == ("stopped", "started")
        assert 1.0 <= told["hears"]["took"] < 12.0
        assert (told["deaf"]["went"], told["deaf"]["came"], told["deaf"]["took"]) == ("left", None, None)
        with opened(lab.qemu) as connection:
            assert set(states(connection).values()) == {"running"}
        assert lab.qemu_of("deaf") == process, "the same QEMU as before"
        guests["hears"].wait_until_up()
        assert waiting_guests(tmp_path / "state") == ["deaf"], "asked, and perhaps off later"
        assert "2 guests: deaf left" in run_lastcall(config, "status").stdout
        cut = json.loads(run_lastcall(config, "drill", "hears", "--json").stdout)["power_cut"]
        assert (cut["unknown"], cut["usual"] >= 1.0) == (["deaf"], True)
