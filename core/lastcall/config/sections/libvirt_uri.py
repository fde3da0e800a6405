"""The URI of a connection, as it may stand in a configuration."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

# What libvirt's drivers call their daemons and worlds, and hardly anybody his host.
_A_SLASH_TOO_FEW = re.compile(r"([a-z0-9+]+)://(system|session|default|embed)/?")


def _of_a_daemon(text: str) -> str:
    found = _A_SLASH_TOO_FEW.fullmatch(text)
    if found:
        driver, name = found.groups()
        raise ValueError(f"{text!r} means a host called {name!r}; for this host it is {driver}:///{name}")
    return text


LibvirtUri = Annotated[str, Field(min_length=1), AfterValidator(_of_a_daemon)]
"""Checked for what would pass for valid, and never be reached: no guest of it would be stopped."""
