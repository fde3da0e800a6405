"""The section `fleet_lock`: the server that says whether this host may reboot."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from lastcall.config.guest_settings import Section
from lastcall.config.sections.spelling import AbsolutePath, Spelling
from lastcall.options import Duration


def _base_url(text: str) -> str:
    """Judge it; raises ValueError."""
    example = "such as https://locks.example.org/base"
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ValueError(f"{text!r} is no URL ({error}), {example}") from None
    if url.scheme not in {"http", "https"} or not url.hostname or port == 0 or not text.isascii() or " " in text:
        raise ValueError(f"{text!r} is no URL of a server, {example}")
    if url.username is not None or url.password is not None:
        # It would stand in every error, and in what is noted of a lock that is held.
        raise ValueError(f"no user and no password belong into it: the protocol knows none; {example}")
    if url.query or url.fragment:
        raise ValueError(f"{text!r} goes on after its path, which is what requests are made of; {example}")
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
GroupName = Annotated[str, Spelling(r"[a-zA-Z0-9.-]{1,255}", "up to 255 letters of ASCII, digits, dots and dashes")]
HolderName = Annotated[str, Spelling(r"[!-~]{1,255}", "up to 255 characters of ASCII without blanks")]


class FleetLockSettings(Section):
    """A server of the FleetLock protocol."""

    url: BaseUrl = Field(description="Its base URL; requests go to `v1/pre-reboot` and `v1/steady-state` below it.")
    group: GroupName = Field(default="default", description="The hosts of which one at a time may reboot.")
    id: HolderName | None = Field(
        default=None, description="What this host is called there; if left out, a hash of its machine id."
    )
    timeout: Duration = Field(default=10.0, gt=0, le=120.0, description="How long one answer may take, all in all.")
    ca: AbsolutePath | None = Field(
        default=None, description="A file of certificates (PEM) that are trusted instead of the system's."
    )
