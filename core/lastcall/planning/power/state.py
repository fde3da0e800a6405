"""Whether the mains are there, by what was said of each supply: pure, and the last word counts."""

from collections.abc import Iterable, Mapping

from lastcall.api.power import PowerPolicy, PowerWord, Supply
from lastcall.persistence.power.board import SaidWord

HOST = ""  # the name under which somebody speaks of the host's power, and not of one supply


def word_of(said: Mapping[str, SaidWord], policy: PowerPolicy) -> tuple[PowerWord, float]:
    """What holds for the host, and since when (monotonic): a battery carries it as soon as fewer than
    `policy.supplies` are on line, and it is low as soon as all but so many batteries are.

    A word without a name is about all that were spoken of before; where nothing was said the mains are there.
    """
    words = _in_force(said)
    if not words:
        return PowerWord.LINE, 0.0
    # Of a supply that nobody has spoken of it is not known that there is one.
    needed = min(max(1, policy.supplies), len(words))
    on_line = sorted(one.since for one in words if one.word == PowerWord.LINE.value)
    if len(on_line) >= needed:
        return PowerWord.LINE, on_line[needed - 1]
    low = sum(one.word == PowerWord.LOW.value for one in words)
    carried = sorted(one.since for one in words if one.word != PowerWord.LINE.value)
    word = PowerWord.LOW if len(words) - low < needed else PowerWord.BATTERY
    return word, carried[len(words) - needed]


def with_answers(said: Mapping[str, SaidWord], supplies: Iterable[Supply]) -> Mapping[str, SaidWord]:
    """What was said, and those beside it of which nobody has spoken and that answer that they are on line.

    A daemon speaks of a supply only when something changes: of two, the one that goes on has said nothing.
    """
    if HOST in said:
        return said
    # What was said counts more than what is answered: who tries out an outage by a word wants to see one.
    silent = {one.name: SaidWord(PowerWord.LINE.value, 0.0)
              for one in supplies if one.word is PowerWord.LINE and one.name not in said}  # fmt: skip
    return {**silent, **said}


def charge_of_host(supplies: Iterable[Supply], policy: PowerPolicy) -> float | None:
    """The charge (per cent) of the UPS whose end leaves the host too few; None where too few say theirs."""
    charges = [one.charge for one in supplies if one.charge is not None and 0 <= one.charge <= 100]
    needed = max(1, policy.supplies)
    return sorted(charges, reverse=True)[needed - 1] if len(charges) >= needed else None


def _in_force(said: Mapping[str, SaidWord]) -> list[SaidWord]:
    """The words that count: what was said of the host is about each supply that nobody has spoken of since."""
    whole = said.get(HOST)
    named = [one for name, one in said.items() if name != HOST]
    if whole is None:
        return named
    newer = [one for one in named if one.since > whole.since]
    return newer or [whole]
