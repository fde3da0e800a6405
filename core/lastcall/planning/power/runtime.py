"""How long the host still lives on battery, by what its UPSes claim: a part of it, within bounds."""

import math
from collections.abc import Sequence
from typing import TypeGuard

from lastcall.api.power import PowerPolicy, Supply
from lastcall.formats.bounded_text import bounded
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.formats.visible_text import visible

UNKNOWN = 90.0  # seconds, where no UPS says anything that can be
LEAST, MOST = 15.0, 1800.0  # seconds that are counted on
MARGIN = 15.0  # seconds of the claim that the host has for going down, whatever part of it is trusted
# Some answer 15 years where they do not know. A power station carries a small host for hours; 65535 s, which are 18 h,
# is a register without a value.
BELIEVABLE = 12 * 3600.0  # seconds
_LONGEST = 500  # characters for the journal


@value
class BelievedRuntime:
    """`seconds` that are counted on; `words` say why; `answered`: whether it is by the word of enough UPSes."""

    seconds: float
    words: str
    answered: bool


def believed_runtime(supplies: Sequence[Supply], policy: PowerPolicy) -> BelievedRuntime:
    """The time until fewer than `policy.supplies` UPSes live, as far as their claims are trusted.

    Also of one that is on the mains: its claim is how long it lives, should they fail there, too.
    """
    claims = sorted(((one.runtime, one.name) for one in supplies if can_be(one.runtime)), reverse=True)
    needed = max(1, policy.supplies)
    doubts = "; ".join(sorted(_doubt(one) for one in supplies if not can_be(one.runtime)))
    # The host lives as long as the UPS does whose end leaves too few: the first to end would be too early with two
    # power supplies in a host, the last to end too late where both are needed.
    if len(claims) >= needed:
        claimed, name = claims[needed - 1]
        seconds, answered = counted_on(claimed, policy.trust), True
        until = f"until fewer than {needed} of {len(supplies)} UPSes live, " if len(supplies) > 1 else ""
        words = f"{until}{visible(name)} claims {format_duration(claimed)} of battery"
    else:
        # Who answers and has less than what is assumed of the silent ones is believed.
        seconds, answered = min([UNKNOWN, *(counted_on(claimed, policy.trust) for claimed, _ in claims)]), False
        words = "no UPS says how long its battery lasts"
        if claims:
            words = f"{len(claims)} of {len(supplies)} UPSes says how long its battery lasts"
    words = f"{words}: {format_duration(seconds)} are counted on{f' ({doubts})' if doubts else ''}"
    return BelievedRuntime(seconds, bounded(words, _LONGEST), answered)


def counted_on(claimed: float, trust: float) -> float:
    """What is counted on of so many seconds."""
    return max(LEAST, min(claimed * trust, claimed - MARGIN, MOST))


def can_be(claimed: float | None) -> TypeGuard[float]:
    """Whether a battery can last for so many seconds."""
    return claimed is not None and math.isfinite(claimed) and 0 < claimed <= BELIEVABLE


def _doubt(supply: Supply) -> str:
    if supply.runtime is None:
        return visible(f"{supply.name}: {supply.problem or 'does not say'}")
    return visible(f"{supply.name} claims {supply.runtime:g} s, which cannot be")
