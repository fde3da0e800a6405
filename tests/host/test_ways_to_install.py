"""The ways to install without a package, as the docs tell them: an upgrade, and a way that is gone, cost no guest."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from host.conftest import EVERYWHERE
from host.test_poweroff import find
from lab.host import PROJECT, Host, install_commands, ship
from lab.wheels import OFFLINE, wheels
from lastcall.formats.version import __version__
from support import looks, shell_blocks

NEWER = f"{__version__}.post1"
WAYS = {"venv": "/opt/lastcall", "pipx": "/opt/pipx/venvs/lastcall", "uv": "/opt/uv/lastcall"}
"""Where each puts the program, if it is told as in the docs."""


def blocks(way: str) -> tuple[list[str], list[str], list[str]]:
    """The commands of docs/install.md for one way: (installs, upgrades, takes it away)."""
    if way == "venv":
        first = [command for part in install_commands() for command in part]
    else:
        (first,) = (
            block for block in shell_blocks("install.md") if re.search(rf"^{way} .*install \.$", "\n".join(block), re.M)
        )
    page = (PROJECT / "docs/install.md").read_text()
    (row,) = re.findall(rf"^\| {way} \| (.*) \|$", page, re.MULTILINE)
    upgrades, removes = ([part.strip("`") for part in cell.split("`, `")] for cell in row.split(" | "))
    return first, upgrades, removes


def in_source(host: Host, way: str, commands: list[str]) -> str:
    """As a person types them, one after the other, in the source; what apt has to bring is there."""
    exported = [one for one in blocks(way)[0] if one.startswith("export ")]
    wanted = [one for one in commands if not one.startswith(("apt-get ", "export "))]
    return host.run("\n".join(["set -e", "cd /usr/src/lastcall", f"export {OFFLINE}", *exported, *wanted]))


def bring(host: Host, tool: str) -> None:
    """Have a tool that makes environments; one alone, as pipx would else leave the work to uv."""
    host.run(f"export {OFFLINE}; python3 -m venv /opt/{tool}-itself && /opt/{tool}-itself/bin/pip -q install {tool} && "
             f"ln -sf /opt/{tool}-itself/bin/{tool} /usr/bin")  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The source of this version, and of the next one."""
    for name in ("this", "next"):
        ship(tmp_path / name)
    version = tmp_path / "next/core/lastcall/formats/version.py"
    version.write_text(version.read_text().replace(f'"{__version__}"', f'"{NEWER}"'))
    return tmp_path


@pytest.mark.parametrize("way", WAYS if EVERYWHERE else ["venv"])
def test_by_each_way_it_goes_on_duty_is_upgraded_under_guests_and_is_stood_in_for_when_it_is_gone(
    make_host: Callable[[], Host], source: Path, way: str
) -> None:
    host = make_host()
    host.shown.update({"/wheels": wheels(), "/sources": source})
    host.boot()
    installs, upgrades, removes = blocks(way)
    host.run("rm -r /opt/lastcall /usr/local/bin/lastcall; cp -r /sources/this /usr/src/lastcall")
    if way != "venv":
        bring(host, way)

    # As the docs tell it, it is on duty, from where it stays.
    said = in_source(host, way, installs)
    assert "is on duty" in said
    assert said.endswith("nothing wrong found\n")
    host.look(looks("an installation"))
    program = f"{WAYS[way]}/bin/lastcall"
    assert f"path={program} " in host.run("systemctl show -P ExecStop lastcall.service")
    assert host.run("readlink -f $(command -v lastcall)").strip() == program

    # An upgrade, by the docs, under a guest.
    host.guests(one="slow=1")
    host.run("rm -r /usr/src/lastcall && cp -r /sources/next /usr/src/lastcall")
    in_source(host, way, upgrades)
    assert host.run("lastcall --version").strip() == f"lastcall {NEWER}"
    assert host.running() == {"one"}
    assert f"path={program} " in host.run("systemctl show -P ExecStop lastcall.service")
    host.look(looks("an upgrade of lastcall"))
    host.stop()
    assert host.cut_off("one") == {}
    assert find(host.journal(), r"^shutdown is over .*: as planned")
    host.boot()
    host.wait_until(lambda: host.running() == {"one"}, "the guest is back")
    host.wait_until_up("one")

    # It is gone, and its units are not: the next host stop still asks the guest.
    in_source(host, way, removes)
    assert host.tries("lastcall --version").returncode != 0
    assert host.run("systemctl is-active lastcall.service").strip() == "active"
    host.stop()
    assert host.cut_off("one") == {}
    assert find(host.journal(), r"^lastcall could not run: virsh asks 1 guests")
    host.boot()
    assert "lastcall-stamp.service" in host.run("systemctl --failed")
    assert "lastcall: it failed at boot" in host.run("cat /etc/motd.d/lastcall*", check=False)
    assert host.running() == set()

    # Installed again where it was, it has everybody back.
    in_source(host, way, installs)
    host.wait_until(lambda: host.running() == {"one"}, "the guest is back")
    assert "nothing wrong found" in host.run("lastcall check")


def test_what_is_unpacked_for_one_call_is_not_put_on_duty(make_host: Callable[[], Host], source: Path) -> None:
    host = make_host()
    host.shown.update({"/wheels": wheels(), "/sources": source})
    host.boot()
    for tool, command in (("pipx", "pipx run --spec /sources/this"), ("uv", "uv tool run --from /sources/this")):
        bring(host, tool)
        refused = host.tries(f"export {OFFLINE}; {command} lastcall install")
        assert refused.returncode == 1, refused.stderr
        assert "does not stay" in refused.stderr
        assert host.tries("systemctl cat lastcall.service").returncode != 0
    assert host.tries("ls /etc/lastcall").returncode != 0


def test_each_way_names_what_apt_has_to_bring_for_it() -> None:
    """What the README's way needs, but for what makes the environment."""
    told = {way: set(blocks(way)[0][0].removeprefix("apt-get install ").split()) for way in WAYS}
    assert told["pipx"] == told["venv"] - {"python3-venv"} | {"pipx"}
    assert told["uv"] == told["venv"] - {"python3-venv"}
    assert shutil.which("apt-get")
