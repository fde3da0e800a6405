"""The guest shell `door_sign`: commands in containers of libvirt's LXC driver."""

import subprocess
import time

from lastcall import (
    Command,
    CommandResult,
    CommandTimeout,
    Guest,
    GuestShell,
    Run,
    ShellSession,
    ShellUnreachable,
    hookimpl,
)


class Session(ShellSession):
    """Executes what lastcall hands to it: user, environment and bounds are in it already."""

    def __init__(self, guest: Guest) -> None:
        self.way_in = ["virsh", "-q", "-c", guest.uri, "lxc-enter-namespace", guest.uuid, "--"]

    def execute(self, command: Command) -> CommandResult:
        """Execute a command; the kind of error says whether it was started."""
        began = time.monotonic()
        try:
            done = subprocess.run(
                [*self.way_in, *command.argv],
                input=command.input,
                capture_output=True,
                timeout=command.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CommandTimeout(f"did not end within {command.timeout:.0f} s") from None
        except OSError as error:
            raise ShellUnreachable(str(error)) from None
        out, err = done.stdout[: command.output_limit], done.stderr[: command.output_limit]
        return CommandResult(
            exit_code=done.returncode,
            stdout=out.decode("utf-8", "replace"),
            stderr=err.decode("utf-8", "replace"),
            truncated=len(out) < len(done.stdout) or len(err) < len(done.stderr),
            duration=time.monotonic() - began,
            shell=Provider.name,
        )


class Provider(GuestShell):
    """Opens sessions."""

    name = "door_sign"

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """Say why it cannot reach a guest, without waiting."""
        return None if guest.driver == "LXC" else "it is no container"

    def connect(self, guest: Guest, run: Run) -> ShellSession:
        """Open a session, for one hook call."""
        return Session(guest)


@hookimpl
def guest_shells() -> list[Provider]:
    """Offer it."""
    return [Provider()]
