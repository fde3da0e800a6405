"""What became of each guest of a drill, beside what was planned for it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lastcall.api.guests import Guest, Key, Outcome
from lastcall.api.naming.guest_names import GuestNames
from lastcall.api.results import FAILURES, GuestResult, HookRecord, Report
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value

_WENT = frozenset({Outcome.STOPPED, Outcome.SAVED})
_CAME = frozenset({Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT})
_NO_TIME = "-"


@value(kw_only=True)
class DrilledGuest:
    """A guest. Times are seconds, null where there is none: `usually` by earlier runs, `at_most` by its settings,
    `took` to go off, `back_in` until it ran and was ready.

    `went` and `came` are what became of it in the two runs, `failed_hooks` the calls about it that failed, such as
    `on_guest_stop of databases`; `why` says what there is to say.
    """

    name: str
    uuid: str
    uri: str
    went: Outcome | None
    came: Outcome | None
    usually: float | None
    at_most: float | None
    took: float | None
    back_in: float | None
    failed_hooks: tuple[str, ...]
    why: str

    @property
    def as_planned(self) -> bool:
        """Whether it went by itself, with all that belongs to that, and is back."""
        return self.went in _WENT and self.came in _CAME and not self.failed_hooks

    @property
    def verdict(self) -> str:
        """Both outcomes in words."""
        went = self.went.value if self.went else "not stopped"
        return f"{went}, {self.came.value}" if self.came else went


def drilled_guests(
    guests: Iterable[Guest],
    expected: Mapping[Key, tuple[float | None, float | None]],
    stopped: Report,
    restored: Report | None,
    passed_over: Mapping[Key, str],
) -> Iterator[DrilledGuest]:
    """Each guest, in the order of `guests`. `expected`: usually and at most, seconds; `passed_over`: why, if so."""
    left, came = _by_key(stopped), _by_key(restored)
    for guest in guests:
        stop, start = left.get(guest.key), came.get(guest.key)
        usually, at_most = expected.get(guest.key, (None, None))
        off = stop is not None and stop.ended is not None
        failed = tuple(f"{hook.hook} of {hook.plugin}" for one in (stop, start) if one for hook in failed_calls(one))
        said = [*(one.message for one in (stop, start) if one and one.message), *(f"{one} failed" for one in failed)]
        yield DrilledGuest(
            name=guest.name, uuid=guest.uuid, uri=guest.uri, went=stop.outcome if stop else None,
            came=start.outcome if start else None, usually=usually, at_most=at_most,
            took=stop.duration if stop and off else None, back_in=start.duration if start else None,
            failed_hooks=failed, why=passed_over.get(guest.key) or "; ".join(said),
        )  # fmt: skip


def failed_calls(result: GuestResult) -> Iterator[HookRecord]:
    """The calls of hooks about a guest that failed, or for which no time was left."""
    return (hook for stop in result.stops for hook in stop.hooks if hook.result in FAILURES)


def drill_table(guests: Sequence[DrilledGuest]) -> Iterator[str]:
    """A line for each: what was planned, what was measured, and what became of it."""
    names = GuestNames(guests)
    rows = [("guest", "usually", "at most", "took", "back in", "")]
    rows += [
        (names.of(one), *map(_time, (one.usually, one.at_most, one.took, one.back_in)), _told(one)) for one in guests
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row, guest in zip(rows, [None, *guests], strict=True):
        sign = " " if guest is None else "✓" if guest.as_planned else "✗"
        times = "  ".join(map(str.rjust, row[1:5], widths[1:]))
        yield f"{sign} {row[0]:<{widths[0]}}  {times}  {row[5]}".rstrip()


def _told(guest: DrilledGuest) -> str:
    return f"{guest.verdict}: {guest.why}" if guest.why else guest.verdict


def _time(seconds: float | None) -> str:
    return _NO_TIME if seconds is None else format_duration(round(seconds, 1))


def _by_key(report: Report | None) -> dict[Key, GuestResult]:
    return {one.guest.key: one for one in report.guests} if report else {}
