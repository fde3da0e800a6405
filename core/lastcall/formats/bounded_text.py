"""Texts of bounded length: what a guest, a plugin or a server says is quoted, and not passed on whole."""

import reprlib
from collections.abc import Sequence

MESSAGE_LIMIT = 2000  # characters; a plugin's message of 835 635 was seen, and stood in every file and on every screen
TRACE_LIMIT = 20_000  # characters; its first lines say where, an exception's endless message comes last
NAME_LIMIT = 255  # characters; the longest that a file can bear
_NOTE = 40  # characters that the note takes at most
_SEVERAL = (list, dict, tuple, set, frozenset)


def bounded(text: object, limit: int = MESSAGE_LIMIT) -> str:
    """The text with at most `limit` characters; where some are missing its end says how many.

    A plugin's message may be no text at all, whatever its type says: then it is shown as it shows itself.
    """
    told = text if isinstance(text, str) else shown(text)
    if len(told) <= limit:
        return told
    kept = limit - _NOTE
    return f"{told[:kept]}… cut, {len(told) - kept} more"


def first_names(names: Sequence[str], most: int) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class _Shown(reprlib.Repr):
    """What `repr` says; of lists and their like the beginning, in breadth and depth.

    Python writes a list in one go: one that holds a list twice, which holds another twice, and so on, some forty times,
    stopped the interpreter with every thread in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = 8

    def repr1(self, x: object, level: int) -> str:
        """As for its kind, where it is of a class of its own."""
        for kind in (list, dict, tuple, set, frozenset):
            if isinstance(x, kind):
                return getattr(self, f"repr_{kind.__name__}")(x, level)
        return repr(x)


def shown(foreign: object) -> str:
    """What an object that we know nothing of says of itself; of one that cannot even do that, its type."""
    try:
        return "".join(_Shown().repr(foreign))  # joined, as a subclass of str may have methods of its own
    except BaseException:  # noqa: BLE001  it is somebody else's code, which must not end ours by a SystemExit either
        return f"<{kind_name(foreign)}>"


def said(foreign: object) -> str:
    """What an object that we know nothing of says, in one line; nothing of one that cannot."""
    try:
        return " ".join(_words(foreign).split())
    except BaseException:  # noqa: BLE001  as above
        return ""


def _words(foreign: object) -> str:
    """An error says what it was given, and that may be lists in lists, as above."""
    if isinstance(foreign, BaseException) and any(isinstance(given, _SEVERAL) for given in foreign.args):
        return shown(foreign.args[0] if len(foreign.args) == 1 else foreign.args)
    return str(foreign)


def kind_name(foreign: object) -> str:
    """The name of its type; past a metaclass, which may answer in a way of its own."""
    return type.__dict__["__name__"].__get__(type(foreign))
