"""The header of a drop-in: `# lastcall: reasons=host rehearse` among its first ten lines, each key at most once a line.

Read as bytes that may be anything: a compiled program, a script in any encoding, a first line without an end.

What is not understood was probably meant to keep the drop-in from some runs, and nobody knows from which. So it counts
as `reasons=host`: a word that is misspelt must neither let a script that stops every guest fire where one guest is
stopped by hand, nor cost a database its dump where the host goes down.
"""

import re
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from lastcall.api.reasons import HOST, REASON_WORDS, known_reason, reasons_of
from lastcall.errors import Problem
from lastcall.formats.bounded_text import bounded
from lastcall.formats.nearest import did_you_mean
from lastcall.formats.values import changing
from lastcall.hooks.occasions.occasions import Occasions, possible_reasons

LINES = 10
LONGEST_START = 8192  # bytes that are looked at; what stands further down is no header
REASONS, REHEARSE = "reasons", "rehearse"
KEYS = (REASONS, REHEARSE)
_REMEDY = f"write `# lastcall: reasons=WORD,…` of {', '.join(REASON_WORDS)}; or `# lastcall: rehearse`"
# Drop-ins are written in any language, and `#` begins no comment in all of them.
_COMMENT = re.compile(r"\s*(?:#+|//+|--+|;+|%+)\s*(.*)", re.DOTALL)
_HEADER = re.compile(r"lastcall\s*:(.*)", re.IGNORECASE | re.DOTALL)
# What can only have been meant as one: another name before the keys, or no colon behind it.
_NEARLY = re.compile(r"(last[\w-]*)\s*:?\s+(?:reasons?\s*[=:]|rehearse\s*$)", re.IGNORECASE)


@changing
class _Found:
    """What the lines have said so far. `unclear`: a reason that is none; `odd`: something else."""

    words: list[str] = field(default_factory=list[str])
    rehearses: bool = False
    unclear: bool = False
    odd: bool = False

    def occasions(self) -> Occasions:
        doubt = self.unclear or (self.odd and not self.words)
        return Occasions(tuple(dict.fromkeys((*self.words, *([HOST] if doubt else [])))), self.rehearses)


def read_header(start: bytes, path: Path, hook: str = "") -> tuple[Occasions, list[Problem]]:
    """What the first bytes of a drop-in say, and what is wrong with that; raises nothing.

    `hook`: the only one that it has.
    """
    found, problems = _Found(), list[Problem]()
    for number, comment in _comments(start):
        header = _HEADER.match(comment)
        if header and number <= LINES:
            wrong = list(_read(header[1], found, hook))
        else:
            wrong = _misplaced(header, _NEARLY.match(comment), found)
        if wrong:
            problems.append(_problem(path, number, wrong, found))
    return found.occasions(), problems


def _comments(start: bytes) -> Iterator[tuple[int, str]]:
    """Numbers and texts of the lines that are comments: of the first ten, and of the comment that they begin."""
    lines = start.removeprefix(b"\xef\xbb\xbf").splitlines()
    if len(start) >= LONGEST_START:
        lines = lines[:-1]  # its end is cut off
    heading = True
    for number, line in enumerate(lines, 1):
        if b"\0" in line:
            return  # a compiled program, or data behind a script
        comment = _COMMENT.fullmatch(line.decode("utf-8", "replace"))
        heading = heading and (comment is not None or not line.strip())
        if number > LINES and not heading:
            return
        if comment:
            yield number, comment[1].strip()


def _read(text: str, found: _Found, hook: str) -> Iterator[str]:
    """Take a header in; what is wrong with it."""
    words = re.sub(r"\s*([=,])\s*", r"\1", text).split()
    if not words:
        found.odd = True
        yield "says nothing"
    for word in words:
        key, given, values = word.partition("=")
        if key == REHEARSE and not given:
            found.rehearses = True
        elif key == REHEARSE:
            yield f"{REHEARSE!r} takes no value"
        elif key == REASONS:
            yield from _read_reasons(values, found, hook)
        else:
            found.odd = True
            yield f"unknown key {key!r}{did_you_mean(key, KEYS)}"


def _read_reasons(values: str, found: _Found, hook: str) -> Iterator[str]:
    known: list[str] = []
    for word in values.split(","):
        try:
            known.append(known_reason(word))
        except ValueError as error:
            found.unclear = True
            yield str(error) if word else f"{REASONS!r} lacks a reason"
    if known and hook and not reasons_of(known) & possible_reasons(hook):
        found.unclear = True
        yield f"{hook} is never fired for {', '.join(known)}"
    found.words += known


def _misplaced(header: re.Match[str] | None, nearly: re.Match[str] | None, found: _Found) -> list[str]:
    if not header and not nearly:
        return []
    found.odd = True
    if header:
        return [f"not among the first {LINES} lines"]
    return ["lacks its colon" if nearly and nearly[1].lower() == "lastcall" else "should begin with `lastcall:`"]


def _problem(path: Path, number: int, wrong: list[str], found: _Found) -> Problem:
    meant = found.occasions().meant_for()
    then = f"; until then it counts as {meant}" if found.odd or found.unclear else "; until then it is in no rehearsal"
    message = f"its header: {bounded('; '.join(wrong), 400)}{then}"
    return Problem(what="plugin", where=f"{path}:{number}", message=message, remedy=_REMEDY)
