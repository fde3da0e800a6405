"""A world and what happened in it, for a reader."""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

from simulation.history import History
from simulation.world import World


def told(history: History) -> Iterator[str]:
    """The world, and then line by line what the world did and what lastcall did."""
    yield from world_lines(history.world)
    yield from history.story


def world_lines(world: World) -> Iterator[str]:
    """Everything that the seed has decided, as far as it is not the usual."""
    yield f"world {world.seed}"
    for field in fields(world):
        value = getattr(world, field.name)
        if field.name == "guests":
            yield from (f"  {_unusual(guest)}" for guest in world.guests)
        elif field.name in {"lines", "incidents", "afterwards"}:
            yield from (f"  {field.name}: {_unusual(one)}" for one in value)
        elif field.name != "seed" and value not in (None, (), {}):
            yield f"  {field.name}: {value}"


def _unusual(one: Any) -> str:
    """A value of the world by the fields that differ from their defaults."""
    shown: list[str] = []
    for field in fields(one):
        value = getattr(one, field.name)
        usual = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != usual:
            shown.append(f"{field.name}={sorted(value) if isinstance(value, frozenset) else value!s}")  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return " ".join(shown)
