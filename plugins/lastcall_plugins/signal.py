"""Stop method `signal`: what a container's init takes for a request to power off. Containers have no power button."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from lastcall import Guest, Run, StopMethod, StopRequest, hookimpl
from lastcall.options import BY_METADATA, StepOptions

# The other requests are no use: ACPI and agent are refused (error 8), and the plain one reports success and
# delivers nothing to an init without initctl.
POWER_OFF = 38  # SIGRTMIN+4 as libvirt numbers it; systemd powers off on it


class SignalOptions(StepOptions):
    """Options of `signal`; the number alone will do."""

    signal: int = Field(
        default=POWER_OFF,
        ge=1,
        le=64,
        description="libvirt's number of the signal for the container's init: 15 = TERM, 38 = RTMIN+4.",
        json_schema_extra=BY_METADATA,
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"signal": value} if isinstance(value, int) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form: the number alone."""
        return {"anyOf": [{"type": "integer", "description": "the number of a signal"}, handler(core_schema)]}


class Signal(StopMethod[SignalOptions]):
    """Sends a signal to the container's init."""

    name = "signal"

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """Only containers have an init that libvirt can reach."""
        return None if guest.driver == "LXC" else "signals are for containers"

    def request(self, call: StopRequest[SignalOptions]) -> None:
        """Send it."""
        call.run.domain(call.guest).send_signal(call.options.signal)


@hookimpl
def stop_methods() -> Iterable[StopMethod[Any]]:
    """Offer `signal`."""
    return [Signal()]
