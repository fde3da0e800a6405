"""Settings and guests make a plan: pure, so that the dry run is the run."""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import takewhile
from typing import Any

from lastcall.api.guests import Guest, GuestState, Key, Outcome
from lastcall.api.naming.guest_names import GuestNames
from lastcall.config.guest_settings import LEAVE, LEAVE_IS_LAST, GuestPolicy, LadderStep
from lastcall.config.policies import Policies
from lastcall.config.policy.management import is_ours, is_watched
from lastcall.errors import Problem
from lastcall.formats.nearest import did_you_mean
from lastcall.formats.values import value
from lastcall.hypervisor.ports import PLAIN, Condition, GuestFacts
from lastcall.ordering.graph import Graph, make_graph
from lastcall.timing.budget import PLUG

CORE_METHOD = "shutdown"  # libvirt's own default request, for an empty ladder
RESUME, WAKE = "resume", "wake"  # the core's own rungs, which bring a guest into a state that can stop
SIGNAL = "signal"
SAVE, DESTROY = "save", "destroy"
PREPARE_TIMEOUT = 15.0  # seconds; resuming and waking do not wait for anything
_CONTAINER_SIGNALS = (38, 15)  # SIGRTMIN+4, which systemd takes for a power-off, then SIGTERM


@value
class Step:
    """One rung: method, its options (None = its defaults), and seconds; None = until the last resort, or its end.

    `insists`: nothing comes after it, so that a refusal is no reason to give up before its time is over; `patient`: nor
    is it afterwards, as its time counts from when the guest was asked. `targets`: the hosts (URIs) that it may move the
    guest to, from where that comes back if `comes_back`.
    """

    method: str
    timeout: float | None
    options: Any = None
    last_resort: bool = False
    insists: bool = False
    patient: bool = False
    targets: tuple[str, ...] = ()
    comes_back: bool = True

    @property
    def moves(self) -> bool:
        """True for a rung that moves the guest to another host, and asks nothing of it."""
        return bool(self.targets)

    @property
    def asks(self) -> bool:
        """True for a rung by which the guest hears that it is to stop."""
        return not (self.prepares or self.moves)

    @property
    def prepares(self) -> bool:
        """True for a rung that only brings the guest into a state in which it can be asked."""
        return self.method in {RESUME, WAKE}


@value(kw_only=True)
class PlannedGuest:
    """What is going to happen to one guest. `left_because` is set for a guest that is not touched.

    `timeout`: seconds for a rung that names none. `awaited`: others do not move before it is off. `ends_jobs`: what
    somebody else does with it is ended where it would be too late to wait any longer. `watched`: seconds for which
    those that it needs wait for a guest that is watched, where its neighbour stays up; None for all others.
    """

    guest: Guest
    steps: tuple[Step, ...] = ()
    last_resort: tuple[Step, ...] = ()
    timeout: float | None = None
    restore: bool = True
    hook_timeout: float | None = None
    left_because: str = ""
    ours: bool = True
    awaited: bool = False
    ends_jobs: bool = False
    watched: float | None = None
    facts: GuestFacts = PLAIN

    @property
    def hears(self) -> bool:
        """False for a guest that no request can reach: its system has crashed, or it waits for its disk."""
        return not (self.guest.state is GuestState.CRASHED or self.facts.condition is Condition.IO_ERROR)


@value
class Plan:
    """Every guest, the order among them, and what is wrong with the settings for them."""

    guests: tuple[PlannedGuest, ...]
    graph: Graph = field(default_factory=Graph)
    problems: tuple[Problem, ...] = ()

    @property
    def names(self) -> dict[Key, str]:
        """The guests' names, which two of them may share."""
        return {planned.guest.key: planned.guest.name for planned in self.guests}

    @property
    def called(self) -> GuestNames:
        """What the guests are called before people."""
        return GuestNames(planned.guest for planned in self.guests)

    def with_restarting(self, keys: Collection[Key]) -> "Plan":
        """The plan when these guests have on_poweroff=restart, whatever a run that was killed made of it."""
        if not keys:
            return self
        return replace(self, guests=tuple(_restarting(one) if one.guest.key in keys else one for one in self.guests))


@value(kw_only=True)
class Circumstances:
    """What a plan depends on besides the guests and their settings.

    `methods`: the stop methods there are. `facts`: what libvirt tells of each guest. `others`: names of guests that
    exist and have no part in the run; `all_known`: there are no more. `limited`: the run has a deadline. `slots`:
    guests moving at once, 0 = no limit. `patience`: seconds for which a neighbour is waited for that stays up.
    """

    methods: Mapping[str, Any]
    facts: Mapping[Key, GuestFacts] = field(default_factory=dict[Key, GuestFacts])
    others: Iterable[str] = ()
    all_known: bool = True
    limited: bool = True
    slots: int = 0
    patience: float = 0.0


def make_plan(guests: Sequence[Guest], policies: Policies, around: Circumstances) -> Plan:
    """Decide for every guest."""
    graph = make_graph(guests, policies, around.others, all_known=around.all_known)
    crowded = bool(around.slots) and len(guests) > around.slots
    planned: list[PlannedGuest] = []
    problems: dict[str, Problem] = {}
    judged: set[int] = set()  # policies, most of which are those of many guests
    for guest in guests:
        policy = policies.of(guest)
        if id(policy) not in judged:
            judged.add(id(policy))
            for name, problem in _mistakes(guest, policy, around.methods):
                problems.setdefault(name, problem)
        awaited = crowded or bool(graph.needs[guest.key])
        planned.append(plan_guest(guest, policy, around, awaited=awaited))
    return Plan(tuple(planned), graph, (*graph.problems, *problems.values()))


def _mistakes(guest: Guest, policy: GuestPolicy, methods: Mapping[str, Any]) -> Iterator[tuple[str, Problem]]:
    """What is wrong with a guest's ladder, and a name for each."""
    for step in (*policy.stop, *policy.last_resort):
        name, ends = step.chosen[0], policy.last_resort[-1:] == (step,)
        if name == LEAVE and ends:
            continue
        if name not in methods:
            yield name, _unknown(name, guest, methods, ends=ends)
        elif step in policy.last_resort and _is_move(methods[name]):
            yield f"{name} as last resort", _too_late(name, guest, ends=ends)


def plan_guest(guest: Guest, policy: GuestPolicy, around: Circumstances, *, awaited: bool) -> PlannedGuest:
    """Decide for one guest; `awaited`: others do not move before it is off."""
    facts, endless = around.facts.get(guest.key, PLAIN), around.limited and not awaited
    why = _left_because(guest, policy, facts)
    if why:
        # Who is left by a host stop is cut off by the host; one that is arriving may run where it came from.
        ours, arrives = is_ours(policy), facts.condition is Condition.ARRIVING
        return PlannedGuest(
            guest=guest,
            left_because=why,
            restore=ours and not arrives and bool(policy.restore) and guest.persistent,
            ours=ours,
            watched=around.patience if is_watched(policy) else None,
            facts=facts,
        )
    # Whether another host takes it nobody knows, and then there is no time left to find out.
    force = {name for name, method in around.methods.items() if not _is_move(method)}
    final = [step.chosen for step in policy.last_resort if step.chosen[0] in force]
    if policy.last_resort and policy.last_resort[-1].chosen[0] not in {*force, LEAVE} and DESTROY in force:
        # The host goes down all the same: a typing mistake, or a plugin that is gone, is no `last_resort: leave`.
        final.append((DESTROY, None))
    return PlannedGuest(
        guest=guest,
        steps=_ladder(guest, policy, facts, around.methods, endless=endless),
        last_resort=tuple(_last(method, options, policy, endless=endless) for method, options in final),
        timeout=policy.timeout,
        awaited=awaited,
        ends_jobs=policy.jobs == "abort",
        # libvirt has forgotten a transient guest at the next boot: looked for
        # there, it makes libvirt-guests' start fail.
        restore=bool(policy.restore) and guest.persistent,
        hook_timeout=policy.hooks.timeout,
        facts=facts,
    )


def with_last_request(planned: PlannedGuest, unfit: Container[str]) -> PlannedGuest:
    """The plan for a guest together with what the run does where no rung is of use: libvirt's own request."""
    asking = [step for step in planned.steps if step.asks and step.method not in unfit]
    if asking or planned.left_because or not planned.hears:
        return planned
    return replace(planned, steps=(*planned.steps, Step(CORE_METHOD, planned.timeout)))


def _restarting(planned: PlannedGuest) -> PlannedGuest:
    return replace(planned, facts=replace(planned.facts, restarts=True))


def _left_because(guest: Guest, policy: GuestPolicy, facts: GuestFacts) -> str:
    if not is_ours(policy):
        return "watched" if is_watched(policy) else "not managed by lastcall"
    if policy.transient == "leave" and not guest.persistent:
        return "transient, and transient guests are left"
    if facts.condition is Condition.ARRIVING:
        return f"{Condition.ARRIVING.value}: stopping it now could lose it"
    freely = guest.state is GuestState.PAUSED and facts.condition is Condition.FREE and facts.job is None
    if policy.paused == "leave" and freely:
        return "paused, and paused guests are left"
    return ""


def _ladder(
    guest: Guest, policy: GuestPolicy, facts: GuestFacts, methods: Mapping[str, Any], *, endless: bool
) -> tuple[Step, ...]:
    if guest.state is GuestState.CRASHED:
        return ()  # it hears nothing any more: straight to the last resort
    if facts.condition is Condition.IO_ERROR:
        # It hears nothing while its disk is full, but its memory and what it has yet to write are whole.
        savable = SAVE in methods and guest.persistent and not facts.unsaveable
        return (Step(SAVE, policy.timeout),) if savable else ()
    # LXC refuses ACPI and agent (error 8). The plain request and initctl report success and reach
    # nobody, unless the container has an initctl.
    container = guest.driver == "LXC"
    chosen = () if container and "stop" not in policy.model_fields_set else policy.stop
    known = [step for step in chosen if step.chosen[0] in methods]
    steps = [_step(step, policy, methods) for step in known]
    # Nobody waits for this guest: its last rung may as well last until the last resort.
    if endless and known and not _own_timeout(known[-1]):
        steps[-1] = replace(steps[-1], timeout=None)
    if container and SIGNAL in methods and all(step.method != SIGNAL for step in steps):
        model = methods[SIGNAL].options  # a container has no power button: its init gets signals
        steps += [Step(SIGNAL, policy.timeout, model.model_validate(number)) for number in _CONTAINER_SIGNALS]
    return tuple(_prepared(guest, policy, facts, methods, steps or [Step(CORE_METHOD, policy.timeout, insists=True)]))


def _prepared(
    guest: Guest, policy: GuestPolicy, facts: GuestFacts, methods: Mapping[str, Any], steps: list[Step]
) -> list[Step]:
    """Add what brings the guest into a state that can stop. libvirt refuses ACPI for a paused guest (error 55)."""
    if guest.state is GuestState.SUSPENDED:
        return [Step(WAKE, PREPARE_TIMEOUT), *steps]
    if guest.state is not GuestState.PAUSED:
        return steps
    # A guest that moves stays as somebody has left it.
    moving = [*takewhile(lambda step: step.moves, steps)]
    steps = steps[len(moving) :]
    resume = [Step(RESUME, PREPARE_TIMEOUT)] if steps else []
    if policy.paused != SAVE or SAVE not in methods or not guest.persistent or facts.unsaveable:
        return [*moving, *resume, *steps]
    others = [step for step in steps if step.method != SAVE]
    # A saved image keeps the pause: the guest comes back as somebody has left it.
    return [*moving, Step(SAVE, policy.timeout), *([*resume, *others] if others else [])]


def _step(step: LadderStep, policy: GuestPolicy, methods: Mapping[str, Any]) -> Step:
    method, options = step.chosen
    moves = _is_move(methods[method])
    return Step(
        method,
        _own_timeout(step) or policy.timeout,
        options,
        targets=tuple(getattr(options, "to", ())) if moves else (),
        comes_back=bool(getattr(options, "come_back", True)),
    )


def _last(method: str, options: Any, policy: GuestPolicy, *, endless: bool) -> Step:
    """A step of the last resort: has its own time, or what is left where nobody waits for the guest."""
    own = getattr(options, "timeout", None)
    # Given up after a guest's 10 s, the plug of a QEMU that hangs took effect when its guest was reported as running.
    return Step(method, own or (None if endless else max(policy.timeout, PLUG)), options, last_resort=True)


def _own_timeout(step: LadderStep) -> float | None:
    return getattr(step.chosen[1], "timeout", None)


def _is_move(method: Any) -> bool:
    return getattr(method, "outcome", None) is Outcome.MOVED


def _too_late(name: str, guest: Guest, *, ends: bool) -> Problem:
    then = f"{DESTROY} takes its place" if ends else "the step is skipped"
    message = f"{name!r} is no last resort, as it depends on another host; {then}"
    return Problem(what="ladder", where=guest.name, message=message, remedy="put it into `stop`, before what asks")


def _unknown(name: str, guest: Guest, methods: Mapping[str, Any], *, ends: bool) -> Problem:
    """`ends`: it is where the last resort ends."""
    then = f"{DESTROY} takes its place" if ends and DESTROY in methods else "the step is skipped"
    remedy = f"methods there are: {', '.join(sorted(methods))}; `lastcall plugins` says what could not be loaded"
    meant = did_you_mean(name, methods)
    if name == LEAVE:
        meant, remedy = "", LEAVE_IS_LAST
    message = f"no plugin provides the stop method {name!r}{meant}; {then}"
    return Problem(what="ladder", where=guest.name, message=message, remedy=remedy)
