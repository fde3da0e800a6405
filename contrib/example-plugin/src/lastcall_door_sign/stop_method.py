"""The stop method `door_sign`: asks a guest from inside, by a command."""

from lastcall import Guest, Outcome, Run, ShellLost, StopMethod, StopRequest, hookimpl
from lastcall.options import COMMAND, StepOptions
from pydantic import Field


class MethodOptions(StepOptions):
    """What stands behind `door_sign` in a ladder; the `timeout` is there already."""

    command: str = Field(
        default="poweroff",
        description="What the guest is stopped with.",
        json_schema_extra=COMMAND,
    )


class Method(StopMethod[MethodOptions]):
    """Asks, and returns: the ladder alone waits until libvirt says that the guest is off."""

    name = "door_sign"
    outcome = Outcome.STOPPED

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """Say why it is no use for a guest, without waiting; the next rung is tried then."""
        return None if run.settings(guest).shell else "no shell is configured for it"

    def request(self, call: StopRequest[MethodOptions]) -> None:
        """Give the command; what is raised ends the rung."""
        shell = call.run.shell(call.guest)
        try:
            shell.run(call.options.command, timeout=call.run.remaining()).check()
        except ShellLost:
            call.run.log(f"{call.guest.name} went down before it could answer")


@hookimpl
def stop_methods() -> list[Method]:
    """Offer it."""
    return [Method()]
