"""A host that sleeps: what systemd calls around it, in which order, and what becomes of guests where that goes wrong.

No host here really sleeps: a container would take the machine with it. Instead of systemd-sleep a script notes what
the guests do just then.
"""

import json
import re

import pytest

from host.test_poweroff import configure, find
from lab.host import Host

RULES = "guests: [{match: one, sleep: pause}, {match: two, sleep: save}]\n"
NOTE = "for one in one two three; do echo $one $(virsh domstate $one); done > /var/slept"
ASLEEP = {"one": "paused", "two": "shut off", "three": "running"}
AWAKE = dict.fromkeys(ASLEEP, "running")
SLEEPS = ("suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate")


def falls_asleep(host: Host, then: str = "true") -> None:
    """Have the host do this instead of a sleep, once it has noted what its guests do."""
    host.run("cat > /usr/local/bin/sleeps; chmod +x /usr/local/bin/sleeps", given=f"#!/bin/sh\n{NOTE}\n{then}\n")
    for kind in SLEEPS:
        folder = f"/etc/systemd/system/systemd-{kind}.service.d"
        host.run(
            f"mkdir -p {folder}; printf '[Service]\\nExecStart=\\nExecStart=/usr/local/bin/sleeps\\n' > {folder}/x.conf"
        )
    host.run("systemctl daemon-reload")
    for kind in SLEEPS:
        shown = host.run(f"systemctl show -p ExecStart systemd-{kind}.service")
        assert "/usr/local/bin/sleeps" in shown
        assert "systemd-sleep" not in shown, "the machine below would sleep"


def states(host: Host) -> dict[str, str]:
    return {name: host.run(f"virsh domstate {name}").strip() for name in ASLEEP}


def seen_in_sleep(host: Host) -> dict[str, str]:
    text = host.run("cat /var/slept; rm /var/slept")
    return dict(re.findall(r"^(\w+) (.+)$", text, re.MULTILINE))


def wakes_up(host: Host) -> None:
    """Wait until everybody goes on and the unit is over."""
    host.wait_until(lambda: states(host) == AWAKE, "all guests go on")
    unit = "systemctl show -p ActiveState --value lastcall-sleep.service"
    host.wait_until(lambda: host.run(unit).strip() in {"inactive", "failed"}, "the waking is over")


@pytest.fixture(name="sleeper")
def host_with_guests(installed: Host) -> Host:
    configure(installed, RULES)
    falls_asleep(installed)
    installed.guests(one="slow=1", two="slow=1", three="slow=1")
    return installed


def test_guests_sleep_with_their_host_and_go_on_after_it_and_the_next_poweroff_stops_them(sleeper: Host) -> None:
    for kind in SLEEPS:
        sleeper.run(f"systemctl start {kind}.target")
        assert seen_in_sleep(sleeper) == ASLEEP, kind
        wakes_up(sleeper)
    falls_asleep(sleeper, "exit 1")
    assert sleeper.tries("systemctl start suspend.target").returncode != 0
    assert seen_in_sleep(sleeper) == ASLEEP
    wakes_up(sleeper)  # also where the sleep itself failed
    runs = json.loads(sleeper.run("lastcall runs --reason sleep --json"))["runs"]
    assert [run["exit_code"] for run in runs] == [0] * 10
    assert find(sleeper.journal(), r"^two: resumed")
    sleeper.stop()
    assert sleeper.cut_off(*AWAKE) == {}


def test_a_sleep_goes_on_and_nobody_stays_paused_where_lastcall_is_killed_or_hangs(sleeper: Host) -> None:
    hook = "/etc/lastcall/hooks.d/pre_sleep/10-x"
    sleeper.run(
        f"mkdir -p {hook.rpartition('/')[0]}; cat > {hook}; chmod 755 {hook}", given="#!/bin/sh\nkill -9 $PPID\n"
    )
    sleeper.run("systemctl start suspend.target")
    assert seen_in_sleep(sleeper) == AWAKE, "it was killed before anybody was paused"
    wakes_up(sleeper)
    sleeper.run(f"rm {hook}")

    # One that was killed when it had paused somebody: systemd ends it, and what it has left goes on.
    folder = "/etc/systemd/system/lastcall-sleep.service.d"
    hangs = "[Service]\nExecStart=/bin/sleep 600\nTimeoutStartSec=3s\n"
    sleeper.run(f"mkdir -p {folder}; cat > {folder}/hangs.conf; systemctl daemon-reload", given=hangs)
    sleeper.run("systemctl start suspend.target")
    sleeper.run("cat /var/slept", check=True)
    wakes_up(sleeper)
    assert "cut off" not in sleeper.tries("lastcall status").stdout
    sleeper.stop()
    assert sleeper.cut_off(*AWAKE) == {}


def test_a_host_that_goes_down_while_guests_sleep_asks_those_that_were_paused_and_brings_all_back(
    sleeper: Host,
) -> None:
    falls_asleep(sleeper, "sleep 600")
    sleeper.run("systemctl --no-block start suspend.target")
    sleeper.wait_until(lambda: sleeper.tries("test -s /var/slept").returncode == 0, "the host sleeps")
    assert states(sleeper) == ASLEEP
    sleeper.stop()
    assert sleeper.cut_off("one", "three") == {}
    journal = sleeper.journal()
    (resumed, *_), (asked, *_) = find(journal, r"^one: resumed"), find(journal, r"^one: stopped")
    assert resumed.at < asked.at
    assert find(journal, r"^two: skipped \(stays saved, as the host stops")
    sleeper.boot()
    sleeper.wait_until(lambda: states(sleeper) == AWAKE, "everybody is back")
    assert find(sleeper.journal(), r"^two: resumed")
