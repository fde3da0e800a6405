"""The words for reasons that drop-ins and settings use: each reason's own, and `host` for what happens to the host."""

from collections.abc import Iterable

from lastcall.api.guests import Reason
from lastcall.formats.nearest import did_you_mean

HOST = "host"
REASON_WORDS = (HOST, *(reason.value for reason in Reason))
# The restore at boot, too: who mounts a disk shelf there, and switches it off in a host stop, says the same in both.
HOST_REASONS = frozenset(reason for reason in Reason if reason is Reason.BOOT or not reason.voluntary)


def reasons_of(words: Iterable[str]) -> frozenset[Reason]:
    """The reasons that words mean; each has to be one that `known_reason` lets pass."""
    found = frozenset[Reason]()
    for word in words:
        found |= HOST_REASONS if word == HOST else {Reason(word)}
    return found


def known_reason(word: str) -> str:
    """The same word; raises ValueError for one that means no reason."""
    if word in REASON_WORDS:
        return word
    raise ValueError(f"no reason is called {word!r}{did_you_mean(word, REASON_WORDS)}")
