"""What `status`, `forget` and `announce` print: what lastcall has in mind."""

from collections.abc import Mapping

from lastcall.formats.values import value
from lastcall.persistence.announcement import Announcement
from lastcall.persistence.state import Entry
from lastcall.report.unseen import BadRun, SeenBy


@value(kw_only=True)
class WaitingGuest(Entry):
    """A guest that waits. `back`: false where libvirt says that it is off, null where it is silent."""

    back: bool | None


@value(kw_only=True)
class StatusDocument:
    """Whether lastcall is on duty, what was announced, and who waits. `silent`: the URIs without an answer, and why.

    `unseen`: runs with guests that were forced, left or failed, since somebody said that all was
    `seen`: the newest ten, newest first.
    """

    version: int = 1
    on_duty: bool
    announced: Announcement | None
    guests: tuple[WaitingGuest, ...]
    silent: Mapping[str, str]
    unseen: tuple[BadRun, ...]
    seen: SeenBy | None


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
