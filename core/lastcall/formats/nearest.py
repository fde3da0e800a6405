"""The name that was probably meant, where one is not known."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one; "" where none is near."""
    import difflib  # here: it is needed where something is wrong, and no start has to load it

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'web-1'?` for the end of a message; "" where nothing is near."""
    close = nearest(name, known)
    return f"; did you mean {close!r}?" if close else ""
