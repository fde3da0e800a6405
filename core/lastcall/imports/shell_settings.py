"""What a shell would set, were it to read a text: read without a shell, so that nothing in it is run.

Taken are assignments of which it is certain that they are made, and what they make. Everything else is told.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lastcall.formats.bounded_text import bounded
from lastcall.formats.values import value
from lastcall.imports.shell_lines import ShellCommand, ShellLine, shell_lines
from lastcall.imports.shell_words import UNCLOSED, Part, PartKind, ShellWord

LONGEST_VALUE = 8192  # characters; a connection has some twenty
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A tilde is somebody's home at the beginning and behind a colon; to some behind an equals sign, and behind a quote.
_HOME = re.compile(r"(?:^|[:=])~")
# To a command's words more is done than to an assignment's, and export is a command to some shells.
_ARGUMENT = re.compile(r"[*?\[{]")
_DEFAULTING = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*):?=")
_COUNTING = re.compile(r"=|\+\+|--")
_VARIABLES = frozenset({PartKind.VARIABLE, PartKind.QUOTED_VARIABLE})


@value
class ShellSetting:
    """One assignment. `value`: None where a shell would have to work it out. `uses`: the variables in it."""

    line: int
    name: str
    text: str
    value: str | None
    uses: frozenset[str] = frozenset()


@value
class NotRead:
    """Something else than a plain assignment, and why."""

    line: int
    what: str


def shell_settings(text: str, known: Mapping[str, str]) -> Iterator[ShellSetting | NotRead]:
    """In the order of the text. `known`: variables and what they are before its first line."""
    text = text.replace("\0", "")  # a shell passes over a NUL
    values = dict(known)
    for line in shell_lines(text):
        if line.sure and not line.ends_file and all(map(_sets_only, line.commands)):
            for command in line.commands:
                yield from _settings(text, command, values)
        elif not _is_line_end(line):
            yield from _not_read(text, line)
            # It may have changed whatever there is.
            values.clear()
            if line.ends_file:
                return


def _sets_only(command: ShellCommand) -> bool:
    if command.redirected:
        return False
    if _exports(command):
        return all(_assigned(word) or _VARIABLE.fullmatch(word.plain) for word in command.words[1:])
    return all(map(_assigned, command.words))


def _exports(command: ShellCommand) -> bool:
    return command.words[0].plain == "export" and len(command.words) > 1


def _is_line_end(line: ShellLine) -> bool:
    """Whether there is nothing but the carriage return of a Windows line end, which a shell takes for a command."""
    return line.sure and [word.plain for command in line.commands for word in command.words] == ["\r"]


def _settings(text: str, command: ShellCommand, values: dict[str, str]) -> Iterator[ShellSetting | NotRead]:
    exported = _exports(command)
    # The words of a command are worked out before it is run, those of assignments one after the other.
    before = dict(values) if exported else values
    for word in command.words[exported:]:
        name = _assigned(word)
        if name:
            parts = _value_parts(word, name)
            raw = text[word.start : word.end].partition("=")[2]
            found = _value(parts, before, exported=exported) if len(raw) <= LONGEST_VALUE else None
            if found is None:
                values.pop(name, None)
            else:
                values[name] = found
            uses = frozenset(part.text for part in parts if part.kind in _VARIABLES)
            yield ShellSetting(word.line, name, raw, found, uses)
            for other in _set_in_passing(parts):
                values.pop(other, None)
                yield NotRead(word.line, f"{other} may be set by {bounded(raw)}, for which it takes a shell")


def _not_read(text: str, line: ShellLine) -> Iterator[NotRead]:
    found = _ASSIGNMENT.match(line.text)
    shown = bounded(line.text.strip())
    if line.failure == UNCLOSED:
        what = UNCLOSED
    elif found:
        what = f"{found[1]}: {bounded(found[2].strip())} would have to be worked out by a shell"
    else:
        what = f"{shown} is no assignment"
    if line.failure:
        reason = "" if line.failure == UNCLOSED else f" ({line.failure})"
        what += f"{reason}; from here on nothing is read"
    elif line.ends_file:
        what += ", and may end the file for a shell; from here on nothing is read"
    yield NotRead(line.line, what)
    for word in _words(line):
        name = _assigned(word)
        if name and word.line > line.line:
            yield NotRead(word.line, f"{name} is set where a shell would have to find out whether it is")


def _words(line: ShellLine) -> Iterable[ShellWord]:
    return (word for command in line.commands for word in command.words)


def _assigned(word: ShellWord) -> str:
    """The name of the variable to which the word assigns; else nothing."""
    first = word.parts[0] if word.parts else Part(PartKind.QUOTED)
    found = _ASSIGNMENT.match(first.text) if first.kind is PartKind.PLAIN else None
    return found[1] if found else ""


def _value_parts(word: ShellWord, name: str) -> Sequence[Part]:
    """What stands behind the equals sign."""
    first, *others = word.parts
    return [Part(PartKind.PLAIN, first.text[len(name) + 1 :]), *others]


def _set_in_passing(parts: Sequence[Part]) -> set[str]:
    """Variables that are set by working out the value of another one: `${OTHER:=value}`, `$((OTHER = 1))`."""
    found = set[str]()
    for part in parts:
        if part.kind is PartKind.UNKNOWN:
            found.update(_DEFAULTING.findall(part.text))
            if part.text.startswith("$((") and _COUNTING.search(part.text):
                found.update(_VARIABLE.findall(part.text))
    return found


def _value(parts: Sequence[Part], known: Mapping[str, str], *, exported: bool) -> str | None:
    found = list[str]()
    length = 0
    for part in parts:
        if part.kind is PartKind.UNKNOWN or (exported and part.kind is PartKind.VARIABLE):
            return None
        if part.kind is PartKind.PLAIN and (_HOME.search(part.text) or (exported and _ARGUMENT.search(part.text))):
            return None
        text = known.get(part.text) if part.kind in _VARIABLES else part.text
        # Doubled line by line, a value of a few characters would fill the memory.
        if text is None or (length := length + len(text)) > LONGEST_VALUE:
            return None
        found.append(text)
    return "".join(found)
