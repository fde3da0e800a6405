"""What is known of guests: their facts, the settings they bring along, and the plan that follows from both."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lastcall.api.guests import Guest, GuestState
from lastcall.config.guest_settings import GuestPolicy
from lastcall.config.metadata import read_metadata
from lastcall.config.policies import Policies
from lastcall.errors import LastcallError
from lastcall.guests.connections import Connections
from lastcall.hooks.dispatch import Hooks
from lastcall.hypervisor.guest_facts import GuestFacts
from lastcall.hypervisor.ports import Hypervisor
from lastcall.planning.plan import Circumstances, Plan, PlannedGuest, make_plan, plan_guest
from lastcall.records.stream import Stream

if TYPE_CHECKING:
    from lastcall.api.guests import Key


class Inventory:
    """Looks at guests, and plans for them. `methods` are the stop methods by name, `model` that of a guest's keys."""

    def __init__(
        self,
        connections: Connections,
        hypervisor: Hypervisor,
        policies: Policies,
        hooks: Hooks,
        stream: Stream,
        *,
        methods: Mapping[str, Any],
        model: type[GuestPolicy],
    ) -> None:
        self.connections = connections
        self.policies = policies
        self.facts: dict[Key, GuestFacts] = {}
        self._hypervisor = hypervisor
        self._hooks = hooks
        self._stream = stream
        self._methods = methods
        self._model = model

    async def learn(self, guests: Sequence[Guest]) -> None:
        """Look at these guests: their facts, their metadata, and what plugins know of them."""
        by_uri: dict[str, list[Guest]] = {}
        for guest in guests:
            self.policies.forget(guest)
            by_uri.setdefault(guest.uri, []).append(guest)
        open_uris = self.connections.uris
        await asyncio.gather(*(self._look(uri, some) for uri, some in by_uri.items() if uri in open_uris))
        if self._hooks.listens("guest_settings"):
            await asyncio.gather(*(self._ask_plugins(guest) for guest in guests))

    async def plan(self, guests: Sequence[Guest], parallel: int, *, limited: bool) -> Plan:
        """Make the plan for these guests. `limited`: the run has a deadline."""
        others = list[Guest]()
        # Two further listings, only where somebody needs a guest that may exist and not run.
        if any(self.policies.of(guest).depends_on for guest in guests):
            others = [*await self.connections.inactive(), *await self.connections.active()]
        around = Circumstances(
            methods=self._methods,
            facts=self.facts,
            others=[guest.name for guest in others],
            limited=limited,
            slots=parallel,
        )
        return make_plan(guests, self.policies.of, around)

    async def plan_anew(self, planned: PlannedGuest, state: GuestState, *, limited: bool) -> PlannedGuest:
        """Look at a guest once more, now that its turn has come; what cannot be looked at stays as it was planned."""
        guest = replace(planned.guest, state=state)
        try:
            async with asyncio.timeout(self.connections.time_for_a_step()):
                self.facts.update(await self._hypervisor.facts(guest.uri, [guest]))
        except (LastcallError, TimeoutError):
            return planned
        around = Circumstances(methods=self._methods, facts=self.facts, limited=limited)
        anew = plan_guest(guest, self.policies.of(guest), around, awaited=planned.awaited)
        return planned if anew.left_because else anew

    async def _look(self, uri: str, guests: Sequence[Guest]) -> None:
        try:
            async with asyncio.timeout(self.connections.time_for_a_step()):
                found = await self._hypervisor.facts(uri, guests)
        except (LastcallError, TimeoutError) as error:
            # A guest that cannot be looked at is planned by the configuration alone: not to ask it would be worse.
            message = f"its guests cannot be looked at: {error or 'no answer'}; their metadata is not used"
            self._stream.problem("connection", uri, message)
            return
        self.facts.update(found)
        for guest in guests:
            self._take_metadata(guest, found.get(guest.key, GuestFacts()).metadata)

    def _take_metadata(self, guest: Guest, texts: Mapping[str, str]) -> None:
        if texts:
            policy, problems = read_metadata(self._model, guest, texts)
            self._stream.problems(problems)
            if policy is not None:
                self.policies.learn(guest, "metadata", policy)

    async def _ask_plugins(self, guest: Guest) -> None:
        fired = await self._hooks.fire("guest_settings", guest)
        for plugin, answer in fired.answers:
            try:
                self.policies.learn(guest, plugin, self._model.model_validate(dict(answer)))
            except ValueError as error:
                message = f"guest_settings of {plugin}: {' '.join(str(error).split())}"
                self._stream.problem("plugin", guest.name, message, "it is not used")
