"""What holds a text in YAML together, and is broken: quotes and brackets that stay open, indentation, colons."""

import yaml

_OPENS = {"'": "'", '"': '"', "[": "]", "{": "}"}


def broken_structure(error: yaml.MarkedYAMLError, text: str) -> tuple[yaml.Mark, str, str] | None:
    """Where it is broken, what is wrong there, and what helps; None where it is something else.

    Not by the words for the problem, which each parser has of its own: by the place, and by what was being read there.
    """
    at, begun, reading = error.problem_mark, error.context_mark, error.context or ""
    if at is None:
        return None
    if begun is None:
        return _second_colon(at, text) if "mapping values" in (error.problem or "") else None
    opened = text[begun.index : begun.index + 1]
    if "quoted scalar" in reading and "end of stream" in (error.problem or ""):
        return begun, f"the {opened} that stands here is never closed", f"end the text with {opened}, on this line"
    if "flow" in reading and opened in _OPENS:
        told = f"the {opened} that stands here is not closed, or a comma is missing before line {at.line + 1}"
        return begun, f"{told}, column {at.column + 1}", f"end it with {_OPENS[opened]}"
    return _indentation(at, begun, text) if "block" in reading else None


def _indentation(at: yaml.Mark, begun: yaml.Mark, text: str) -> tuple[yaml.Mark, str, str] | None:
    if _before(text, at).strip():
        return None  # it is not the line's beginning that is wrong
    first = text[begun.index :].partition("\n")[0]
    if first.startswith("-") and first[1:2].strip():
        return begun, "a '-' without a space behind it begins no entry of a list", f"write '- {first[1:].split()[0]}'"
    if at.column == begun.column:
        told = f"this line is none of the entries of the list that begins in line {begun.line + 1}"
        return at, told, "indent it deeper, if it belongs to the entry above; else less than the list"
    told = f"this line is indented by {_spaces(at.column)}, those that it follows from line {begun.line + 1} on by"
    return (
        at,
        f"{told} {_spaces(begun.column)}",
        "indent both alike, or this one deeper, if it belongs to the line above",
    )


def _second_colon(at: yaml.Mark, text: str) -> tuple[yaml.Mark, str, str]:
    before = _before(text, at)
    if ": " in before:
        return at, "a second ':' stands in this line", "quote the value, if the ':' is a part of it"
    gap = text[: at.index - len(before)]
    above = at.line + 1 - (gap.count("\n") - gap.rstrip().count("\n"))
    told = f"this line goes on with what stands in line {above}, and has a ':' of its own"
    return at, told, f"a key ends with a ':' and a space: is that so in line {above}?"


def _spaces(count: int) -> str:
    return "1 space" if count == 1 else f"{count} spaces"


def _before(text: str, mark: yaml.Mark) -> str:
    """What stands before a place in its line."""
    return text[text.rfind("\n", 0, mark.index) + 1 : mark.index]
