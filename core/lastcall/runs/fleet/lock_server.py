"""A server of the FleetLock protocol: two questions by POST, which say who asks, and answers of bounded size and time.

By Python's own `http.client`, which follows no redirect and asks no proxy: a lock is held by the server that is named,
and by nobody to whom that leads.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from lastcall.errors import ExitCode, LastcallError, in_words
from lastcall.formats.bounded_text import bounded
from lastcall.formats.decoding import from_json
from lastcall.formats.values import value
from lastcall.formats.version import __version__
from lastcall.formats.visible_text import visible
from lastcall.threads.box import Box

if TYPE_CHECKING:
    import http.client

T = TypeVar("T")
TAKE, GIVE_BACK = "v1/pre-reboot", "v1/steady-state"
LARGEST = 1 << 16  # bytes of an answer; an error has a hundred
_TOLD = 300  # characters of what a server says
_DONE = 200
_REFUSALS = range(400, 500)


class LockRefused(LastcallError):
    """The server has said no: others have the lock."""

    exit_code = ExitCode.LOCKED


class LockUnanswered(LastcallError):
    """No answer came, or none that means anything. `asked`: the question may have come there, and what was asked may
    be done or not.
    """

    exit_code = ExitCode.LOCKED

    def __init__(self, message: str, remedy: str = "", *, asked: bool = True) -> None:
        super().__init__(message, remedy)
        self.asked = asked


@value(kw_only=True)
class LockServer:
    """One server, and how it is asked. `timeout`: seconds for a whole answer; `ca`: whose certificates are trusted."""

    url: str
    group: str
    timeout: float
    ca: Path | None = None

    def take(self, holder: str) -> None:
        """Ask for the lock; who holds it already gets it again. Blocks; raises LockRefused, LockUnanswered."""
        self._ask(TAKE, holder)

    def give_back(self, holder: str) -> None:
        """Give it back, if it is held. Blocks; raises LockRefused, LockUnanswered."""
        self._ask(GIVE_BACK, holder)

    def reach(self) -> None:
        """See whether it is there, and is who it says, without asking for anything. Blocks; raises LockUnanswered."""
        reached = threading.Event()
        self._in_time(self.url, reached, lambda: self._open(reached).close())

    def _ask(self, what: str, holder: str) -> None:
        url, reached = f"{self.url}/{what}", threading.Event()
        status, body = self._in_time(url, reached, lambda: self._post(url, holder, reached))
        if status == _DONE:
            return
        said = error_of(body)
        told = visible(f"{url}: {said or 'no answer of a lock server'} (HTTP {status})")
        # What says 4xx in the protocol's own form has understood the question. A proxy, another site or a server that
        # has lost its database has not said that somebody else holds the lock.
        raise (LockRefused if said and status in _REFUSALS else LockUnanswered)(told)

    def _in_time(self, url: str, reached: threading.Event, work: Callable[[], T]) -> T:
        try:
            # Of http.client the timeout is that of each read: who sends a letter now and then is listened to for ever.
            return Box().call(work, timeout=self.timeout)
        except TimeoutError:
            told = f"{url}: no answer within {self.timeout:.3g} s"
        except Exception as error:  # noqa: BLE001  whatever the network or TLS has to say, it is no answer
            why = isinstance(error, OSError) and error.strerror
            told = visible(f"{url}: {bounded(why or in_words(error), _TOLD)}")
        remedy = "is the lock server running, and is `fleet_lock.url` where it listens?"
        raise LockUnanswered(told, remedy, asked=reached.is_set())

    def _post(self, url: str, holder: str, reached: threading.Event) -> tuple[int, bytes]:
        connection = self._open(reached)
        try:
            question = {"client_params": {"id": holder, "group": self.group}}
            headers = {
                "fleet-lock-protocol": "true",  # by this a server knows that no redirect has brought the question
                "Content-Type": "application/json",
                "Accept": "application/json",
                "User-Agent": f"lastcall/{__version__}",
                "Connection": "close",
            }
            connection.request("POST", urlsplit(url).path, json.dumps(question), headers)
            # The answer holds the socket, no longer the connection, once it is to be the only one.
            with connection.getresponse() as answer:
                return answer.status, answer.read(LARGEST)
        finally:
            connection.close()

    def _open(self, reached: threading.Event) -> "http.client.HTTPConnection":
        import http.client  # here, and ssl: nearly all commands ask nobody
        import ssl

        url = urlsplit(self.url)
        host = cast("str", url.hostname)
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca)
            opened = http.client.HTTPSConnection(host, url.port, timeout=self.timeout, context=context)
        else:
            opened = http.client.HTTPConnection(host, url.port, timeout=self.timeout)
        opened.connect()
        reached.set()
        return opened


def error_of(body: bytes) -> str:
    """What an answer says in the protocol's form for errors, `value (kind)`; "" where it has not that form."""
    try:
        found: Any = from_json(body)
        kind, told = found["kind"], found["value"]
    except (ValueError, KeyError, TypeError):
        return ""
    if not (isinstance(kind, str) and isinstance(told, str) and kind and told):
        return ""
    return f"{bounded(told, _TOLD)} ({bounded(kind, _TOLD)})"
