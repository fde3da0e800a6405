"""Rules of the configuration that are for no guest there is: most are misspelt, or left over."""

import re
from collections.abc import Collection, Iterator, Sequence

from lastcall.api.guests import Guest
from lastcall.config.guest_settings import GuestRule, Match
from lastcall.config.nodes import MapNode, locate, path_text
from lastcall.errors import Problem, Severity
from lastcall.formats.nearest import nearest

_GLOB = re.compile(r"\[[^]]*]|[*?]")


def idle_rules(root: MapNode, rules: Sequence[GuestRule], guests: Sequence[Guest]) -> Iterator[Problem]:
    """A warning for each rule that matches none of all guests, running or defined. `root`: where the rules stand."""
    for index, rule in enumerate(rules):
        # What a guest does just now says nothing about the rule.
        match = rule.match.model_copy(update={"state": None})
        if not any(match.covers(guest) for guest in guests):
            path = ("guests", index, "match")
            message = f"{path_text(path)}: no guest, running or defined, {_wanted(match, guests)}"
            yield Problem(
                what="rule", where=str(locate(root, path, key=True)), message=message,
                remedy="`virsh list --all` shows the names", severity=Severity.WARNING,
            )  # fmt: skip


def _wanted(match: Match, guests: Sequence[Guest]) -> str:
    """What the rule wants, and the nearest there is to it."""
    kinds = (
        (match.name, "is called", {guest.name for guest in guests}),
        (match.uuid, "has the UUID", {guest.uuid for guest in guests}),
        (match.uri, "is on", {guest.uri for guest in guests}),
    )
    asked = [(given, text, known) for given, text, known in kinds if given is not None]
    close = next(filter(None, (_nearest(given, known - {given}) for given, _, known in asked)), "")
    wanted = " and ".join(f"{text} {given!r}" for given, text, _ in asked)
    return wanted + (f"; did you mean {close!r}?" if close else "")


def _nearest(pattern: str, known: Collection[str]) -> str:
    """The nearest to what a glob says of the beginning or the end of a name; "" where none is near."""
    plain = _GLOB.sub("", pattern)
    if not plain:
        return ""
    parts = {part: name for name in sorted(known) for part in (name[: len(plain)], name[-len(plain) :], name)}
    return parts.get(nearest(plain, parts), "")
