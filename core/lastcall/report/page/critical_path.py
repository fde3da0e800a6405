"""Why a run took as long as it did: the guests that waited for each other, up to the one that ended last."""

from collections.abc import Collection, Sequence

from lastcall.api.results import GuestResult

AT_ONCE = 0.1  # seconds between the end of one guest and the turn of the next that its place was kept for
_RANK = "(order "  # what stands in `waited_for` for all guests of an order number


def critical_path(guests: Sequence[GuestResult]) -> tuple[GuestResult, ...]:
    """The chain that ends with the guest that ended last, first to last; each waited for the one before.

    Empty where no guest took any time.
    """
    left = [guest for guest in guests if guest.duration > 0]
    path: list[GuestResult] = []
    held_up_by = max(left, key=end_of, default=None)
    while held_up_by is not None:
        path.append(held_up_by)
        left.remove(held_up_by)
        held_up_by = _held_up_by(held_up_by, left)
    return tuple(reversed(path))


def end_of(guest: GuestResult) -> float:
    """When it was decided what became of a guest; seconds from the start of the run."""
    return guest.started + guest.duration


def _held_up_by(guest: GuestResult, others: Collection[GuestResult]) -> GuestResult | None:
    """The last one that had to be done before this guest's turn: one it waited for by name, or whose end made room.

    An order number names nobody, and neither does the limit of guests that move at once: there the moments tell.
    """
    before = [one for one in others if end_of(one) <= guest.started + AT_ONCE]
    named = [one for one in before if one.name in guest.waited_for]
    ranked = any(name.startswith(_RANK) for name in guest.waited_for)
    made_room = [one for one in before if end_of(one) >= guest.started - AT_ONCE] if ranked or not named else []
    return max((*named, *made_room), key=end_of, default=None)
