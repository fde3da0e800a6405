"""What messages say: fields in braces, which are checked when the configuration is read."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from string import Formatter

from lastcall import EarlierStop, GuestNames, GuestResult, Outcome, Problem, Report, Run, Verdict, visible

LONGEST_TITLE, LONGEST_BODY = 200, 6000  # characters; some services take no more
_SHOWN = 40  # guests, or problems, of one list
FIELDS = ("host", "event", "reason", "time", "guests", "names", "outcomes", "forced", "problems", "duration", "earlier")
USUAL = {
    "stopping": (
        "{host}: stopping its guests ({guests})",
        "{host} goes down ({reason}) at {time}. Its guests are stopped first ({guests}): {names}.",
    ),
    "forced": (
        "{host}: guests did not stop as planned",
        "{host} went down ({reason}) at {time}, and not as planned:\n{forced}\n\n{problems}",
    ),
    "stopped": (
        "{host}: {outcomes}",
        "{host} has stopped its guests ({reason}) in {duration}: {outcomes}.\n{forced}\n\n{problems}",
    ),
    "restored": (
        "{host} is back: {outcomes}",
        "{host} is back. Its guests, in {duration}: {outcomes}.\n{forced}\n\n{problems}\n\n{earlier}",
    ),
    "checked": (
        "{host}: lastcall check: {outcomes}",
        "`lastcall check` on {host} at {time}: {outcomes}.\n{problems}\n\n{earlier}",
    ),
}
_BAD = frozenset({Outcome.FORCED, Outcome.LEFT, Outcome.FAILED, Outcome.UNKNOWN, Outcome.UNREADY})


class _Fields(Formatter):
    """Fields by their names alone: `{host.__class__}` is none, nor is `{host!r}`, nor `{0}`."""

    def named(self, template: str) -> Iterable[str]:
        """The fields of a template. Raises ValueError for what is none."""
        for _, name, form, conversion in self.parse(template):
            if name is None:
                continue
            if form or conversion or name not in FIELDS:
                import difflib  # here: it is needed where something is wrong, and no start has to load it

                near = difflib.get_close_matches(name, FIELDS, 1)
                hint = (
                    f"did you mean {{{near[0]}}}?"
                    if near
                    else f"there are {', '.join(FIELDS)}; a brace is written {{{{"
                )
                raise ValueError(f"no field is called {{{name}}}: {hint}")
            yield name


def require_known_fields(template: str) -> str:
    """The same template. Raises ValueError where it could not be filled in."""
    for _ in _Fields().named(template):
        pass
    return template


def filled(event: str, title: str | None, body: str | None, facts: Mapping[str, str]) -> tuple[str, str]:
    """Title and body. What cannot be filled in is as usual: a message with other words is better than none."""
    usual_title, usual_body = USUAL[event]
    one_line = " ".join(_fill(title, usual_title, facts).split())
    text = _fill(body, usual_body, facts).strip()
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return _cut(one_line, LONGEST_TITLE), _cut(text, LONGEST_BODY)


def _fill(template: str | None, usual: str, facts: Mapping[str, str]) -> str:
    for words in (template, usual):
        try:
            return _Fields().vformat(require_known_fields(words or usual), (), facts).strip() or usual.format(**facts)
        except (ValueError, LookupError):
            continue
    return usual


def facts_of_check(host: str, errors: Sequence[str], new: int, over: Sequence[str]) -> dict[str, str]:
    """The same of a check: its `errors` in words, so many of them `new`, and those that are `over`."""
    count = f"{len(errors)} error{'' if len(errors) == 1 else 's'}" if errors else "no errors any more"
    return dict.fromkeys(FIELDS, "") | {
        "host": visible(host), "event": "checked", "reason": "check", "time": _now(),
        "outcomes": count + (f", {new} of them new" if 0 < new < len(errors) else ""),
        "problems": _listed(errors, "\n"), "earlier": _listed([f"over: {one}" for one in over], "\n"),
    }  # fmt: skip


def error_line(problem: Problem) -> str:
    """A problem in a line, with what to do about it."""
    return f"{problem.where}: {problem.message}" + (f" (→ {problem.remedy})" if problem.remedy else "")


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z")


def facts_of(event: str, host: str, run: Run, report: Report | None, earlier: str = "") -> dict[str, str]:
    """What the fields are in this run. Whatever comes from guests is made visible, and bounded."""
    names = GuestNames(report.guests if report else run.guests)
    facts: dict[str, str] = dict.fromkeys(FIELDS, "")
    facts |= {
        "host": visible(host), "event": event, "reason": run.reason.value, "guests": str(len(names)),
        "earlier": earlier,
        "time": _now(), "names": _listed([*names.values()], ", ") or "none",
    }  # fmt: skip
    if report:
        began = datetime.fromisoformat(report.run.started)
        facts |= {
            "time": began.astimezone().strftime("%Y-%m-%d %H:%M:%S %z"), "outcomes": outcomes_of(report.guests),
            "forced": _listed([_bad_line(names.of(one), one) for one in report.guests if is_bad(one)], "\n"),
            "problems": _listed([f"{one.severity.value}: {one.where}: {one.message}" for one in report.problems], "\n"),
            "duration": f"{report.run.duration:.0f} s",
        }  # fmt: skip
    return facts


def is_bad(result: GuestResult) -> bool:
    """Whether somebody has to look after the guest, however it went when it was started again and stopped once more."""
    return any(map(_went_badly, result.stops))


def _went_badly(stop: GuestResult | EarlierStop) -> bool:
    """One that was to be forced off by its first rung has not."""
    rungs = [attempt for attempt in stop.attempts if attempt.result != Verdict.OK]
    by_plan = bool(rungs) and rungs[0].result == Outcome.FORCED and stop.asked is not None
    return stop.outcome in _BAD and not (stop.outcome is Outcome.FORCED and by_plan)


def outcomes_of(guests: Sequence[GuestResult]) -> str:
    """How many there are of each, such as `3 stopped, 1 forced`."""
    counts = {one: sum(guest.outcome is one for guest in guests) for one in Outcome}
    return ", ".join(f"{count} {one.value}" for one, count in counts.items() if count) or "no guests"


def _bad_line(name: str, one: GuestResult) -> str:
    bad = [stop for stop in one.stops if _went_badly(stop)][-1]
    later = "" if bad is one else ", before somebody started it again"
    return f"{name}: {bad.outcome.value}{later}" + (f" ({bad.message})" if bad.message else "")


def _listed(lines: Sequence[str], between: str) -> str:
    more = len(lines) - _SHOWN
    # Line by line: what a guest is called begins no line of its own.
    return between.join([*map(visible, lines[:_SHOWN]), *([f"and {more} more"] if more > 0 else [])])


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
