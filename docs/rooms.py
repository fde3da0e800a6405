"""Draws the rooms of the house and who imports whom, from the code: `python docs/rooms.py` prints the picture.

Imports inside functions and those for types only count like all others: a room must not even know those above it.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = "lastcall"
SOURCE = Path(__file__).parents[1] / "core" / PACKAGE


def room_of(module: str) -> str:
    """The folder a module lies in, `cli/commands` counting as `cli`; a module beside the folders is its own room."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else PACKAGE


def module_of(path: Path) -> str:
    """The dotted name of a file below the package."""
    parts = [PACKAGE, *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports() -> dict[str, set[str]]:
    """Every module with the modules of the package that it imports."""
    paths = sorted(SOURCE.rglob("*.py"))
    known = {module_of(path) for path in paths}
    found: dict[str, set[str]] = {}
    for path in paths:
        named = _named(ast.parse(path.read_text()), known)
        found[module_of(path)] = set(named) - {module_of(path)}
    return found


def _named(tree: ast.AST, known: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in below)


def arrows(found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Every room with the rooms that it imports from."""
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, others in found.items():
        rooms[room_of(module)] |= {room_of(other) for other in others} - {room_of(module)}
    return dict(rooms)


def floors(rooms: Mapping[str, set[str]]) -> list[list[str]]:
    """The rooms by floors, the highest first: each stands on those that it imports from."""
    heights: dict[str, int] = {}

    def height(room: str, above: tuple[str, ...] = ()) -> int:
        if room in above:
            raise ValueError(f"a circle of imports: {' → '.join((*above, room))}")
        if room not in heights:
            heights[room] = 1 + max((height(other, (*above, room)) for other in rooms[room]), default=-1)
        return heights[room]

    for room in rooms:
        height(room)
    return [sorted(room for room in rooms if heights[room] == floor) for floor in range(max(heights.values()), -1, -1)]


def picture() -> str:
    """The floors from the roof to the ground, each room with those that it uses."""
    rooms = arrows(imports())
    width = max(map(len, rooms))
    lines: list[str] = []
    for number, floor in reversed(list(enumerate(reversed(floors(rooms))))):
        for index, room in enumerate(floor):
            uses = ", ".join(sorted(rooms[room])) or "nothing of ours"
            lines.append(f"{number if index == 0 else '':>3}  {room:<{width}}  → {uses}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(picture())
