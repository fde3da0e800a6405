"""Sizes as people write them: `64MiB`, `500kB`, or plain bytes."""

import re

_UNITS = {
    "": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}  # fmt: skip
# With fewer digits than a number of Python may have, as reading one takes time by the square of its length.
_SIZE = re.compile(r"(\d{1,15})\s*([A-Za-z]*)")
_HINT = "write a size such as 64MiB or 500kB, or plain bytes"


def parse_size(value: object) -> object:
    """Turn a size into bytes (int); raises ValueError with a hint."""
    # True is an int to Python: `size: true` would be one byte.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found or found[2] not in _UNITS:
        raise ValueError(f"not a size; {_HINT}")
    return int(found[1]) * _UNITS[found[2]]


def format_size(count: int) -> str:
    """Show bytes as a person would write them: `16 MiB`, `512 B`."""
    for unit in ("GiB", "MiB", "KiB"):
        if count >= _UNITS[unit]:
            return f"{count / _UNITS[unit]:.1f}".removesuffix(".0") + f" {unit}"
    return f"{count} B"
