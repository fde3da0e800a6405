"""Good inputs: the examples of the docs, what a run has left, and what others write."""

import struct
from pathlib import Path

import paramiko  # noqa: TID253  a start of the program does not pay for it

from fuzz.configurations import GUEST
from lastcall.config.metadata import NAMESPACE
from lastcall.installation.sample import SAMPLE
from support import yaml_blocks

_WITH_EXAMPLES = ("configuration.md", "databases.md", "guest-commands.md", "ordering.md", "ssh.md", "agent.md")
PAGES = [SAMPLE, *(block for page in _WITH_EXAMPLES for block in yaml_blocks(page))]
_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]" for before, after in zip("abcdefg", "bcdefgh", strict=True)
)
YAML_PIECES = (
    *"[]{}:,#&*!|>'\"%@`-?", "- ", ": ", "? ", "<<: ", "---\n", "...\n", "&a ", "*a ", "&a [*a]", "{a: ", "!!str ",
    "!!binary ", "!!python/object:os.system ", "true", "null", "~", "0x1f", "1:30", "5min", ".inf", "0755", "''", "{}",
    "[]", "leave", "*", "match: ", "stop: ", "depends_on: ", "by_reason: ", "plugins: ", "databases: ", "ready: ",
    "hooks: ", "guests: ", "\n  ", "\n", '"\\ud800"', '"\\0"', _BOMB,
)  # fmt: skip
METADATA = [
    "depends_on\n[storage, {name: db}]",
    "depends_on\n{nam: x}",
    "timeout\n5min",
    "stop\n[agent, {acpi: {timeout: 90s}}]",
    "last_resort\nleave",
    "order\n7",
    "manage\nfalse",
    "ready\n{agent: true, tcp: 22, delay: 5s}",
    "ssh\n{port: 22, user: root}",
    "databases\n[postgresql, {redis: {port: 6379}}]",
    "restore\nalways",
    "shell\n[agent, ssh]",
    "tags\n[a, b]",
    "comand\nx",
]
DOMAIN_XML = [f"""<domain type='kvm' id='7'>
  <name>db</name><uuid>{GUEST.uuid}</uuid>
  <metadata><lastcall:guest xmlns:lastcall="{NAMESPACE}">
    <lastcall:depends_on>[storage]</lastcall:depends_on><lastcall:timeout>5min</lastcall:timeout>
  </lastcall:guest></metadata>
  <memory unit='KiB'>4194304</memory><on_poweroff>restart</on_poweroff>
  <devices><vsock model='virtio'><cid auto='no' address='3'/></vsock><hostdev mode='subsystem' type='pci'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel></devices>
</domain>
"""]  # fmt: skip
LIBVIRT_GUESTS = [
    """\
# libvirt-guests
URIS='qemu:///system lxc:///system'
ON_BOOT=ignore
ON_SHUTDOWN=shutdown # asks
PARALLEL_SHUTDOWN=4
SHUTDOWN_TIMEOUT=60
START_DELAY=3
BYPASS_CACHE=0
SYNC_TIME=1
PERSISTENT_ONLY=default
""",
    'URIS="qemu:///system\n lxc:///system"\nexport SHUTDOWN_TIMEOUT=60\nON_SHUTDOWN=shut\\\ndown\n',
    "URIS=\nON_BOOT='it'\"s\"\nSHUTDOWN_TIMEOUT=-5\nURIS=$(cat /etc/uris)\nif true; then\n",
]
SCRIPT = (
    '#!/bin/sh\nURIS="default"\nON_BOOT="ignore"\nON_SHUTDOWN="shutdown"\nSHUTDOWN_TIMEOUT=300\nPARALLEL_SHUTDOWN=0\n'
)


def _greeting() -> str:
    """What an SSH server says first: its name, and the ways in which it can agree on keys."""
    names = ("curve25519-sha256", "ssh-ed25519", *["aes128-ctr"] * 2, *["hmac-sha2-256"] * 2, *["none"] * 2, "", "")
    message = paramiko.Message()
    message.add_byte(b"\x14")
    message.add_bytes(b"\0" * 16)
    for name in names:
        message.add_string(name)
    message.add_boolean(False)
    message.add_int(0)
    payload = message.asbytes()
    padding = 8 - (len(payload) + 5) % 8 + 8
    packet = struct.pack(">IB", len(payload) + padding + 1, padding) + payload + b"\0" * padding
    return "SSH-2.0-OpenSSH_9.2p1\r\n" + packet.decode("ascii", "replace")


LOG = [path.read_text() for path in sorted((Path(__file__).parent / "good").glob("*.jsonl"))]
GREETING = _greeting()
