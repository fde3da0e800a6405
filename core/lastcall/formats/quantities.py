"""Durations, sizes and parts as people write them: `90s`, `4min`, `1h30m`, `500ms`, `64MiB`, `500kB`, `60%`."""

import re

_TIMES = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# The first unit that fits is taken: with `m` before `min`, 5min would leave an `in` behind.
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|sec|s|min|m|h|d)\s*")
_DURATION_HINT = "write a duration such as 90s, 4min or 1h30m, or plain seconds"
# Timers of the system take some centuries at most, and raise beyond; nobody waits for that long.
_LONGEST = 1000 * _TIMES["d"]
_MOST_CHARACTERS = 100  # the pattern below takes time by the square of the length
_SIZES = {
    "": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}  # fmt: skip
# With fewer digits than a number of Python may have, as reading one takes time by the square of its length.
_SIZE = re.compile(r"(\d{1,15})\s*([A-Za-z]*)")
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)\s*%")
_SIZE_HINT = "write a size such as 64MiB or 500kB, or plain bytes"


def parse_duration(value: object) -> object:
    """Turn a duration into seconds (float); raises ValueError with a hint. None passes, for optional durations."""
    if value is None:
        return None
    # True is an int to Python: `timeout: true` would be one second.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"not a duration; {_DURATION_HINT}")  # noqa: TRY004  pydantic collects ValueErrors
    seconds = _parse_text(value.strip()) if isinstance(value, str) else value
    # By comparison alone: a whole number may have more digits than a float can take.
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"a duration is not negative, and at most 1000d; {_DURATION_HINT}")
    return float(seconds)


def _parse_text(text: str) -> float:
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"a text of {len(text)} characters is not a duration; {_DURATION_HINT}")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _PART.findall(text)
    # findall passes over what it does not know: of "5 minutes or so" it would make five minutes.
    if not parts or not re.fullmatch(f"(?:{_PART.pattern})+", text):
        raise ValueError(f"{text!r} is not a duration; {_DURATION_HINT}")
    return sum(float(number) * _TIMES[unit] for number, unit in parts)


def format_duration(seconds: float | None) -> str:
    """Show seconds as a person would write them: `none`, `0.4s`, `90s`, `9min30s`, `1h30min`."""
    if seconds is None:
        return "none"
    if seconds < 120:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if number)


def parse_size(value: object) -> object:
    """Turn a size into bytes (int); raises ValueError with a hint."""
    # True is an int to Python: `size: true` would be one byte.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found or found[2] not in _SIZES:
        raise ValueError(f"not a size; {_SIZE_HINT}")
    return int(found[1]) * _SIZES[found[2]]


def format_size(count: int) -> str:
    """Show bytes as a person would write them: `16 MiB`, `512 B`."""
    for unit in ("GiB", "MiB", "KiB"):
        if count >= _SIZES[unit]:
            return f"{count / _SIZES[unit]:.1f}".removesuffix(".0") + f" {unit}"
    return f"{count} B"


def parse_percent(value: object) -> object:
    """Turn a part into per cent (float, 0 to 100); raises ValueError with a hint. None passes, where it may be left
    out."""
    if value is None:
        return None
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    number = float(found[1]) if found else value
    # True is an int to Python: `below: true` would be one per cent.
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 100:
        raise ValueError("not a part; write one such as 60%, between 0% and 100%")
    return float(number)
