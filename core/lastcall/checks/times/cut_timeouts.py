"""Timeouts in a guest's options that are never reached, as the time box of the plugin's hook ends before."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from lastcall.api.guests import Guest
from lastcall.errors import Problem, Severity
from lastcall.formats.quantities import format_duration
from lastcall.hooks.call import OptionLookup
from lastcall.options import Options
from lastcall.planning.hook_times import ExpectedCall, HookTimes

_KEY = "timeout"


def cut_timeouts(guests: Iterable[Guest], hooks: HookTimes, options: OptionLookup) -> Iterator[Problem]:
    """A warning for each plugin and guest with such a timeout: what it promises would be cut off in a real stop."""
    for guest in guests:
        for call in hooks.guests.get(guest.key, ()):
            longest = max(_timeouts(options(call.plugin, guest)[1]), default=0.0)
            if longest > call.limit:
                yield _problem(guest, call, longest)


def _timeouts(said: object) -> Iterator[float]:
    """Every timeout (seconds) that is in a plugin's options, however deep."""
    if isinstance(said, Options):
        for key, inner in said:
            yield from [inner] if key == _KEY and isinstance(inner, float) else _timeouts(inner)
    elif isinstance(said, Mapping):
        yield from _timeouts(tuple(cast("Mapping[Any, object]", said).values()))
    elif isinstance(said, Sequence) and not isinstance(said, str | bytes):
        for one in cast("Sequence[object]", said):
            yield from _timeouts(one)


def _problem(guest: Guest, call: ExpectedCall, longest: float) -> Problem:
    return Problem(
        what="timeout",
        where=f"{call.plugin} of {guest.name}",
        message=f"a timeout of {format_duration(longest)} is never reached: all that {call.plugin} does for the guest "
        f"in {call.hook} is cut off after {format_duration(call.limit)} ({call.set_by})",
        remedy=f"raise `hooks: {{timeout: …}}` of the guest, or hooks.plugins.{call.plugin}.timeout",
        severity=Severity.WARNING,
    )
