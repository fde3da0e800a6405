"""What plugins have measured of what they did: figures before and after, as a person reads them."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from lastcall.api.results import HookRecord
from lastcall.formats.values import value

LONGEST_FIGURE = 80  # characters


@value
class Figure:
    """One figure; None where that side does not have it, as a path that is told once."""

    name: str
    before: str | None
    after: str | None


@value
class Comparison:
    """What one call has compared of one thing, such as a database. `proven`: as its plugin says."""

    name: str
    proven: bool
    figures: tuple[Figure, ...]


def comparisons(hook: HookRecord) -> Iterator[Comparison]:
    """The evidence of a call that compares before and after; the rest stands in the JSON."""
    for name, told in hook.evidence.items():
        sides = _mapping(told) or {}
        before, after = _mapping(sides.get("before")), _mapping(sides.get("after"))
        if before is not None and after is not None and (before or after):
            yield Comparison(name, bool(sides.get("proven")), tuple(_compared(before, after)))


def _mapping(given: object) -> Mapping[str, Any] | None:
    """A plugin's evidence may have any shape; what has not this one is nothing to compare."""
    return cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else None


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Figure]:
    for name in dict.fromkeys((*before, *after)):
        unit = name.endswith("_bytes")
        told = [_figure(side[name], unit=unit) if name in side else None for side in (before, after)]
        yield Figure(name.removesuffix("_bytes").replace("_", " "), *told)


def _figure(given: Any, *, unit: bool) -> str:
    """Bytes as a person writes them: `176 B`, `75.8 MiB`."""
    if not unit or not isinstance(given, int):
        # Evidence comes from inside guests: one line end in it would tear the report apart.
        return " ".join(str(given).split())[:LONGEST_FIGURE]
    size, power = float(given), 0
    while size >= 1024 and power < 4:
        size, power = size / 1024, power + 1
    return f"{given} B" if power == 0 else f"{size:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"
