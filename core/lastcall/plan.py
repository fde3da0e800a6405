"""Settings and guests make a plan: pure, so that the dry run is the run."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastcall.api.guests import Guest, GuestState, Reason
from lastcall.api.results import Problem
from lastcall.config.models import GuestPolicy, LadderStep, Settings
from lastcall.errors import UsageError

CORE_METHOD = "shutdown"  # libvirt's own default request, for an empty ladder
SAVE = "save"
LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Step:
    """One rung: method, its options (None = its defaults), and seconds; None = until the last resort."""

    method: str
    timeout: float | None
    options: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGuest:
    """What is going to happen to one guest. `left_because` is set for a guest that is not touched."""

    guest: Guest
    steps: tuple[Step, ...] = ()
    last_resort: tuple[Step, ...] = ()
    restore: bool = True
    hook_timeout: float | None = None
    left_because: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every guest in the order of its turn, and what is wrong with the settings for them."""

    guests: tuple[PlannedGuest, ...]
    problems: tuple[Problem, ...] = ()


def make_plan(
    guests: Iterable[Guest],
    settings: Settings,
    methods: Mapping[str, Any],
    *,
    reason: Reason,
    force: bool = False,
    limited: bool = True,
) -> Plan:
    """Decide for every guest. `methods` are the stop methods there are; `limited` = the run has a deadline."""
    planned: list[PlannedGuest] = []
    problems: dict[tuple[str, str], Problem] = {}
    for guest in guests:
        policy = settings.policy(guest)
        for name, _ in (step.chosen for step in policy.stop):
            if name not in methods:
                problems.setdefault((name, ""), _unknown(name, guest, methods))
        planned.append(_planned(guest, policy, methods, forced=force or not reason.voluntary, limited=limited))
    return Plan(tuple(planned), tuple(problems.values()))


def _planned(
    guest: Guest, policy: GuestPolicy, methods: Mapping[str, Any], *, forced: bool, limited: bool
) -> PlannedGuest:
    why = _left_because(guest, policy)
    if why:
        return PlannedGuest(guest=guest, left_because=why, restore=False)
    names = [policy.last_resort] if forced and policy.last_resort != LEAVE else []
    return PlannedGuest(
        guest=guest,
        steps=_ladder(guest, policy, methods, limited=limited),
        last_resort=tuple(Step(name, None) for name in names if name in methods),
        restore=policy.restore and guest.persistent,
        hook_timeout=policy.hooks.timeout,
    )


def _left_because(guest: Guest, policy: GuestPolicy) -> str:
    if not policy.manage:
        return "not managed by lastcall"
    if policy.transient == LEAVE and not guest.persistent:
        return "transient, and transient guests are left"
    return ""


def _ladder(guest: Guest, policy: GuestPolicy, methods: Mapping[str, Any], *, limited: bool) -> tuple[Step, ...]:
    if guest.state is GuestState.CRASHED:
        return ()  # it hears nothing any more: straight to the last resort
    known = [step for step in policy.stop if step.chosen[0] in methods]
    steps = [_step(step, policy) for step in known] or [Step(CORE_METHOD, policy.timeout)]
    if guest.state is GuestState.PAUSED and SAVE in methods and guest.persistent:
        # libvirt refuses ACPI for a paused guest (error 55); a managed save keeps the pause.
        steps = [Step(SAVE, policy.timeout), *(step for step in steps if step.method != SAVE)]
    if limited and known and not _own_timeout(known[-1]):
        steps[-1] = Step(steps[-1].method, None, steps[-1].options)
    return tuple(steps)


def _step(step: LadderStep, policy: GuestPolicy) -> Step:
    method, options = step.chosen
    return Step(method, _own_timeout(step) or policy.timeout, options)


def _own_timeout(step: LadderStep) -> float | None:
    return getattr(step.chosen[1], "timeout", None)


def _unknown(name: str, guest: Guest, methods: Mapping[str, Any]) -> Problem:
    close = difflib.get_close_matches(name, methods, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    remedy = f"methods there are: {', '.join(sorted(methods))}; `lastcall plugins` says what could not be loaded"
    return Problem(
        what="ladder",
        where=guest.name,
        message=f"no plugin provides the stop method {name!r}{hint}; the step is skipped",
        remedy=remedy,
    )


def select(guests: Sequence[Guest], names: Sequence[str]) -> list[Guest]:
    """The guests that are named (by name or UUID); raises UsageError for a name that matches none."""
    for name in names:
        if not any(name in {guest.name, guest.uuid} for guest in guests):
            close = difflib.get_close_matches(name, [guest.name for guest in guests], n=1)
            raise UsageError(
                f"no active guest is called {name!r}",
                f"did you mean {close[0]!r}?" if close else "`lastcall plan` lists them",
            )
    return [guest for guest in guests if not names or guest.name in names or guest.uuid in names]
