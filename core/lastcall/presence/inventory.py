"""What is known of guests: their facts, the settings they bring along, and the plan that follows from both."""

import asyncio
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from lastcall.api.guests import Guest, GuestState, Key, RunKind
from lastcall.config.guest_settings import GuestPolicy
from lastcall.config.metadata import read_metadata
from lastcall.config.policies import OWN_WORD, Policies
from lastcall.config.policy.management import is_watched
from lastcall.errors import Severity
from lastcall.formats.bounded_text import said
from lastcall.hooks.call import RunContext
from lastcall.hooks.dispatch import Fired, Hooks
from lastcall.hypervisor.ports import Condition, GuestFacts
from lastcall.ordering.graph import make_graph
from lastcall.persistence.last_look import LastLook, Seen
from lastcall.planning.hook_times import HookBoxes
from lastcall.planning.plan import Circumstances, Plan, PlannedGuest, make_plan, plan_guest
from lastcall.planning.unforced import BRINGS_BACK, as_unforced
from lastcall.planning.watched import without_idle
from lastcall.presence.connections import Connections
from lastcall.presence.given_settings import read_given
from lastcall.records.found_problems import first_of
from lastcall.records.stream import Stream
from lastcall.threads.workers import Workers
from lastcall.timing.budget import STEP, WRITING

T = TypeVar("T")

JUDGING = 2.0  # seconds for what a guest brings along, which is milliseconds
TOLD = 5  # mistakes of one answer
KEEPING = 1.0  # seconds for reading or writing the last look, which is milliseconds where the disk answers
AT_ITS_TURN = 1.0  # seconds for a guest that is looked at once more
_ENDLESS = "a plugin does not come to an end with it"
FEW = 10  # guests that are named one by one when they cannot be looked at


class Inventory:
    """Looks at guests, and plans for them. `methods` are the stop methods by name, `model` that of a guest's keys.

    What is not known of a guest makes it one `in doubt`: a host stop asks it last, a voluntary run leaves it alone.
    """

    def __init__(
        self,
        connections: Connections,
        policies: Policies,
        hooks: Hooks,
        context: RunContext,
        last_look: LastLook,
        workers: Workers,
        stream: Stream,
        *,
        methods: Mapping[str, Any],
        model: type[GuestPolicy],
    ) -> None:
        self.connections = connections
        self.policies = policies
        self.facts: dict[Key, GuestFacts] = {}
        self._hooks = hooks
        self._context = context
        self._last_look = last_look
        self._workers = workers
        self._stream = stream
        self._methods = methods
        self._model = model
        self._doubts: dict[Key, str] = {}

    async def learn(self, guests: Sequence[Guest]) -> None:
        """Look at these guests: their facts, their metadata, and what plugins know of them."""
        by_uri: dict[str, list[Guest]] = {}
        for guest in guests:
            self.policies.forget(guest)
            self._doubts.pop(guest.key, None)
            by_uri.setdefault(guest.uri, []).append(guest)
        open_uris = self.connections.uris
        looks = await asyncio.gather(*(self._look(uri, some) for uri, some in by_uri.items() if uri in open_uris))
        seen = {key: facts.metadata for found in looks for key, facts in found.items()}
        await asyncio.gather(self._remember(seen), self._ask_plugins(guests))
        self._put_last([guest for guest in guests if guest.key in self._doubts])

    async def neighbours(self, ours: Sequence[Guest]) -> list[Guest]:
        """The guests of neighbours, looked at as far as they answer at once: what they say of themselves counts here,
        and what is wrong with it is told there. `ours`: those of our own connections.
        """
        beside = self.connections.neighbours
        found = await self.connections.beside(ours)
        self.policies.watch(beside.uris)
        by_uri: dict[str, list[Guest]] = {}
        for guest in found:
            by_uri.setdefault(guest.uri, []).append(guest)
        for looked in await asyncio.gather(*(beside.look(uri, some) for uri, some in by_uri.items())):
            self.facts.update(looked.facts)
        metadata = [(guest, self.facts[guest.key].metadata) for guest in found if guest.key in self.facts]
        await self._take_metadata(metadata, told=False)
        return [guest for guest in found if is_watched(self.policies.of(guest))]

    async def plan(
        self, guests: Sequence[Guest], parallel: int, *, limited: bool, neighbours: Sequence[Guest] = ()
    ) -> Plan:
        """Make the plan for these guests. `limited`: the run has a deadline. `neighbours`: those of other hosts."""
        everybody = [*guests, *neighbours]
        # Two further listings, only where somebody needs a guest that may exist and not run.
        needs = any(self.policies.of(guest).depends_on for guest in everybody)
        others, all_known = await self.connections.names() if needs else ((), True)
        around = replace(self.circumstances(parallel, limited=limited), others=others, all_known=all_known)
        plan = without_idle(make_plan(everybody, self.policies, around), neighbours)
        plan = replace(plan, guests=tuple(map(self._for_occasion, plan.guests)))
        return replace(plan, guests=tuple(map(self._with_care, plan.guests))) if self._doubts else plan

    def circumstances(self, parallel: int, *, limited: bool) -> Circumstances:
        """What a plan depends on besides the guests and their settings, as far as it is known without asking."""
        return Circumstances(
            methods=self._methods, facts=self.facts, limited=limited, slots=parallel,
            patience=self.connections.neighbours.patience,
        )  # fmt: skip

    def hook_boxes(self, plan: Plan, budget: float, left: float | None) -> HookBoxes:
        """The calls before guests are asked, with their time boxes. `budget`: the seconds of all of `pre_shutdown`, of
        which no more than a share of what is `left` counts.
        """
        guests = [planned for planned in plan.guests if not planned.left_because]
        return HookBoxes(
            run=self._hooks.calls("pre_shutdown"),
            limit=min(budget, STEP.of(left)),
            budget=budget,
            guests={one.guest.key: self._hooks.calls("on_guest_stop", one.guest, one.hook_timeout) for one in guests},
        )

    async def warn_of_those_left(self, everybody: Sequence[Guest], stopping: Container[Key]) -> None:
        """A run for chosen guests may take away what others need that go on. `everybody`: all that are active."""
        staying = [guest for guest in everybody if guest.key not in stopping]
        if not staying:
            return
        await self.learn(staying)
        needs = make_graph(everybody, self.policies, ()).needs
        going = {guest.key: guest.name for guest in everybody if guest.key in stopping}
        for guest in staying:
            needed = sorted(name for key, name in going.items() if key in needs[guest.key])
            if needed:
                message = f"goes on and needs {', '.join(needed)}"
                self._stream.problem("order", guest.name, message, "name it, too", Severity.WARNING)

    async def plan_anew(self, planned: PlannedGuest, state: GuestState, *, limited: bool) -> PlannedGuest:
        """Look at a guest once more, now that its turn has come; what cannot be looked at stays as it was planned."""
        guest = replace(planned.guest, state=state)
        if not await self.look_anew(guest):
            return planned
        around = Circumstances(methods=self._methods, facts=self.facts, limited=limited)
        anew = plan_guest(guest, self.policies.of(guest), around, awaited=planned.awaited)
        if anew.facts.condition is Condition.ARRIVING:
            return anew  # somebody's migration has come to where its memory is on two hosts: it could be lost on both
        anew = self._for_occasion(anew)
        # Left as one that was paused at planning: asked, it refused, and its plug was pulled. Who is paused once it has
        # been asked is in the middle of its stop.
        left = guest.state is GuestState.PAUSED and not self._stream.story.tried(guest.key)
        return anew if left or not anew.left_because else planned

    async def look_anew(self, guest: Guest) -> GuestFacts | None:
        """The facts of a guest as they are now, in this state; None where it cannot be looked at."""
        looked = await self.connections.look(guest.uri, [guest], within=AT_ITS_TURN)
        self.facts.update(looked.facts)
        return looked.facts.get(guest.key)

    def _for_occasion(self, planned: PlannedGuest) -> PlannedGuest:
        reason = self._context.terms.reason
        return as_unforced(planned, self._methods, reason) if reason in BRINGS_BACK else planned

    def _with_care(self, planned: PlannedGuest) -> PlannedGuest:
        """A run that nothing forces leaves a guest alone that may be none of its business."""
        doubt = self._doubts.get(planned.guest.key)
        if doubt is None or planned.left_because or not self._context.terms.reason.voluntary:
            return planned
        return replace(planned, steps=(), last_resort=(), restore=False, left_because=doubt)

    async def _look(self, uri: str, guests: Sequence[Guest]) -> Mapping[Key, GuestFacts]:
        """Look at guests of one connection; returns the facts of those that answered."""
        looked = await self.connections.look(uri, guests)
        self.facts.update(looked.facts)
        await self._take_metadata(
            [(guest, looked.facts[guest.key].metadata) for guest in guests if guest.key in looked.facts]
        )
        # Who was moved to another host is not known here any more, and nor is whom it needs.
        known_here = looked.facts.keys() | looked.silent.keys()
        await self._take_remembered([guest for guest in guests if guest.key not in known_here])
        silent = [guest for guest in guests if guest.key in looked.silent]
        if silent:
            recalled = await self._recall(silent)
            known = [guest for guest in silent if guest.key in recalled]
            await self._take_metadata([(guest, recalled[guest.key].metadata) for guest in known])
            unknown = [guest for guest in silent if guest.key not in recalled]
            self._doubts |= {guest.key: f"cannot be looked at: {looked.silent[guest.key]}" for guest in unknown}
            days = {key: f"what its metadata said on {seen.day} counts" for key, seen in recalled.items()}
            self._tell(uri, known, looked.silent, lambda guest: days[guest.key], Severity.WARNING)
            self._tell(uri, unknown, looked.silent, lambda _: f"nor was it before; {self._care}", Severity.ERROR)
        return looked.facts

    async def _take_remembered(self, gone: Sequence[Guest]) -> None:
        if not gone:
            return
        recalled = await self._recall(gone)
        await self._take_metadata([(guest, recalled[guest.key].metadata) for guest in gone if guest.key in recalled])

    def _tell(
        self,
        uri: str,
        guests: Sequence[Guest],
        silent: Mapping[Key, str],
        what_counts: Callable[[Guest], str],
        severity: Severity,
    ) -> None:
        """Report who could not be looked at: each by its name, or in one sentence where they are many."""
        for guest in guests[:FEW]:
            message = f"cannot be looked at: {silent[guest.key]}; {what_counts(guest)}"
            self._stream.problem("guest", guest.name, message, "is its QEMU hanging?", severity)
        if len(guests) > FEW:
            message = f"{len(guests) - FEW} more guests cannot be looked at: {silent[guests[-1].key]}"
            self._stream.problem("connection", uri, message, severity=severity)

    @property
    def _care(self) -> str:
        """What becomes of a guest in doubt."""
        if self._context.kind is RunKind.RESTORE:
            return "only the configuration counts"
        return "it is left alone" if self._context.terms.reason.voluntary else "it is asked last"

    def _put_last(self, guests: Sequence[Guest]) -> None:
        """Let guests in doubt wait for all others, where no rule says otherwise: who starts first stops last."""
        if not guests or self._context.kind is RunKind.RESTORE:
            return
        orders = [self.policies.of(guest).order for guest in self._context.guests]
        first = min((order for order in orders if order is not None), default=1) - 1
        for guest in guests:
            self.policies.learn(guest, "in doubt", self._model.model_validate({"order": first}))

    async def _take_metadata(self, found: Sequence[tuple[Guest, Mapping[str, str]]], *, told: bool = True) -> None:
        await asyncio.gather(*(self._read_metadata(guest, texts, told=told) for guest, texts in found if texts))

    async def _read_metadata(self, guest: Guest, texts: Mapping[str, str], *, told: bool) -> None:
        """In a worker: plugins have a say in what is right for their keys, and the guest has chosen what they judge."""
        try:
            policy, problems = await self._judged(lambda: read_metadata(self._model, guest, texts))
        except Exception as error:  # noqa: BLE001  whatever it is, it costs this guest that key
            if len(texts) > 1:
                await self._take_metadata([(guest, {key: text}) for key, text in texts.items()], told=told)
                return
            message = f"{next(iter(texts))}: cannot be judged: {said(error) or _ENDLESS}; it is not used"
            if told:
                self._stream.problem("metadata", guest.name, message, "set it in the configuration file")
            return
        if told:
            self._stream.problems(first_of(problems), source=("metadata", guest.key))
        if policy is not None:
            self.policies.learn(guest, OWN_WORD, policy)

    async def _judged(self, work: Callable[[], T]) -> T:
        async with self._context.terms.bounded(STEP, JUDGING):
            return await self._workers.call(work, timeout=JUDGING)

    async def _recall(self, guests: Sequence[Guest]) -> Mapping[Key, Seen]:
        keys = [guest.key for guest in guests]
        return await self._with_disk(lambda: self._last_look.recall(keys), {})

    async def _remember(self, metadata: Mapping[Key, Mapping[str, str]]) -> None:
        # A rehearsal makes no folder: where there is none yet, whoever tries lastcall out wants to see none.
        make_folder = not self._context.rehearsal
        if metadata:
            await self._with_disk(lambda: self._last_look.remember(metadata, make_folder=make_folder), None)

    async def _with_disk(self, work: Callable[[], T], otherwise: T) -> T:
        """Read or write in bounded time; `otherwise` where the disk does not answer."""
        try:
            async with self._context.terms.bounded(WRITING, KEEPING):
                return await self._workers.call(work, timeout=KEEPING)
        except TimeoutError:
            return otherwise

    async def _ask_plugins(self, guests: Sequence[Guest]) -> None:
        if self._hooks.listens("guest_settings"):
            # A plugin that hangs may cost the guests a part of their time, but not their last call.
            until = self._context.terms.soon(STEP)
            await asyncio.gather(*(self._ask_for_settings(guest, until) for guest in guests))

    async def _ask_for_settings(self, guest: Guest, until: float) -> None:
        fired = await self._hooks.fire("guest_settings", guest, until=until, share=STEP)
        for plugin, answer in fired.answers:
            await self._take_settings(guest, plugin, answer, fired)
        for failed in fired.failures:
            message = f"guest_settings of {failed.plugin}: {failed.words}"
            self._stream.problem("plugin", guest.name, message, "what is wrong there does not count")
        if fired.verdict == "skip_guest":
            self._doubts.setdefault(guest.key, fired.because)

    async def _take_settings(self, guest: Guest, plugin: str, answer: Mapping[str, Any], fired: Fired) -> None:
        try:
            policy, wrong = await self._judged(lambda: read_given(self._model, plugin, answer))
        except Exception as error:  # noqa: BLE001  as above
            policy, wrong = None, [f"cannot be judged: {said(error) or _ENDLESS}"]
        if policy is not None:
            self.policies.learn(guest, plugin, policy)
        if wrong:
            self._hooks.refuse("guest_settings", plugin, fired, "; ".join(wrong[:TOLD]))
