"""Booted hosts that live by a UPS: NUT as docs/ups.md tells a newcomer to set it up. The UPS is a file of the host."""

import re
import time

from lab.host import PROJECT, Host, join_hosts

CONTRIB = PROJECT / "contrib" / "ups" / "nut"
_CONTRIB = "/contrib"  # on a host
# Those of a site that is in a hurry: NUT's own are 5 s, which every word would wait for.
_OFTEN = "POLLFREQ 1\nPOLLFREQALERT 1\n"
_UNITS = "nut.target nut-driver-enumerator.path nut-driver-enumerator.service nut-driver.target nut-server nut-monitor"
_BLOCK = re.compile(r"^```(?:ini\n# (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CUT = "/var/log/cut"
# NUT's own script has the driver tell the UPS to cut the power; what stands for the UPS notes when that would be.
_NOTE = f"#!/bin/sh\n/sbin/upsmon -K > /dev/null 2>&1 && cut -d ' ' -f 1 /proc/uptime > {_CUT}\nexit 0\n"
_AT_THE_END = "/usr/lib/systemd/system-shutdown"


class Ups:
    """A UPS, as `ups.conf` calls it; what it says is what `says` has written last."""

    def __init__(self, host: Host, name: str = "ups") -> None:
        self._host, self.name = host, name
        self._written = 0

    def says(self, status: str, *, charge: int = 100, runtime: int = 600) -> None:
        """Say this from now on; the driver looks every second. Also while the host is off."""
        text = f"ups.status: {status}\nbattery.charge: {charge}\nbattery.runtime: {runtime}\n"
        path = f"/etc/nut/{self.name}.dev"
        # To the driver a file is new whose time is another second.
        self._written = max(self._written + 1, int(time.time()))
        if self._host.is_off():
            (self._host.upper / path.lstrip("/")).write_text(text)
        else:
            self._host.run(f"cat > {path}.new; touch -d @{self._written} {path}.new; mv {path}.new {path}", given=text)


def have_upses(host: Host, *names: str) -> list[Ups]:
    """Have ups.conf name these, on the mains."""
    upses = [Ups(host, name) for name in names]
    for one in upses:
        one.says("OL")
    sections = "".join(f"[{name}]\ndriver = dummy-ups\nport = {name}.dev\nmode = dummy-once\n" for name in names)
    host.run("cat > /etc/nut/ups.conf", given=f"maxretry = 3\npollinterval = 1\n{sections}")
    return upses


def set_up(host: Host) -> Ups:
    """Have a host that is off boot, and live by a UPS of its own."""
    _boot(host)
    (ups,) = have_upses(host, "ups")
    _follow(host, _section("One host with NUT"))
    return ups


def set_up_second(first: Host, second: Host) -> None:
    """Have a host that is off boot, and live by the UPS of another, of which it hears by a cable."""
    for_first, for_second = _section("Two hosts, one UPS").split("On the secondary:\n")
    _boot(second)
    join_hosts(first, second)
    _follow(first, for_first)
    shipped = (CONTRIB / "secondary" / "upsmon-before-2.8.5.conf").read_text()
    second.run("cat >> /etc/nut/upsmon.conf", given=shipped)
    second.run("echo 10.31.0.1 primary.example.org >> /etc/hosts")
    _follow(second, for_second)


def note_the_cut(host: Host) -> None:
    """Have the host note when the UPS is told to cut the power; `cut_at` has it."""
    host.run(f"cat > {_AT_THE_END}/lab; chmod 755 {_AT_THE_END}/lab", given=_NOTE)


def cut_at(host: Host) -> float | None:
    """When the power would have been cut, on the clock that all hosts share; None where it was not."""
    path = host.upper / _CUT.lstrip("/")
    return float(path.read_text()) if path.exists() else None


def _section(title: str) -> str:
    page = (PROJECT / "docs" / "ups.md").read_text()
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def _boot(host: Host) -> None:
    """With lastcall on duty, and with what `apt install nut` leaves: units that are enabled and do nothing yet."""
    host.shown[_CONTRIB] = CONTRIB
    host.boot()
    host.run("lastcall install")
    host.run(f"systemctl -q enable --now {_UNITS}; cat >> /etc/nut/upsmon.conf", given=_OFTEN)


def _follow(host: Host, text: str) -> None:
    """Do what the page says, block by block: files, and commands. In NUT's files what is said last counts."""
    for path, block in _BLOCK.findall(text):
        if path:
            host.run(f"cat {'>>' if path.startswith('/etc/nut/') else '>'} {path}", given=block)
        else:
            for command in block.splitlines():
                _do(host, command)


def _do(host: Host, command: str) -> None:
    # A person would try again where a server is still starting, which systemd does not wait for.
    host.wait_until(lambda: host.tries(f"cd {_CONTRIB}; {command}").returncode == 0, command, pause=1)
