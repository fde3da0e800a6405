"""What a site wants in an outage, and what its UPSes say, by what plugins answer."""

import asyncio

from lastcall.api.power import PowerPolicy, Supply
from lastcall.hooks.dispatch import Fired, Hooks
from lastcall.timing.budget import SUPPLIES
from lastcall.timing.terms import Terms

POLICY, UPSES = "power_policy", "power_supplies"


class PowerQuestions:
    """Asks plugins, within their share of the time; raises nothing. What fails is recorded as that plugin's failure."""

    def __init__(self, hooks: Hooks, terms: Terms, loop: asyncio.AbstractEventLoop) -> None:
        self._hooks, self._terms, self._loop = hooks, terms, loop

    async def policy(self) -> PowerPolicy:
        """The first answer in the firing order; the defaults where nobody answers."""
        fired = await self._fire(POLICY)
        return next((answer for _, answer in fired.answers), PowerPolicy())

    async def supplies(self) -> tuple[Supply, ...]:
        """What all UPSes of all plugins say now; each name once, as the first plugin has it."""
        fired = await self._fire(UPSES)
        found = dict[str, Supply]()
        for _, answer in fired.answers:
            for one in answer:
                found.setdefault(one.name, one)
        return tuple(found.values())

    async def _fire(self, hook: str) -> Fired:
        return await self._hooks.fire(hook, until=self._terms.soon(SUPPLIES), share=SUPPLIES)
