"""What `shed --due` says of the stages that are still to come."""

from typing import Any, cast

from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.values import value


@value(frozen=True, kw_only=True)
class DueNext:
    """Who is shed next, and in how many seconds; None where the battery decides, or nothing is known."""

    guests: tuple[str, ...] = ()
    seconds: float | None = None


def due_next(output: str) -> DueNext:
    """The nearest of those in the JSON that it has printed; nothing where that says nothing of it."""
    try:
        found: Any = from_json(output)
        told = cast("dict[str, Any]", found).get("coming") if isinstance(found, dict) else None
        coming = [decoded(DueNext, one) for one in cast("list[Any]", told)] if isinstance(told, list) else []
    except ValueError:
        return DueNext()
    # A stage whose time is over waits for something else: to ask for it at once would go on and on.
    timed = [one for one in coming if one.seconds is not None and one.seconds > 0]
    by_battery = [one for one in coming if one.seconds is None]
    return min(timed, key=lambda one: one.seconds or 0.0) if timed else next(iter(by_battery), DueNext())
