"""Stop method `acpi`: the power button, as `virsh shutdown --mode acpi` presses it."""

from collections.abc import Iterable
from typing import Any

from lastcall import Guest, GuestState, Run, StopMethod, StopRequest, hookimpl
from lastcall.options import RepeatableOptions


class Acpi(StopMethod[RepeatableOptions]):
    """Presses the button; again every `resend` seconds, as some guests (Windows, for one) overhear the first time."""

    name = "acpi"

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """libvirt refuses ACPI for a guest whose processors stand still."""
        # Error 55, at once. QEMU would keep the press and deliver it at the
        # resume, but libvirt does not let it through.
        if guest.state is GuestState.PAUSED:
            return "a paused guest cannot hear it"
        # LXC answers with error 8.
        if guest.driver == "LXC":
            return "a container has no power button"
        return None

    def request(self, call: StopRequest[RepeatableOptions]) -> None:
        """Press the button; where the driver knows no buttons, ask as it would by itself."""
        domain = call.run.domain(call.guest)
        domain.shutdown("acpi" if call.guest.driver == "QEMU" else "default")


@hookimpl
def stop_methods() -> Iterable[StopMethod[Any]]:
    """Offer `acpi`."""
    return [Acpi()]
