"""What `forget`, `announce` and `power` print: what lastcall has in mind."""

from lastcall.api.power import PowerWord
from lastcall.formats.values import value
from lastcall.persistence.announcement import Announcement
from lastcall.persistence.waiting.entry import Entry


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


@value(kw_only=True)
class PowerDocument:
    """What was said of a UPS (`supply`, "" where none was named), and whether that is news.

    `host`: what holds for the host by all that was said and all that UPSes answer. `announced`: what the next host stop
    is told since; `believed`: why so, null where nobody was asked. `taken_back`: whether an earlier announcement was.
    `answer`: what the run under way makes of it, null where none is. `watched`: whether somebody was started who sees
    the outage through. `problems`: what could not be done.
    """

    version: int = 1
    word: PowerWord
    supply: str
    news: bool
    host: PowerWord
    announced: Announcement | None = None
    believed: str | None = None
    taken_back: bool = False
    answer: str | None = None
    watched: bool = False
    problems: tuple[str, ...] = ()
