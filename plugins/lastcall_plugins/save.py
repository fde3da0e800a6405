"""Stop method `save`: the guest's memory goes to disk (managed save), and comes back with the restore."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from lastcall import Guest, Outcome, Run, StopMethod, StopRequest, hookimpl
from lastcall.options import BY_METADATA, StepOptions


class SaveOptions(StepOptions):
    """Options of `save`."""

    bypass_cache: bool = Field(
        default=False,
        description="Write around the host's page cache, to keep what is in it.",
        json_schema_extra=BY_METADATA,
    )


class Save(StopMethod[SaveOptions]):
    """Saves the guest; a save whose time is over is aborted, and the guest goes on."""

    name = "save"
    outcome = Outcome.SAVED

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """libvirt keeps images for persistent guests only, and some devices cannot be saved: a try may hang QEMU."""
        if not guest.persistent:
            return "a transient guest cannot be saved"
        # With a PCI host device QEMU may hang in the save at 100 % for ever: better the next rung at once.
        return run.domain(guest).unsaveable() or None

    def request(self, call: StopRequest[SaveOptions]) -> None:
        """Save; returns when libvirt has."""
        call.run.domain(call.guest).save(bypass_cache=call.options.bypass_cache)

    def withdraw(self, call: StopRequest[SaveOptions]) -> None:
        """Abort the save: while it lasts the guest hears nothing else."""
        # An ACPI request beside a save fails after 30 s (error 68); after the abort
        # the guest goes on, and no image is left.
        call.run.domain(call.guest).abort_job()


@hookimpl
def stop_methods() -> Iterable[StopMethod[Any]]:
    """Offer `save`."""
    return [Save()]
