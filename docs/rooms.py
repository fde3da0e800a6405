"""Draws the rooms of the house and who imports whom, from the code.

`python docs/rooms.py` prints the picture, with `--write` it goes into docs/architecture.md. Imports inside functions
and those for types only count like all others: a room must not even know those above it.
"""

import argparse
import ast
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = "lastcall"
SOURCE = Path(__file__).parents[1] / "core" / PACKAGE
PAGE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- rooms: made by `make picture` -->", "<!-- rooms: end -->"
WIDTH = 98


def room_of(module: str) -> str:
    """The folder a module lies in, `cli/commands` counting as `cli`; a module beside the folders is its own room, but
    for the door by which `python -m` enters."""
    parts = module.split(".")
    if parts[1:] == ["__main__"]:
        return "cli"
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
    """The rooms by floors, the highest first: each stands on those that it imports from.

    Raises ValueError for a circle, and names it. Modules and what they import may be given as well.
    """
    heights: dict[str, int] = {}

    def height(room: str, above: tuple[str, ...] = ()) -> int:
        if room in above:
            raise ValueError(f"a circle of imports: {' → '.join((*above[above.index(room) :], room))}")
        if room not in heights:
            heights[room] = 1 + max((height(other, (*above, room)) for other in sorted(rooms[room])), default=-1)
        return heights[room]

    for room in sorted(rooms):
        height(room)
    return [sorted(room for room in rooms if heights[room] == floor) for floor in range(max(heights.values()), -1, -1)]


def purpose(room: str) -> str:
    """What a room is for: the first sentence of its docstring."""
    folder = SOURCE if room == PACKAGE else SOURCE / room
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    sentence = text.replace("\n", " ").split(". ")[0].rstrip(".")
    name, colon, rest = sentence.partition(": ")
    return rest[:1].upper() + rest[1:] if colon and name.lower() == room else sentence


def picture() -> str:
    """The floors from the roof to the ground, each room with what it is for and those that it uses."""
    rooms = arrows(imports())
    edge = max(map(len, rooms)) + 6
    lines: list[str] = []
    for number, floor in reversed(list(enumerate(reversed(floors(rooms))))):
        for index, room in enumerate(floor):
            uses = ", ".join(sorted(rooms[room])) or "nothing of ours"
            told = _wrapped(purpose(room), edge) + _wrapped(f"→ {uses}", edge)
            head = f"{number if index == 0 else '':>2}  {room}"
            lines.append(head.ljust(edge) + told[0].lstrip())
            lines += told[1:]
    return "\n".join(lines)


def _wrapped(text: str, edge: int) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * edge, subsequent_indent=" " * edge)


def with_picture(page: str) -> str:
    """The text of a page, with the picture between its two marks. Raises ValueError where they are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has to have the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n```\n{picture()}\n```\n\n{END}{after}"


def main() -> None:
    """Print the picture, or write it into the page."""
    parser = argparse.ArgumentParser(description="Draw the rooms and who imports whom.")
    parser.add_argument("--write", action="store_true", help="put it into docs/architecture.md")
    if parser.parse_args().write:
        PAGE.write_text(with_picture(PAGE.read_text()))
    else:
        print(picture())


if __name__ == "__main__":
    main()
