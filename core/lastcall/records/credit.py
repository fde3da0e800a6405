"""Whose doing it is that a guest is off: a method's of ours, its own, or somebody else's."""

from collections.abc import Callable, Iterable

from lastcall.api.guests import Ended, Guest, Outcome
from lastcall.formats.values import value

_OUTCOMES = {
    Ended.SHUTDOWN: Outcome.STOPPED,
    Ended.DESTROYED: Outcome.FORCED,
    Ended.SAVED: Outcome.SAVED,
    Ended.CRASHED: Outcome.FAILED,
    Ended.FAILED: Outcome.FAILED,
    Ended.MIGRATED: Outcome.SKIPPED,
}
BY_OTHERS = {
    Ended.DESTROYED: "destroyed by somebody else",
    Ended.SAVED: "saved by somebody else",
    Ended.SHUTDOWN: "it powered off by itself",
}


def ending_of(ended: Ended, latest: Outcome | None) -> Outcome | None:
    """What an end counts as, where `latest` is that of the last method that took effect; None: libvirt does not say."""
    # Whose plug is pulled loses its monitor, too. libvirt's container driver may notice that first, and tells of a
    # failure then: on a busy machine a container that was forced off was reported as one that had failed.
    return Outcome.FORCED if ended is Ended.FAILED and latest is Outcome.FORCED else _OUTCOMES.get(ended)


@value
class Credit:
    """What a guest that is off counts as, and the method that did it; None: it was none of ours."""

    outcome: Outcome
    method: str | None = None
    message: str = ""

    @classmethod
    def of(cls, ended: Ended, guest: Guest, heard: Iterable[str], outcome_of: Callable[[str], Outcome]) -> "Credit":
        """Find the latest of the methods that took effect which ends a guest in this way.

        `outcome_of` a method is what a guest counts as that goes off by it.
        """
        heard = [*heard]
        made = ending_of(ended, outcome_of(heard[-1]) if heard else None)
        moved = [method for method in heard if outcome_of(method) is Outcome.MOVED]
        # libvirt does not know a guest any more that was moved: of a persistent one nothing else of ours makes it so.
        if moved and (ended is Ended.MIGRATED or (made is None and guest.persistent)):
            return cls(Outcome.MOVED, moved[-1])
        for method in reversed(heard):
            # One that libvirt has forgotten is off by whatever was tried last.
            if made is None or outcome_of(method) is made:
                return cls(outcome_of(method), method)
        if made is None and guest.persistent:
            # Only a transient guest is forgotten when it is off. This one was migrated away and undefined, say, and
            # the event was lost: nobody knows that it is off.
            return cls(Outcome.UNKNOWN, None, "libvirt does not know it any more: migrated away, or undefined")
        message = "crashed" if ended is Ended.CRASHED else ""
        if made in {Outcome.FORCED, Outcome.SAVED}:
            message = BY_OTHERS[ended]
        return cls(made or Outcome.STOPPED, None, message)
