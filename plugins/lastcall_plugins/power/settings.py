"""The options of `power`: which UPSes carry this host, and what is to be done while they do."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from lastcall import PowerPolicy
from lastcall.options import Duration, Options

if TYPE_CHECKING:
    from lastcall_plugins.power.address import UpsAddress


def _one_or_many(given: object) -> object:
    return [given] if isinstance(given, str) else given


def _readable(text: str) -> str:
    from lastcall_plugins.power.address import parse_address  # here: hardly any host names a UPS

    parse_address(text)
    return text


class PowerSettings(Options):
    """The section `plugins.power`."""

    on_battery: Literal["shed", "nothing"] = Field(
        default="shed", description="While a battery carries the host: stop guests as their `shed` says, or nobody."
    )
    return_after: Duration = Field(
        default=60.0, description="How long the mains have to hold before those guests come back."
    )
    restore_charge: float = Field(
        default=0.0, ge=0, le=100, description="How many per cent a battery has to have before a boot restores guests."
    )
    ups: Annotated[tuple[Annotated[str, AfterValidator(_readable)], ...], BeforeValidator(_one_or_many)] = Field(
        default=("ups@localhost",),
        strict=False,
        max_length=32,
        description="The UPSes that carry this host, as NUT names them: name@host:port.",
    )
    supplies: int = Field(default=1, ge=1, description="How many of them the host needs, as MINSUPPLIES of NUT.")
    trust: float = Field(default=0.5, gt=0, le=1, description="Which part of the runtime they claim is counted on.")

    power_returns: Literal["stay", "reboot"] = Field(
        default="stay",
        description="Where the mains are back while the host powers off for want of them: stay off, or reboot.",
    )

    @field_validator("ups")
    @classmethod
    def _each_once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        twice = next((one for one in given if given.count(one) > 1), None)
        if twice:
            raise ValueError(f"{twice} stands there twice: one UPS would count as two")
        return given

    @field_validator("supplies")
    @classmethod
    def _as_many_as_there_are(cls, given: int, info: ValidationInfo) -> int:
        there = len(info.data.get("ups", ()))
        if "ups" in info.data and given > max(1, there):
            raise ValueError(f"{given} UPSes are needed, and `ups` names {there}: name all of them, or need fewer")
        return given

    @property
    def addresses(self) -> "tuple[UpsAddress, ...]":
        """The UPSes, read."""
        from lastcall_plugins.power.address import parse_address

        return tuple(map(parse_address, self.ups))

    @property
    def policy(self) -> PowerPolicy:
        """The same as the core has it."""
        return PowerPolicy(
            on_battery=self.on_battery,
            return_after=self.return_after,
            restore_charge=self.restore_charge,
            supplies=self.supplies,
            trust=self.trust,
            power_returns=self.power_returns,
        )
