"""Whose turn it is, where some of the guests in the graph have no part in what is done."""

import asyncio
from collections.abc import Container

from lastcall.api.guests import Key
from lastcall.ordering.nodes import Edges, Rank
from lastcall.ordering.queue import ParallelLimits, TurnQueue
from lastcall.ordering.scheduler import Scheduler


def turns_of(some: Container[Key], waits: Edges, limits: ParallelLimits, loop: asyncio.AbstractEventLoop) -> Scheduler:
    """Turns for these guests alone; the others only hand the order on."""
    scheduler = Scheduler(TurnQueue(waits, limits, lambda _: 0.0), loop)
    for node in list(waits):
        if not isinstance(node, Rank) and node not in some:
            scheduler.done(node)
    return scheduler
