"""Plays that Ansible's controller on this machine has on the lab's hosts, by its ssh connection without an ssh."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.host import PROJECT, Host
from lab.patience import LONGEST

ROLES = PROJECT / "contrib/ansible"
# What an sshd would do with a client's command, which is the last word.
_SSH = """\
#!/bin/sh
for command; do :; done
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \\
    nsenter --target {leader} --all sh -c "$command"
"""


@dataclass(frozen=True, slots=True)
class Played:
    """How a play went: what was said, and the tasks that have changed something."""

    failed: bool
    text: str
    changed: tuple[str, ...]


def play_role(host: Host, folder: Path, variables: Mapping[str, object], *, check: bool = False) -> Played:
    """Play the role on a host that runs; `check`: in check mode. `folder` is the controller's, for its own files."""
    ssh, play, given = folder / "ssh", folder / "play.json", folder / "variables.json"
    ssh.write_text(_SSH.format(leader=host.leader()))
    ssh.chmod(0o755)
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": ["lastcall"]}]))
    given.write_text(json.dumps(variables))
    inventory = folder / "inventory"
    inventory.write_text(f"lab ansible_ssh_executable={ssh} ansible_python_interpreter=/usr/bin/python3\n")
    (folder / "ansible.cfg").touch()  # nobody's settings
    settings = {
        "HOME": folder / "ansible", "ROLES_PATH": ROLES, "CONFIG": folder / "ansible.cfg", "NOCOLOR": 1,
        "PIPELINING": 1, "SSH_TRANSFER_METHOD": "piped",
    }  # fmt: skip
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8",
        **{f"ANSIBLE_{name}": str(value) for name, value in settings.items()},
    }  # fmt: skip
    program = Path(sys.executable).with_name("ansible-playbook")
    words = [program, "--inventory", inventory, "--extra-vars", f"@{given}", *(["--check"] if check else []), play]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=LONGEST, check=False, env=environment, cwd=folder
    )
    return Played(done.returncode != 0, done.stdout + done.stderr, tuple(_changed(done.stdout)))


def _changed(text: str) -> list[str]:
    tasks = re.split(r"^TASK \[lastcall : (.*)\] \**$", text.partition("\nPLAY RECAP")[0], flags=re.MULTILINE)
    return [name for name, said in zip(tasks[1::2], tasks[2::2], strict=True) if "changed: [lab]" in said]
