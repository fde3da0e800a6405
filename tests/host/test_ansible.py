"""The Ansible role on booted hosts: what check mode says is what is done, once, and no guest notices."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from host.test_package import apt, stop_of_libvirt_guests
from host.test_poweroff import find
from lab import replaced
from lab.ansible import play_role
from lab.host import PROJECT, Host

HELLO = "import lastcall\n\n\n@lastcall.hookimpl\ndef pre_shutdown(run):\n    run.log('hello')\n"
ON_DUTY = "Put lastcall on duty"
IN_WORDS = {
    "Say that the package would be installed": "Install the package",
    "Say that the wheel would be installed": "Install the wheel",
    "Say that it would be put on duty": ON_DUTY,
}
"""What check mode says of what cannot be tried, and what is done instead."""
NOT_ITS_OWN = ("var/log", "var/tmp", "tmp", "root", "var/lib/systemd", "var/lib/libvirt", "var/cache/ldconfig")


def written(host: Host) -> set[tuple[str, int]]:
    """What the host has written since it was made, with the time; without what others write meanwhile."""
    paths = {str(path.relative_to(host.upper)): path for path in host.upper.rglob("*")}
    return {(name, path.lstat().st_mtime_ns) for name, path in paths.items() if not name.startswith(NOT_ITS_OWN)}


def test_a_host_comes_under_lastcall_and_back_as_check_mode_has_said_and_no_guest_notices(
    make_package_host: Callable[[str], Host], packages: dict[str, Path], tmp_path: Path
) -> None:
    host = make_package_host("trixie")
    host.boot()
    host.guests(one="slow=1")
    theirs, guest = stop_of_libvirt_guests(host), host.run("virsh domid one")
    wanted: dict[str, object] = {
        "lastcall_package": str(packages["trixie"]),
        "lastcall_config": {"shutdown": {"deadline": "5min"}, "plugins": {}},
        "lastcall_hooks": [
            {"name": "20-hello.py", "content": HELLO},
            {"name": "pre_shutdown/50-stopvm.sh", "content": "#!/bin/sh\nexit 0\n"},
        ],
        "lastcall_take_over": True,
    }

    # Where there is nothing yet it says everything, and does nothing.
    before = written(host)
    told = play_role(host, tmp_path, wanted, check=True)
    assert not told.failed, told.text
    assert written(host) == before
    done = play_role(host, tmp_path, wanted)
    assert not done.failed, done.text
    assert done.changed == tuple(IN_WORDS.get(task, task) for task in told.changed)
    assert ON_DUTY in done.changed
    assert "nothing wrong found" in done.text
    assert host.tries("lastcall status").returncode == 0
    assert stop_of_libvirt_guests(host).strip() == ""
    modes = "cd /etc/lastcall; stat -c '%n %a %U' config.yaml hooks.d/*.py hooks.d/*/*"
    assert host.run(modes).splitlines() == [
        "config.yaml 644 root", "hooks.d/20-hello.py 644 root", "hooks.d/pre_shutdown/50-stopvm.sh 755 root",
    ]  # fmt: skip
    plugins = host.run("lastcall plugins")
    assert "hello" in plugins
    assert "stopvm.sh" in plugins
    again = play_role(host, tmp_path, wanted)
    assert (again.failed, again.changed) == (False, ()), again.text

    # A configuration that is not valid does not land, and check mode knows.
    mine = host.run("cat /etc/lastcall/config.yaml")
    for check in (True, False):
        refused = play_role(host, tmp_path, {"lastcall_config": {"shutdwon": {}}}, check=check)
        assert (refused.failed, refused.changed) == (True, ())
        assert "/etc/lastcall/config.yaml:2:1: shutdwon: unknown key; did you mean 'shutdown'?" in refused.text
        assert host.run("cat /etc/lastcall/config.yaml") == mine

    # What `check` finds fails the play, in its own words.
    host.run("chmod 666 /etc/lastcall/hooks.d/20-hello.py")
    found = play_role(host, tmp_path, {})
    assert (found.failed, found.changed) == (True, ())
    assert "✗ plugin hello (/etc/lastcall/hooks.d/20-hello.py): " in found.text
    assert "→ chmod go-w /etc/lastcall/hooks.d/20-hello.py" in found.text

    # Taken away, everything is as it was.
    gone: dict[str, object] = {"lastcall_state": "absent"}
    assert play_role(host, tmp_path, gone, check=True).changed
    assert host.tries("lastcall status").returncode == 0
    removed = play_role(host, tmp_path, gone)
    assert not removed.failed, removed.text
    assert stop_of_libvirt_guests(host) == theirs
    assert host.tries("command -v lastcall").stdout == ""
    again = play_role(host, tmp_path, gone)
    assert (again.failed, again.changed) == (False, ()), again.text

    # Where nobody has asked for it libvirt-guests stays on duty, and that is an error.
    apt(host, f"install /packages/{packages['trixie'].name}")
    refused = play_role(host, tmp_path, {})
    assert refused.failed
    assert "libvirt-guests.service" in refused.text
    assert "lastcall_take_over: true" in refused.text
    assert stop_of_libvirt_guests(host) == theirs
    assert host.tries("lastcall status").returncode == 3

    assert host.run("virsh domid one") == guest, "it is the same one, and was never off"
    assert not find(host.journal(), "Running guests on"), "libvirt-guests has not been stopped"
    assert not find(host.journal(), r"^shutdown \("), "nor has lastcall"


def test_a_wheel_is_fetched_and_goes_into_a_virtual_environment_that_goes_with_it(
    make_host: Callable[[], Host], tmp_path: Path
) -> None:
    """The image has what it needs, as a host with a network would get it."""
    wheels = tmp_path / "wheels"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, PROJECT]
    subprocess.run(command, check=True)
    (wheel,) = wheels.iterdir()
    host = make_host()
    host.shown["/wheels"] = wheels
    host.boot()
    host.run("rm /usr/local/bin/lastcall")
    replaced.set_up(host, libvirt_guests=False)
    host.guests(one="slow=1")
    wanted: dict[str, object] = {
        "lastcall_package": f"file:///wheels/{wheel.name}",
        "lastcall_pip_arguments": ["--no-index"],
        "lastcall_replace": ["graceful-shutdown"],
        "lastcall_take_over": True,
    }
    before = written(host)
    told = play_role(host, tmp_path, wanted, check=True)
    assert not told.failed, told.text
    assert written(host) == before
    done = play_role(host, tmp_path, wanted)
    assert not done.failed, done.text
    # Without the folder that it would be fetched to it cannot be said to be fetched.
    fetched = [task for task in done.changed if task != "Fetch the package"]
    assert fetched == [IN_WORDS.get(task, task) for task in told.changed]
    assert "nothing wrong found" in done.text
    assert host.run("readlink -f $(command -v lastcall)").strip() == "/opt/lastcall/bin/lastcall"
    assert host.run("systemctl show -P Id graceful-shutdown.service").strip() == "lastcall.service"
    again = play_role(host, tmp_path, wanted)
    assert (again.failed, again.changed) == (False, ()), again.text

    # Whose folder it is not, it leaves alone.
    refused = play_role(host, tmp_path, {**wanted, "lastcall_venv": "/etc"})
    assert (refused.failed, "lastcall_venv: /etc is no virtual environment" in refused.text) == (True, True)
    removed = play_role(host, tmp_path, {"lastcall_state": "absent"})
    assert not removed.failed, removed.text
    assert host.tries("ls -d /opt/lastcall /usr/local/bin/lastcall /etc/systemd/system/lastcall*").stdout == ""
    assert "stopvm.sh" in host.run("cat /etc/systemd/system/graceful-shutdown.service")
    assert host.running() == {"one"}
