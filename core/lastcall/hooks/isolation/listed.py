"""The first parts of an answer that has to be a list, read inside the call's time box."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, TypeVar, cast

from lastcall.formats.bounded_text import bounded, shown

T = TypeVar("T")


def first_listed(answer: Any, kind: type[T], most: int, *, parts: str, each: str) -> list[T] | None:
    """The first parts, each of this very class; None where nothing was answered. Raises TypeError for what is no list
    of them, in the words for `parts` ("reasons") and for what `each` is ("a reason is a text").
    """
    if answer is None:
        return None
    # A text is a list of texts, too, of one letter each.
    if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        raise TypeError(f"returned {bounded(shown(answer))}, and not a list of {parts}")
    found = list(islice(cast("Iterable[Any]", answer), most))
    odd = [one for one in found if type(one) is not kind]
    if odd:
        raise TypeError(f"{each}, and not {bounded(shown(odd[0]))}")
    return found
