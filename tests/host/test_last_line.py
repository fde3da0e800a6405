"""A host on which lastcall cannot run any more, as after an upgrade of Python: its guests are asked all the same."""

from host.test_poweroff import NEEDS, SWITCHES, find
from lab.host import Host


def test_with_a_python_that_lacks_our_packages_every_guest_that_hears_the_button_still_shuts_down(
    installed: Host,
) -> None:
    installed.run("systemctl -q disable --now libvirt-guests")
    shown = installed.run("systemctl status lastcall.service", check=False)
    assert "needs /opt/lastcall/bin/python3" in shown
    # Where an upgrade of the distribution leaves a virtual environment: a new Python, which looks elsewhere.
    site = installed.run("echo /opt/lastcall/lib/python3.*").strip()
    installed.run(f"mv {site} {site}-of-yesterday && mkdir -p {site}/site-packages")
    assert "ModuleNotFoundError" in installed.tries("lastcall status").stderr
    installed.guests(**SWITCHES)
    # Less than the slowest guest takes: systemd is asked for more as long as somebody is waited for.
    folder = "/etc/systemd/system/lastcall.service.d"
    installed.run(f"mkdir -p {folder} && printf '[Service]\\nTimeoutStopSec=10s\\n' > {folder}/short.conf")
    installed.run("systemctl daemon-reload")
    installed.stop()
    journal = installed.journal()
    assert installed.cut_off(*NEEDS) == {}
    assert find(journal, rf"^lastcall could not run: virsh asks {len(NEEDS)} guests")
    assert not find(journal, r"^Stopping machine-qemu"), "no scope was left for systemd to stop"

    installed.boot()
    told = installed.run("cat /etc/motd.d/lastcall*", check=False)
    assert "lastcall: it failed at boot" in told
    assert f"{len(NEEDS)} guests that it did not stop were asked by virsh" in told
    assert "lastcall-stamp.service" in installed.run("systemctl --failed")
    assert installed.run("systemctl is-active lastcall.service").strip() == "active", "the next host stop is served"

    installed.run(f"rm -r {site} && mv {site}-of-yesterday {site}")
    installed.run("lastcall install")
    none = "no guest waits to be restored"
    installed.wait_until(lambda: none in installed.run("lastcall status").splitlines(), "everybody is back")
    assert installed.running() == set(NEEDS)
    assert "it failed" not in installed.tries("cat /etc/motd.d/lastcall*").stdout
