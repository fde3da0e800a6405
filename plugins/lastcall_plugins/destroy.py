"""Stop method `destroy`: pull the plug, gracefully first so that QEMU writes its image metadata."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from lastcall import HypervisorError, Outcome, StopMethod, StopRequest, hookimpl
from lastcall.options import BY_METADATA, StepOptions

GRACEFUL_TIME = 60.0  # seconds; on a QEMU that hangs, a graceful try took 45 s to fail, and the hard one 12 s


class DestroyOptions(StepOptions):
    """Options of `destroy`."""

    graceful: bool = Field(
        default=True,
        description="Let QEMU flush its images first, and pull the plug hard when that fails; not as a last resort.",
        json_schema_extra=BY_METADATA,
    )


class Destroy(StopMethod[DestroyOptions]):
    """Forces the guest off."""

    name = "destroy"
    outcome = Outcome.FORCED

    def request(self, call: StopRequest[DestroyOptions]) -> None:
        """Pull the plug; hard at once as a last resort, or where no time is left for a failure."""
        domain = call.run.domain(call.guest)
        left = min(call.run.remaining(), call.options.timeout or GRACEFUL_TIME)
        gently = call.options.graceful and call.guest.driver == "QEMU" and not call.last_resort
        # A graceful try that fails late would leave the hard one no time, and the guest would be reported as running.
        if gently and left >= GRACEFUL_TIME:
            try:
                domain.destroy(graceful=True)
            except HypervisorError as error:
                call.run.log(f"{call.guest.name}: not gracefully: {error}")
            else:
                return
        domain.destroy()


@hookimpl
def stop_methods() -> Iterable[StopMethod[Any]]:
    """Offer `destroy`."""
    return [Destroy()]
