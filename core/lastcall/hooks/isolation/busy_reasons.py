"""What an answer of `guest_busy` says, read inside the call's time box."""

from typing import Any

from lastcall.formats.bounded_text import bounded
from lastcall.hooks.isolation.listed import first_listed

MOST = 10  # reasons of one plugin for one guest
LONGEST = 200  # characters of one


def first_reasons(answer: Any) -> tuple[str, ...] | None:
    """The first reasons, each bounded; None where there is none. Raises TypeError for what is no list of texts."""
    reasons = first_listed(answer, str, MOST, parts="reasons", each="a reason is a text")
    return tuple(bounded(one, LONGEST) for one in reasons or () if one) or None
