"""What must hold after a run, whatever went wrong in it. Each verdict gives a sentence for everything that it finds."""

from collections.abc import Callable, Iterator
from typing import Any

from faults.runs import Run
from faults.world import RESTS, RUN

LATE = 0.5  # seconds after its deadline at which a run still counts as being over in time
WIDE = 10.0  # seconds for the start and the end of a process on a busy machine
LEAST = 1.0  # seconds before the end in which there is no time to ask any more
AGAIN = 2.0  # seconds between a request that was refused and the next one, at most
# What only says that there was time for something says nothing where the machine took that time: see `Run.slow`.
_OFF = frozenset({"stopped", "saved", "forced"})
_RUNNING = frozenset({"started", "resumed", "present", "unready"})


def faults_of(run: Run) -> list[str]:
    """Everything that is wrong with a run, with how to see it again."""
    verdicts = _OF_RESTORES if run.mode.restores else _OF_SHUTDOWNS
    return [f"{run.case}: {sentence}" for verdict in verdicts for sentence in verdict(run)]


def _guests(run: Run) -> list[Any]:
    """What it says of our guests; of the one that a new libvirtd makes by itself, each first client gets a new one."""
    told: list[Any] = run.report["guests"] if run.report else []
    return [guest for guest in told if guest["name"] in RUN]


def _says_that_the_list_is_lost(run: Run) -> bool:
    problems: list[Any] = run.report["problems"] if run.report else []
    return any(problem["what"] == "state" and "was not kept" in problem["message"] for problem in problems)


def ends_well(run: Run) -> Iterator[str]:
    """It ends by itself, with 0 or 1, a report and no traceback."""
    if run.code is None:
        yield "it had to be killed"
    elif run.code not in {0, 1}:
        yield f"exit code {run.code}, and it said: {run.err[-300:]!r}"
    elif run.report is None:
        yield f"no report, and it said: {run.err[-300:]!r}"
    if "Traceback" in run.err:
        yield f"a traceback: {run.err[run.err.index('Traceback') :][-600:]}"


def ends_in_time(run: Run) -> Iterator[str]:
    """It ends by its deadline: by its own clock, with what this machine was late by; by ours with much more."""
    if run.report and run.report["run"]["duration"] > run.mode.deadline + LATE + 2 * run.lag:
        yield f"over after {run.report['run']['duration']:.2f} s of {run.mode.deadline:g}"
    if run.ended - run.began > run.mode.deadline + WIDE + 10 * run.lag:
        yield f"the process ended after {run.ended - run.began:.1f} s of {run.mode.deadline:g}"


def says_what_is_true(run: Run) -> Iterator[str]:
    """Whoever is called stopped, saved or forced is off, and whoever is called left runs."""
    for guest in _guests(run):
        now = run.after.get(guest["name"], "gone")
        if guest["outcome"] in _OFF and now not in {"off", "gone"}:
            yield f"{guest['name']} is called {guest['outcome']} and is {now}"
        if guest["outcome"] == "left" and now not in {"running", "paused"}:
            yield f"{guest['name']} is called left and is {now}"
        if guest["outcome"] == "failed" and guest["ended"] and now not in {"off", "gone"}:
            yield f"{guest['name']} is called failed ({guest['ended']}) and is {now}"


def exits_by_the_truth(run: Run) -> Iterator[str]:
    """0 means that everybody is off."""
    running = [name for name in RUN if run.after.get(name) == "running"]
    if run.code == 0 and running:
        yield f"exit code 0, and {', '.join(running)} run"


def forces_nobody_unasked(run: Run) -> Iterator[str]:
    """No plug is pulled before its guest was asked, while there is time to ask; by hand without --force never."""
    for name in RUN:
        asked, plugged = run.traffic.asked(name), run.traffic.plugged(name)
        if plugged is None:
            continue
        at = plugged - run.began
        heard = (asked is not None and asked <= plugged) or _tried_to_the_last(run, name, plugged)
        if not run.mode.forces:
            yield f"{name} was forced off, though nobody wanted force"
        elif (
            at < run.mode.deadline - LEAST and not run.slow and not heard and not _tried_to_the_last(run, name, plugged)
        ):
            yield f"{name} was forced off {at:.1f} s after the start, of {run.mode.deadline:g}, and never asked"


def _tried_to_the_last(run: Run, guest: str, plugged: float) -> bool:
    """Whether a guest that cannot be asked, as every request is refused, was tried until the last resort came."""
    tried = [at for at in run.traffic.tried(guest) if at <= plugged]
    return bool(tried) and plugged - max(tried) <= AGAIN and plugged - run.began >= run.mode.deadline / 2


def loses_nobody(run: Run) -> Iterator[str]:
    """Who runs before and is off after is on the list; in a host stop also whoever the run saw and left running."""
    if _says_that_the_list_is_lost(run):
        return
    for name in RUN:
        if run.after.get(name) == "off" and name not in run.listed:
            yield f"{name} is off and not on the list"
    if run.mode.host_stop:
        for guest in _guests(run):
            if run.after.get(guest["name"]) == "running" and guest["name"] not in run.listed:
                yield f"{guest['name']} still runs when the host stops ({guest['outcome']}), and is not on the list"


def gives_nobody_up(run: Run) -> Iterator[str]:
    """In a host stop a fault that passes leaves nobody running: there is time to try again."""
    if run.mode.host_stop and not run.slow and run.rules and all(rule.passes for rule in run.rules):
        for name in RUN:
            if run.after.get(name) == "running":
                yield f"{name} runs on, though the fault was over at once"


def touches_nobody_else(run: Run) -> Iterator[str]:
    """Who was off before is off after."""
    if run.after.get(RESTS, "off") != "off":
        yield f"{RESTS} was off before and is {run.after[RESTS]}"


def brings_back_or_keeps(run: Run) -> Iterator[str]:
    """Who is on the list runs, or is on it still; whoever is called back runs."""
    for name in run.listed_before:
        now = run.after.get(name)
        if now != "running" and name not in run.listed:
            yield f"{name} is {now} and no longer on the list"
    for guest in _guests(run):
        if guest["outcome"] in _RUNNING and run.after.get(guest["name"]) != "running":
            yield f"{guest['name']} is called {guest['outcome']} and is {run.after.get(guest['name'])}"
    missing = [name for name in run.listed_before if run.after.get(name) != "running"]
    if run.code == 0 and missing:
        yield f"exit code 0, and {', '.join(missing)} do not run"


def parks_for_answers_only(run: Run) -> Iterator[str]:
    """A guest is parked only where libvirt refused to start it, or to find it."""
    for name, parked in run.listed.items():
        if parked and not run.traffic.refused_to_start(name):
            yield f"{name} was parked, and libvirt never refused to start it"


Verdict = Callable[[Run], Iterator[str]]
_OF_SHUTDOWNS: tuple[Verdict, ...] = (
    ends_well,
    ends_in_time,
    says_what_is_true,
    exits_by_the_truth,
    forces_nobody_unasked,
    loses_nobody,
    gives_nobody_up,
    touches_nobody_else,
)
_OF_RESTORES: tuple[Verdict, ...] = (
    ends_well,
    ends_in_time,
    touches_nobody_else,
    brings_back_or_keeps,
    parks_for_answers_only,
)
