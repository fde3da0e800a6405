"""A door into guests for tests: their agent, with the root rights that it has."""

import base64
import json
import time
from typing import Any

import libvirt
import libvirt_qemu

from lab.daemon import Daemon
from lab.guests import opened


class AgentDoor:
    """Runs things in one guest by its agent."""

    def __init__(self, lab: Daemon, name: str) -> None:
        self.lab, self.name = lab, name

    def wait(self, seconds: float = 60) -> "AgentDoor":
        """Wait until it answers."""
        until = time.monotonic() + seconds
        while True:
            try:
                self.agent("guest-ping")
            except libvirt.libvirtError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            else:
                return self

    def agent(self, command: str, **arguments: Any) -> Any:
        """Ask the agent."""
        with opened(self.lab.qemu) as connection:
            request = json.dumps({"execute": command, **({"arguments": arguments} if arguments else {})})
            answer = libvirt_qemu.qemuAgentCommand(connection.lookupByName(self.name), request, 60, 0)
            return json.loads(answer)["return"]

    def sh(self, script: str, *, timeout: float = 120) -> str:
        """Run a script in the guest and return what it prints; raises RuntimeError where it fails."""
        words = ["-c", f"exec 2>&1; {script}"]
        pid = self.agent("guest-exec", path="/bin/sh", arg=words, **{"capture-output": True})["pid"]
        until, pause = time.monotonic() + timeout, 0.05
        while True:
            status = self.agent("guest-exec-status", pid=pid)
            if status["exited"]:
                break
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name}: {script!r} does not end")
            time.sleep(pause)
            pause = min(pause * 2, 0.5)
        said = base64.b64decode(status.get("out-data", "")).decode()
        if status.get("exitcode", 1):
            raise RuntimeError(f"{self.name}: {script!r}: exit code {status.get('exitcode')}: {said}")
        return said
