"""The packages on fresh hosts: nothing is taken over unasked, no guest stops, and nobody is forgotten."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from host.test_poweroff import find, last_report
from lab import replaced
from lab.host import Host
from lab.package_host import RELEASES, newer, upgradable_host
from lastcall.systemd.units import OURS, Whereabouts
from support import looks, shell_blocks

IMPORTS = """\
import sys; sys.path[0] = "/usr/lib/lastcall"; import libvirt, paramiko, pluggy, pydantic, yaml
paramiko.Ed25519Key, paramiko.Transport; print(paramiko.__version__, pluggy.__version__, pydantic.VERSION)
"""


def apt(host: Host, words: str) -> str:
    """As an administrator calls it; nobody is there to answer a question."""
    return host.run(f"DEBIAN_FRONTEND=noninteractive apt-get --yes {words} < /dev/null 2>&1")


def waiting(host: Host) -> list[str]:
    guests = json.loads(host.run("cat /var/lib/lastcall/state.json"))["guests"]
    return [guest["name"] for guest in guests]


def unit_file(host: Host, unit: str) -> str:
    """Where systemd has it from; on Debian 12 it says /lib, which is a link."""
    return host.run(f"realpath $(systemctl show -P FragmentPath {unit})").strip()


def stop_of_libvirt_guests(host: Host) -> str:
    return host.run("systemctl show -P ExecStop libvirt-guests.service")


@pytest.mark.parametrize("release", RELEASES)
def test_a_package_takes_nothing_over_unasked_and_gives_everything_back_without_touching_a_guest(
    make_package_host: Callable[[str], Host], packages: dict[str, Path], tmp_path: Path, release: str
) -> None:
    host = make_package_host(release)
    host.shown["/newer"] = tmp_path
    newer(packages[release], tmp_path)
    host.boot()
    assert host.tries("command -v gcc cc pip pip3").stdout == "", "no compiler, and no pip"
    guests = {"one": "slow=1", "two": "slow=1"}
    host.guests(**guests)
    theirs = stop_of_libvirt_guests(host)

    # Installed, and installed once more, it is there, and that is all.
    for words in ("install", "install --reinstall"):
        said = apt(host, f"{words} /packages/{packages[release].name}")
        assert host.run("lastcall --version").startswith("lastcall ")
        assert host.running() == set(guests)
        assert stop_of_libvirt_guests(host) == theirs != ""
        assert host.tries("systemctl is-enabled lastcall.service").stdout.strip() == "disabled"
        assert host.tries("lastcall status").returncode == 3
        assert [unit_file(host, unit.replace("@", "@1")) for unit in OURS] == [
            f"/usr/lib/systemd/system/{unit}" for unit in OURS
        ]
        assert host.tries("ls /etc/lastcall").returncode != 0
        assert ("lastcall install --take-over" in said) == (words == "install"), "told once, at the end"
    assert "rival libvirt-guests.service" in host.tries("lastcall check").stdout

    # What it needs is there, and works together.
    assert host.run(f"python3 -W error -c '{IMPORTS}'").split() == ["3.5.1", "1.5.0", "2.10.6"]
    assert "✗" not in host.run("lastcall plugins")
    assert json.loads(host.run("lastcall config schema"))["properties"]

    # Told to, it is on duty with the package's own units. The page on installing says how.
    installs, *tells = shell_blocks("install.md")[0]
    assert installs == f"apt install ./{packages['trixie'].name}"
    said = [host.run(command) for command in tells]
    assert "is on duty" in said[-2]
    assert "nothing wrong found" in said[-1]
    assert (
        host.run("find /etc/systemd/system -name '*lastcall*.service' -type f; find /usr/local -name '*lastcall*'")
        == ""
    )
    assert unit_file(host, "lastcall.service") == "/usr/lib/systemd/system/lastcall.service"
    assert stop_of_libvirt_guests(host).strip() == ""

    # An upgrade leaves it on duty, with its new units.
    apt(host, "install /newer/newer.deb")
    assert host.running() == set(guests)
    assert "Newer last call" in host.run("systemctl show -P Description lastcall.service")
    assert host.run("systemctl show -P NeedDaemonReload lastcall.service").strip() == "no"
    host.look(looks("an upgrade of lastcall"))
    host.stop()
    assert host.cut_off(*guests) == {}
    assert find(host.journal(), r"^shutdown is over .*: as planned")
    host.boot()
    host.wait_until(lambda: host.running() == set(guests), "everybody is back")
    assert {guest["outcome"] for guest in last_report(host, "restore")["guests"]} <= {"started"}
    assert last_report(host, "shutdown")["run"]["reason"] == "poweroff"
    host.wait_until_up("two")

    # Who waits when it is purged is still known when it comes back.
    host.run("lastcall shutdown two --yes")
    program = "/usr/lib/lastcall/lastcall/cli/main.py"
    host.run(f"mv {program} {program}.broken")
    with pytest.raises(RuntimeError, match="failed: lastcall may still be on duty, and is not removed"):
        apt(host, "remove lastcall")
    host.run(f"mv {program}.broken {program}")
    assert host.run("systemctl is-active lastcall.service").strip() == "active"
    apt(host, "remove lastcall")
    assert host.running() == {"one"}
    assert stop_of_libvirt_guests(host) == theirs
    assert host.run("systemctl show -P LoadState lastcall.service").strip() == "not-found"
    assert host.run("find /etc/systemd/system -name '*lastcall*' -o -name graceful-shutdown.service") == ""
    apt(host, "purge lastcall")
    assert waiting(host) == ["two"]
    assert host.tries("ls /etc/lastcall /usr/lib/lastcall").stdout == ""
    assert host.running() == {"one"}
    apt(host, f"install /packages/{packages[release].name}")
    assert "two" in host.tries("lastcall status").stdout
    host.run("lastcall restore two")
    assert host.running() == set(guests)

    # Where nobody waits, nothing is left.
    apt(host, "purge lastcall")
    assert host.tries("ls -d /etc/lastcall /usr/lib/lastcall /var/lib/lastcall").stdout == ""
    assert not find(host.journal(), "Running guests on"), "libvirt-guests has not been stopped"


def test_the_set_up_that_it_replaces_is_taken_over_by_a_package_and_given_back(
    make_package_host: Callable[[str], Host], packages: dict[str, Path]
) -> None:
    host = make_package_host("trixie")
    host.boot()
    host.guests(one="slow=1")
    theirs = stop_of_libvirt_guests(host)
    replaced.set_up(host)
    apt(host, f"install /packages/{packages['trixie'].name}")
    beside = host.tries("lastcall install --take-over")
    assert (beside.returncode, "--replace graceful-shutdown.service" in beside.stderr) == (0, True), beside.stderr
    assert unit_file(host, "graceful-shutdown.service") == "/etc/systemd/system/graceful-shutdown.service"
    assert host.run("systemctl is-enabled lastcall.service lastcall-restore.service").split() == ["enabled"] * 2
    host.run("lastcall install --take-over --replace graceful-shutdown.service")
    assert "PARALLEL_SHUTDOWN=10" in host.run("cat /etc/lastcall/config.yaml")
    assert unit_file(host, "graceful-shutdown.service") == "/usr/lib/systemd/system/lastcall.service"
    assert "nothing wrong found" in host.run("lastcall check")
    assert host.running() == {"one"}
    host.stop("systemctl --no-block reboot")
    assert host.cut_off("one") == {}
    assert not find(host.journal(), "Stopping graceful-shutdown")
    host.boot()
    host.wait_until(lambda: host.running() == {"one"}, "the guest is back")
    assert last_report(host, "shutdown")["run"]["reason"] == "reboot"
    apt(host, "purge lastcall")
    assert host.running() == {"one"}
    assert stop_of_libvirt_guests(host) == theirs
    assert "stopvm.sh" in host.run("cat /etc/systemd/system/graceful-shutdown.service")


def test_guests_that_libvirt_stops_by_itself_are_named_and_brought_back(
    make_package_host: Callable[[str], Host], packages: dict[str, Path]
) -> None:
    host = make_package_host("trixie")
    host.boot()
    apt(host, f"install /packages/{packages['trixie'].name}")
    host.run("lastcall install --take-over")
    host.run("printf '[Login]\\nInhibitDelayMaxSec=5\\n' > /etc/systemd/logind.conf.d/lab.conf")
    host.run("systemctl kill --signal HUP systemd-logind")
    # It would start them again, too: that they come back is to be our doing here.
    settings = 'auto_shutdown_try_save = "persistent"\nauto_shutdown_restore = 0\n'
    host.run("cat >> /etc/libvirt/qemu.conf; systemctl restart libvirtd", given=settings)
    host.guests(one="slow=1", two="slow=1")
    assert "auto_shutdown_try_save is persistent" in host.tries("lastcall check").stdout
    host.stop()
    assert not find(host.journal(), r"^(one|two): asked"), "they were saved before"
    (said, *_) = find(host.journal(), "libvirt stopped guests itself")
    assert "one (saved)" in said.message
    assert "two (saved)" in said.message
    host.boot()
    host.wait_until(lambda: host.running() == {"one", "two"}, "everybody is back")
    host.wait_until(lambda: last_report(host, "restore")["complete"], "the restore is over")
    assert {guest["outcome"] for guest in last_report(host, "restore")["guests"]} == {"resumed"}
    (problem,) = [one for one in last_report(host, "shutdown")["problems"] if one["what"] == "rival"]
    assert problem["message"].endswith("auto_shutdown_try_save is persistent in /etc/libvirt/qemu.conf")
    assert 'auto_shutdown_try_save = "none"' in problem["remedy"]


def test_an_installation_without_a_package_is_replaced_by_the_packages_and_stays_on_duty(
    make_package_host: Callable[[str], Host], packages: dict[str, Path]
) -> None:
    host = make_package_host("bookworm")
    host.boot()
    texts = Whereabouts(Path("/opt/lastcall/bin/lastcall"), Path("/var/lib/lastcall"), Path("/run/lastcall")).units()
    for name, text in texts.items():
        host.run(f"cat > /etc/systemd/system/{name}", given=text)
    host.run("mkdir -p /etc/lastcall /opt/lastcall/bin; touch /etc/lastcall/last-line")
    host.run("ln -s /bin/true /opt/lastcall/bin/lastcall")
    host.run("systemctl -q enable lastcall.service lastcall-restore.service; systemctl start lastcall.service")
    assert "put it on duty" not in apt(host, f"install /packages/{packages['bookworm'].name}"), "it is"
    assert "/opt/lastcall" in host.run("systemctl show -P ExecStop lastcall.service"), "until somebody says otherwise"
    host.guests(one="slow=1")
    host.run("lastcall install --take-over")
    assert (
        host.run("find /etc/systemd/system -type f -name 'lastcall*.service'; ls /etc/lastcall")
        == "config.yaml\nhooks.d\n"
    )
    assert unit_file(host, "lastcall.service") == "/usr/lib/systemd/system/lastcall.service"
    assert unit_file(host, "graceful-shutdown.service") == "/usr/lib/systemd/system/lastcall.service"
    assert host.run("find /etc/systemd/system -xtype l -lname '*lastcall*'") == "", "no link leads nowhere"
    assert "nothing wrong found" in host.run("lastcall check")
    host.stop()
    assert host.cut_off("one") == {}
    host.boot()
    host.wait_until(lambda: host.running() == {"one"}, "the guest is back")


@pytest.mark.soak
def test_an_upgrade_of_the_release_under_running_guests_leaves_it_on_duty(packages: dict[str, Path]) -> None:
    guests = {"one": "slow=1", "two": "slow=2"}
    options = "-o Dpkg::Options::=--force-confold"
    with upgradable_host(packages) as host:
        host.boot()
        apt(host, f"install /packages/{packages['bookworm'].name}")
        host.run("lastcall install --take-over")
        host.guests(**guests)
        said = apt(host, f"{options} full-upgrade")
        assert host.run("cat /etc/debian_version").startswith("13"), said
        assert host.run("python3 --version").startswith("Python 3.13")
        assert host.running() == set(guests)
        assert host.run("systemctl is-active lastcall.service").strip() == "active"
        # It was one of libvirt, too.
        host.look([*looks("an upgrade of the release"), *looks("an upgrade of libvirt")])
        host.stop()
        assert host.cut_off(*guests) == {}
        assert find(host.journal(), r"^shutdown is over .*: as planned")
        host.boot()
        host.wait_until(lambda: host.running() == set(guests), "everybody is back")
        host.look(looks("the boot after it"))
        for name in guests:
            host.wait_until_up(name)
        # The package for this release, in place of the one that came along.
        apt(host, f"install /packages/{packages['trixie'].name}")
        assert host.running() == set(guests)
        assert host.tries("ls /usr/lib/lastcall/pydantic").returncode != 0, "the distribution's own"
        assert "nothing wrong found" in host.run("lastcall check")
        host.stop()
        assert host.cut_off(*guests) == {}
        assert find(host.journal(), r"^shutdown is over .*: as planned")


def test_apt_is_told_for_which_pythons_a_package_was_built(packages: dict[str, Path]) -> None:
    """Each has its binary there; above the last one the package could not start."""
    listed = subprocess.run(["dpkg-deb", "-c", packages["bookworm"]], check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"_pydantic_core\.cpython-3(\d+)-", listed)) == {"11", "12", "13"}
    told = {
        release: subprocess.run(["dpkg-deb", "-f", path, "Depends"], check=True, capture_output=True, text=True).stdout
        for release, path in packages.items()
    }
    assert "python3 (>= 3.11~), python3 (<< 3.14~)" in told["bookworm"]
    assert "python3 (>= 3.13~)" in told["trixie"]
    listed = subprocess.run(["dpkg-deb", "-c", packages["trixie"]], check=True, capture_output=True, text=True).stdout
    assert not re.search(r"\.so$", listed, re.MULTILINE), "nothing of it belongs to one Python"


@pytest.mark.parametrize("release", RELEASES)
def test_lintian_finds_nothing_but_what_is_listed_with_its_reason(packages: dict[str, Path], release: str) -> None:
    words = ["lintian", "--allow-root", "--pedantic", "--display-info", "--fail-on=none", packages[release]]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == ""
