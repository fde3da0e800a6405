"""What an answer of `guest_busy` says, read inside the call's time box."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, cast

from lastcall.formats.bounded_text import bounded, shown

MOST = 10  # reasons of one plugin for one guest
LONGEST = 200  # characters of one


def first_reasons(answer: Any) -> tuple[str, ...] | None:
    """The first reasons, each bounded; None where there is none. Raises TypeError for what is no list of texts."""
    if answer is None:
        return None
    # A text is a list of texts, too, of one letter each.
    if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        raise TypeError(f"returned {bounded(shown(answer))}, and not a list of reasons")
    reasons = list(islice(cast("Iterable[Any]", answer), MOST))
    odd = [one for one in reasons if type(one) is not str]
    if odd:
        raise TypeError(f"a reason is a text, and not {bounded(shown(odd[0]))}")
    return tuple(bounded(one, LONGEST) for one in reasons if one) or None
