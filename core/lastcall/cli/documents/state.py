"""What `forget` and `announce` print: what lastcall has in mind."""

from lastcall.formats.values import value
from lastcall.persistence.announcement import Announcement
from lastcall.persistence.state import Entry


@value(kw_only=True)
class ForgetDocument:
    """Who was taken off the list of guests to restore."""

    version: int = 1
    forgotten: tuple[Entry, ...]


@value(kw_only=True)
class AnnounceDocument:
    """What is announced from now on, if anything. `taken_back`: whether there was an announcement to be taken back.

    `answer`: what the run under way makes of it, null where none is.
    """

    version: int = 1
    announced: Announcement | None
    taken_back: bool
    answer: str | None
