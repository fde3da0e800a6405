"""One hostile guest costs the others nothing: their stop takes as long as beside a decent one."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from lab.booted import booted
from lab.daemon import Daemon
from lab.guests import LinuxGuest, linux_guests, opened, remove
from lab.hostile_agent import hostile_agent
from lab.saved import wake_up
from lab.sshd import SshServer, ssh_server
from lastcall import Guest
from lastcall.config.metadata import NAMESPACE
from support import by_name_in, report_of, run_lastcall, write_config

WELL = {"well-1": "slow=8", "well-2": "slow=8"}
UUID = "66666666-7777-8888-9999-aaaaaaaaaaaa"
NAME = "tenant\u202e\x9b2J\u2028✓ well-1 stopped" + "x" * 150
CHANNEL = re.compile(r"<channel type='unix'>.*</channel>")
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]" for before, after in zip("abcdefg", "bcdefgh", strict=True)
)
METADATA = {
    "depends_on": "{nam: x}",
    "timeout": "9" * 6000,
    "stop": "[" * 3000,
    "databases": BOMB,
    "commands": "*" * 100_000,
    "order": "\u202e-1",
}
KINDS = ("metadata", "name", "lying agent", "mute agent", "ssh server", "database")
EACH_AND_ALL = [*((kind,) for kind in KINDS), tuple(kind for kind in KINDS if kind != "mute agent")]
FLOOD = "exec cat /dev/zero"
# As if it were the guest's look for databases, and then their clients: what a client would take for a command of its
# own, or a terminal for one of the terminal's.
CLIENT = r"while :; do echo process=0 postgres postgres; echo socket=0 /run/x; printf '\033[2J\\gset `id`\n'; done"
RULE = """
defaults: {{timeout: 25s, hooks: {{timeout: 8s}}}}
guests:
  - match: {{uuid: {uuid}}}
    shell: [agent, ssh]
    ssh: {{address: 127.0.0.1, port: {port}, key: {key}}}
    commands: [{{run: uptime, timeout: 4s}}]
    databases: [{{postgresql: {{}}}}, {{redis: {{}}}}]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd") / "one") as started:
        yield started


def stop_beside(lab: Daemon, folder: Path, server: SshServer, *kinds: str) -> Any:
    """Stop the well ones and one more, which is hostile in these ways; returns what came of it (the program's end)."""
    config = write_config(folder, lab.qemu, more=RULE.format(uuid=UUID, port=server.port, key=server.key))
    keys = folder / "state" / "plugins" / "ssh"
    keys.mkdir(parents=True)
    enrolled = Guest(uri=lab.qemu, uuid=UUID, name="tenant").file_name
    (keys / f"{enrolled}.pub").write_text(server.host_key)
    public = Path(f"{server.key}.pub").read_text()
    # In a guest without hostility nobody lets us in either: what its own commands take must not be compared.
    forced = FLOOD if "ssh server" in kinds else CLIENT if "database" in kinds else "exit 1"
    (server.key.parent / "home" / ".ssh" / "authorized_keys").write_text(f'command="{forced}" {public}')
    name = NAME if "name" in kinds else "tenant"
    guest = LinuxGuest(lab, name, "slow=1")
    guest.xml = guest.xml.replace(f"<name>{name}</name>", f"<name>{escape(name)}</name><uuid>{UUID}</uuid>")
    with opened(lab.qemu) as connection, ExitStack() as world:
        world.enter_context(linux_guests(lab, **WELL))
        world.callback(remove, connection, [name])
        for kind in {"lying agent", "mute agent"}.intersection(kinds):
            channel = world.enter_context(hostile_agent(folder / "agent", mute=kind == "mute agent"))
            guest.xml = CHANNEL.sub(channel, guest.xml)
        wake_up(connection, guest.xml, booted(), folder / "saved")
        if "metadata" in kinds:
            told = "".join(f"<{key}>{escape(text)}</{key}>" for key, text in METADATA.items())
            connection.lookupByName(name).setMetadata(2, f"<guest>{told}</guest>", "lastcall", NAMESPACE, 3)
        guest.wait_until_up()
        return run_lastcall(config, "shutdown", "--json", "--reason", "power", "--deadline", "100s")


def off_at(report: Any, name: str) -> float:
    """Seconds from the run's start."""
    guest = by_name_in(report, name)
    assert (guest["outcome"], guest["ended"]) == ("stopped", "shutdown")
    return guest["started"] + guest["duration"]


@pytest.fixture(scope="module")
def calm(lab: Daemon, tmp_path_factory: pytest.TempPathFactory, server: SshServer) -> float:
    """Seconds until the last of the well ones is off beside a decent guest."""
    report = report_of(stop_beside(lab, tmp_path_factory.mktemp("calm"), server))
    return max(off_at(report, name) for name in WELL)


@pytest.mark.parametrize("kinds", EACH_AND_ALL, ids="+".join)
def test_beside_a_hostile_guest_the_others_are_off_as_fast_as_without_it(
    lab: Daemon, tmp_path: Path, server: SshServer, calm: float, kinds: tuple[str, ...]
) -> None:
    done = stop_beside(lab, tmp_path, server, *kinds)
    report = report_of(done)
    took = max(off_at(report, name) for name in WELL)
    print(f"{'+'.join(kinds)}: {took:.2f} s, {calm:.2f} s without")
    # With nothing else to do it is the same within a tenth. What a guest could have others wait for, a hook or a
    # request that hangs, is eight seconds and more.
    assert took < 1.4 * calm + 1.5
    (hostile,) = [guest for guest in report["guests"] if guest["uuid"] == UUID]
    assert hostile["outcome"] in {"stopped", "forced"}
    assert done.returncode in {0, 1}
    assert "Traceback" not in done.stderr
    assert "SystemError" not in done.stdout
    assert not re.search("[\x1b\x80-\x9f\u2028\u202e]", done.stderr)
    told = json.loads(run_lastcall(tmp_path / "config.yaml", "report", "--json").stdout)
    assert told["runs"][0]["guests"] == report["guests"]
