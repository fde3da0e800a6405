"""Apprise, imported when something is sent: one message to one address, and why it was not taken."""

import html
import importlib.util
import logging
import threading
from typing import Any

from lastcall import SecretText
from lastcall_plugins.notify.messages import Message

INSTALL = "apt install python3-apprise, or pip install 'lastcall[notify]' where lastcall is"
UNKNOWN = "Apprise knows no such address"


def is_installed() -> bool:
    """Whether Apprise is there; it is not imported, which takes a second."""
    return importlib.util.find_spec("apprise") is not None


def is_understood(url: SecretText) -> bool:
    """Whether Apprise knows such addresses; nobody is asked."""
    return _service(url) is not None


def deliver(url: SecretText, message: Message) -> str:
    """Send one message; returns why it was not taken, or nothing. Blocks for as long as the service does."""
    said = _Said()
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False  # what Apprise tells has parts of addresses
    logger.addHandler(said)
    try:
        service = _service(url)
        if service is None:
            return UNKNOWN
        title, body = _written_for(service, message)
        # Not by `Apprise.notify`: newer ones do all services in a handful of threads, which a few that hang take up.
        taken = service.notify(body=body, title=title, notify_type=_word("NotifyType", message.kind))
    except Exception as error:  # noqa: BLE001  what a hundred services do is not known
        return f"{type(error).__name__}: {error}"
    finally:
        logger.removeHandler(said)
    return "" if taken else said.last or "it was not taken"


def _service(url: SecretText) -> Any:
    import apprise

    door: Any = apprise.Apprise
    return door.instantiate(url.reveal(), asset=apprise.AppriseAsset(app_id="lastcall", app_desc="lastcall"))


def _word(of: str, name: str) -> Any:
    """A word of Apprise's: a member of an enum in newer ones, a text in those of Debian 12."""
    import apprise

    return getattr(getattr(apprise, of), name.upper())


def _written_for(service: Any, message: Message) -> tuple[str, str]:
    """Title and body as the service takes them: what guests are called is text where HTML is shown."""
    title, body = message.title, message.body
    if service.notify_format == _word("NotifyFormat", "html"):
        body = html.escape(body).replace("\n", "<br/>\n")
        # Where there are no titles it becomes a part of the body.
        title = title if service.title_maxlen > 0 else html.escape(title)
    return title, body


class _Said(logging.Handler):
    """What Apprise has told of this thread: it returns no more than that it did not work."""

    def __init__(self) -> None:
        super().__init__()
        self._of, self.last = threading.get_ident(), ""

    def emit(self, record: logging.LogRecord) -> None:
        words = record.getMessage()
        if record.thread == self._of and (record.levelno >= logging.WARNING or "xception" in words):
            self.last = f"{self.last}; {words}" if self.last else words
