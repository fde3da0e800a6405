"""Texts of bounded length: what a guest, a plugin or a server says is quoted, and not passed on whole."""

MESSAGE_LIMIT = 2000  # characters; a plugin's message of 835 635 was seen, and stood in every file and on every screen
NAME_LIMIT = 255  # characters; the longest that a file can bear
_NOTE = 40  # characters that the note takes at most


def bounded(text: object, limit: int = MESSAGE_LIMIT) -> str:
    """The text with at most `limit` characters; where some are missing its end says how many.

    A plugin's message may be no text at all, whatever its type says: then it is shown as it shows itself.
    """
    told = text if isinstance(text, str) else shown(text)
    if len(told) <= limit:
        return told
    kept = limit - _NOTE
    return f"{told[:kept]}… cut, {len(told) - kept} more"


def shown(foreign: object) -> str:
    """What an object that we know nothing of says of itself; of one that cannot even do that, its type."""
    try:
        return "".join(repr(foreign))  # joined, as a subclass of str may have methods of its own
    except BaseException:  # noqa: BLE001  it is somebody else's code, which must not end ours by a SystemExit either
        return f"<{kind_name(foreign)}>"


def said(foreign: object) -> str:
    """What an object that we know nothing of says, in one line; nothing of one that cannot."""
    try:
        return " ".join(str(foreign).split())
    except BaseException:  # noqa: BLE001  as above
        return ""


def kind_name(foreign: object) -> str:
    """The name of its type; past a metaclass, which may answer in a way of its own."""
    return type.__dict__["__name__"].__get__(type(foreign))
