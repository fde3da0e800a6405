"""What answers of `power_policy` and `power_supplies` say, read inside the call's time box: plain, and in bounds."""

from typing import Any

from lastcall.api.power import PowerPolicy, PowerWord, Supply
from lastcall.formats.bounded_text import NAME_LIMIT, bounded, shown
from lastcall.hooks.isolation.listed import first_listed

MOST_UPSES = 32  # of one plugin
LONGEST = 200  # characters of a problem
_LARGEST = 1e300  # a whole number may have more digits than a float can take


def plain_policy(answer: Any) -> PowerPolicy | None:
    """The policy; raises TypeError for what is none, and ValueError for a number that cannot be."""
    if answer is None:
        return None
    if type(answer) is not PowerPolicy:
        raise TypeError(f"returned {bounded(shown(answer))}, and not a PowerPolicy")
    if answer.on_battery not in {"shed", "nothing"}:
        raise ValueError(f"on_battery is {bounded(shown(answer.on_battery))}, and not shed or nothing")
    if answer.power_returns not in {"stay", "reboot"}:
        raise ValueError(f"power_returns is {bounded(shown(answer.power_returns))}, and not stay or reboot")
    if type(answer.supplies) is not int or answer.supplies < 1:
        raise ValueError(f"supplies is {bounded(shown(answer.supplies))}, and not a number of UPSes from 1 on")
    return PowerPolicy(
        on_battery=answer.on_battery,
        return_after=_between(answer, "return_after", _LARGEST),
        restore_charge=_between(answer, "restore_charge", 100),
        supplies=answer.supplies,
        trust=_between(answer, "trust", 1),
        power_returns=answer.power_returns,
    )


def first_supplies(answer: Any) -> tuple[Supply, ...] | None:
    """The first supplies, in bounds; None where there is none. Raises TypeError for what is no list of them."""
    supplies = first_listed(answer, Supply, MOST_UPSES, parts="supplies", each="a supply is a Supply")
    return tuple(map(_plain, supplies or ())) or None


def _plain(one: Supply) -> Supply:
    return Supply(
        name=bounded(_text(one.name), NAME_LIMIT),
        word=None if one.word is None else PowerWord(one.word),
        charge=_number(one.charge),
        runtime=_number(one.runtime),
        problem=bounded(_text(one.problem), LONGEST),
    )


def _text(given: Any) -> str:
    # A class of text may have methods of its own, which would run in the loop later on.
    return str.__str__(given) if isinstance(given, str) else shown(given)


def _number(given: Any) -> float | None:
    """A number as it is claimed; what is no number is not said."""
    return float(given) if type(given) in {int, float} and -_LARGEST < given < _LARGEST else None


def _between(policy: PowerPolicy, name: str, most: float) -> float:
    given: Any = getattr(policy, name)
    if type(given) not in {int, float} or not 0 <= given <= most:
        raise ValueError(f"{name} is {bounded(shown(given))}, and not a number from 0 to {most:g}")
    return float(given)
