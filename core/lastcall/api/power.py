"""What a power supply says, and what is to be done about it."""

from enum import StrEnum
from typing import Literal

from lastcall.formats.values import value


class PowerWord(StrEnum):
    """What is: the mains are there, a battery carries, or it is almost empty."""

    LINE = "line"
    BATTERY = "battery"
    LOW = "low"


@value(frozen=True, kw_only=True)
class Supply:
    """One UPS as it answers now. `word`: None where it does not say; `problem`: why not.

    `charge` in per cent; `runtime` in seconds, as the UPS claims: nobody has judged yet whether that can be.
    """

    name: str
    word: PowerWord | None = None
    charge: float | None = None
    runtime: float | None = None
    problem: str = ""


@value(frozen=True, kw_only=True)
class PowerPolicy:
    """What a site wants: `return_after` (seconds) the mains have to hold before anybody comes back; `restore_charge`
    (per cent) a battery has to have before guests are restored at a boot.

    `supplies`: how many UPSes the host needs to live. `trust`: which part of a claimed runtime is counted on.
    `power_returns`: what becomes of a power-off for want of power when the mains are back before its end.
    """

    on_battery: Literal["shed", "nothing"] = "shed"
    return_after: float = 60.0
    restore_charge: float = 0.0
    supplies: int = 1
    trust: float = 0.5
    power_returns: Literal["stay", "reboot"] = "stay"
