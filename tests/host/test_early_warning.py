"""What lies between logind's word that the host goes down and the stop of the unit: a delay that libvirt asks for."""

import pytest

from host.test_poweroff import find
from lab.host import Entry, Host

DELAY = 4.0  # seconds; systemd's own default is 5
AT_ONCE = 2.0  # seconds


def moments(journal: list[Entry]) -> tuple[float, float, float, float]:
    """When logind told of the end, when the unit was stopped, when its run began, and when a guest was first asked."""
    told = find(journal, "^The system will power off now!")[0].at
    stopped, began = find(journal, r"^Stopping lastcall\.service")[0].at, find(journal, r"^shutdown \(poweroff\)")[0].at
    requests = [entry.at for entry in journal if entry.fields.get("LASTCALL_METHOD") == "acpi"]
    return told, stopped, began, next(at for at in requests if at > told)


@pytest.mark.soak
def test_libvirt_delays_every_shutdown_of_a_host_with_guests_and_a_setting_of_logind_ends_that(installed: Host) -> None:
    setting = "/etc/systemd/logind.conf.d/lab.conf"
    short = installed.run(f"cat {setting}")
    installed.run(f"printf '[Login]\\nInhibitDelayMaxSec={DELAY:.0f}s\\n' > {setting}")
    installed.guests(one="slow=1")
    installed.stop()
    installed.boot()
    installed.wait_until(lambda: installed.running() == {"one"}, "one is back")
    installed.wait_until_up("one")
    locks = installed.run("systemd-inhibit --list --no-pager --no-legend").splitlines()
    assert [line for line in locks if "libvirt" in line.lower() and "shutdown" in line and "delay" in line], locks
    installed.run(f"cat > {setting}", given=short)  # which logind reads at the next boot
    installed.stop()
    told, stopped, began, asked = moments(installed.journal())
    assert stopped - told > DELAY - 1
    assert asked - began < AT_ONCE, "all that an earlier run could win, beside the start of the program"

    installed.boot()
    installed.wait_until(lambda: installed.running() == {"one"}, "one is back")
    installed.wait_until_up("one")
    installed.stop()
    told, stopped, _, _ = moments(installed.journal())
    assert stopped - told < AT_ONCE
