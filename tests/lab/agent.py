"""A door into guests for tests: their agent, with the root rights that it has."""

import base64
import json
from collections.abc import Callable
from typing import Any

import libvirt
import libvirt_qemu

from lab.daemon import Daemon
from lab.guests import opened
from lab.patience import LONGEST, wait_until


class AgentDoor:
    """Runs things in one guest by its agent."""

    def __init__(self, lab: Daemon, name: str) -> None:
        self.lab, self.name = lab, name

    def wait(self) -> "AgentDoor":
        """Wait until it answers."""
        self.wait_until(self._answers, "the agent answers")
        return self

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that the guest does."""
        wait_until(condition, f"{self.name}: {what}", process=self.lab.qemu_of(self.name), output=self.console)

    def console(self) -> str:
        """What the guest said on its console since it was started."""
        return self.lab.console(self.name)

    def _answers(self) -> bool:
        try:
            self.agent("guest-ping", within=60)
        except libvirt.libvirtError:
            return False
        return True

    def agent(self, command: str, *, within: float = LONGEST, **arguments: Any) -> Any:
        """Ask the agent."""
        with opened(self.lab.qemu) as connection:
            request = json.dumps({"execute": command, **({"arguments": arguments} if arguments else {})})
            answer = libvirt_qemu.qemuAgentCommand(connection.lookupByName(self.name), request, int(within), 0)
            return json.loads(answer)["return"]

    def sh(self, script: str) -> str:
        """Run a script in the guest and return what it prints; raises RuntimeError where it fails."""
        words = ["-c", f"exec 2>&1; {script}"]
        pid = self.agent("guest-exec", path="/bin/sh", arg=words, **{"capture-output": True})["pid"]
        status: dict[str, Any] = {}

        def ended() -> bool:
            status.update(self.agent("guest-exec-status", pid=pid))
            return status["exited"]

        self.wait_until(ended, f"{script!r} ends")
        said = base64.b64decode(status.get("out-data", "")).decode()
        if status.get("exitcode", 1):
            raise RuntimeError(f"{self.name}: {script!r}: exit code {status.get('exitcode')}: {said}")
        return said
