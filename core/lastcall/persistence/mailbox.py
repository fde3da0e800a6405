"""What another process wants of the run under way, and what that answers."""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

from lastcall.api.guests import Reason
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.files import SMALL, put_in_place, write_whole


@value
class Request:
    """The host stops, or (`announced`) what is known of when it will. `ends` is on the monotonic clock, which all
    share; None = nothing more is known of that. An empty `reason` leaves the run its own. `own`: when the host stop
    would have to be over without what was announced for it, should that be taken back.

    `mains`: they are `back`, and whatever was announced for want of them counts no more, or `gone` again, for how long
    nobody knows. With a reason, that they are back is for a run that has that alone, and calls it off.
    """

    reason: str
    ends: float | None = None
    announced: bool = False
    mains: Literal["", "back", "gone"] = ""
    own: float | None = None

    @property
    def is_about_power(self) -> bool:
        """Whether it says something of the mains, or of a battery that is low."""
        return bool(self.mains) or (self.announced and self.reason == Reason.POWER.value)


@value
class Answer:
    """What the run made of it, in words. `accepted`: it goes on as it was asked to; `run`: its id.

    `connections`: the URIs whose guests it sees off.
    """

    accepted: bool
    message: str
    run: str = ""
    connections: tuple[str, ...] = ()


class Mailbox:
    """`<paths.run>/join.json` and, for the answer, `answer.json` beside it. That the request is gone says that it was
    read.
    """

    def __init__(self, folder: Path) -> None:
        self._request, self._answer = folder / "join.json", folder / "answer.json"

    def post(self, request: Request) -> None:
        """Put a request there. Raises OSError."""
        self._answer.unlink(missing_ok=True)
        # A name of its own, then the place: the holder never reads half a request, nor one mixed of two.
        fresh = self._request.with_suffix(f".{os.getpid()}")
        put_in_place(self._request, fresh, json.dumps({**asdict(request), "by": os.getpid()}))

    @property
    def is_read(self) -> bool:
        """Whether the request was taken."""
        return not self._request.exists()

    def take_back(self) -> None:
        """Take the request away: left there, it would be read at the next signal by a run that nobody has asked."""
        with contextlib.suppress(OSError):  # what cannot be taken away is no request of ours
            self._request.unlink(missing_ok=True)

    def answer(self) -> Answer | None:
        """The answer to our request; None where there is none, as when it could not be written."""
        found = _read(self._answer)
        if found.get("to") != os.getpid():
            return None
        self._answer.unlink(missing_ok=True)
        try:
            return decoded(Answer, found)
        except ValueError:
            return None

    def request(self) -> tuple[Request, int] | None:
        """For the run: what is wanted, and by which process."""
        found = _read(self._request)
        try:
            request = decoded(Request, found)
            if request.reason:
                Reason(request.reason)
            return request, int(found["by"])
        except (KeyError, TypeError, ValueError):
            self.take_back()
            return None

    def reply(self, to: int, answer: Answer) -> None:
        """For the run: answer, and take the request."""
        with contextlib.suppress(OSError):  # to have been read is an answer, too
            write_whole(self._answer, json.dumps({**asdict(answer), "to": to}), sync=False)
        self.take_back()


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found: Any = from_json(read_text(path, SMALL))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
