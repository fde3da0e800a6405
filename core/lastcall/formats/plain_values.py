"""Foreign values as those that JSON knows: a plugin's evidence may be anything, and must cost no report."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, cast

from lastcall.formats.bounded_text import bounded, shown
from lastcall.formats.secret_text import masked

EVIDENCE_ITEMS = 1000  # values in one plugin's evidence; the files of a guest's databases are some dozens
EVIDENCE_TEXT = 1 << 16  # characters of its names and texts together, and one text more
_DEPTH = 16  # of lists in lists
_TOO_DEEP = "… too deep"
_MOST_ITEMS = 1_000_000  # lists that share a list grow without end when they are written out
_BITS = 64  # of a number; Python itself refuses to read one of 5000 digits back
_SEVERAL = (list, tuple, set, frozenset)


def plain_value(value: object) -> Any:
    """The value as dict, list, str, int, float, bool or None, whole; never raises. Surrogates become their escapes."""
    return _Conversion(_whole, _MOST_ITEMS).of(value, 0)


def plain_evidence(value: object) -> Any:
    """The same in bounds: texts of `MESSAGE_LIMIT` characters, `EVIDENCE_ITEMS` values, none of them a secret.

    What comes after `EVIDENCE_TEXT` characters is left out.
    """
    return _Conversion(lambda text: bounded(masked(text)), EVIDENCE_ITEMS, EVIDENCE_TEXT).of(value, 0)


def plain_settings(value: Mapping[Any, Any]) -> dict[str, Any]:
    """What a plugin says of a guest, as plain values. Raises ValueError where they are more than `EVIDENCE_ITEMS`."""
    conversion = _Conversion(_whole, EVIDENCE_ITEMS)
    found = conversion.of(value, 0)
    if conversion.ended:
        raise ValueError(f"more than {EVIDENCE_ITEMS} values")
    if not isinstance(found, dict):
        raise TypeError("a mapping that cannot be read")
    return cast("dict[str, Any]", found)


class _Conversion:
    """One value's way; it stops taking items when there were too many. `text` is what becomes of each text."""

    def __init__(self, text: Callable[[str], str], items: int, room: float = math.inf) -> None:
        self._make_text = text
        self._left, self._room = items, room
        self.ended = False  # whether there were more

    def of(self, value: object, depth: int) -> Any:
        try:
            return self._of(value, depth)
        except Exception:  # noqa: BLE001  a foreign object's own code
            return self._clean(shown(value))

    def _of(self, value: object, depth: int) -> Any:
        if isinstance(value, Enum):
            return self._of(value.value, depth)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, int) and value.bit_length() <= _BITS:
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if isinstance(value, bytes | bytearray):
            return self._text(value.decode("utf-8", "backslashreplace"))
        if isinstance(value, os.PathLike):
            return self._clean(str(cast("os.PathLike[str]", value)))
        if depth < _DEPTH and (is_dataclass(value) or isinstance(value, (Mapping, *_SEVERAL))):
            return self._collection(value, depth + 1)
        if depth >= _DEPTH and isinstance(value, (Mapping, *_SEVERAL)):
            return _TOO_DEEP
        return self._clean(shown(value))

    def _collection(self, value: Any, depth: int) -> Any:
        if isinstance(value, _SEVERAL):
            return [self.of(item, depth) for item in self._some(cast("Iterable[object]", value))]
        named: Iterable[tuple[object, object]] = (
            cast("Mapping[object, object]", value).items()
            if isinstance(value, Mapping)
            else ((one.name, getattr(value, one.name)) for one in fields(value))
        )
        return {self._name(name): self.of(item, depth) for name, item in self._some(named)}

    def _some(self, items: Iterable[Any]) -> Iterator[Any]:
        """As many of them as may be taken still."""
        for item in items:
            if self._left <= 0 or self._room <= 0:
                self.ended = True
                return
            self._left -= 1
            yield item

    def _name(self, key: object) -> str:
        if isinstance(key, str) and not isinstance(key, Enum):
            # Not masked: two keys that become one would cost a figure.
            name = bounded(key.encode("utf-8", "backslashreplace").decode())
            self._room -= len(name)
            return name
        told = self.of(key, _DEPTH)
        return told if isinstance(told, str) else str(told)

    def _text(self, text: str) -> str:
        made = self._make_text(text)
        self._room -= len(made)
        return made

    def _clean(self, text: str) -> str:
        return self._text(text.encode("utf-8", "backslashreplace").decode())


def _whole(text: str) -> str:
    return text
