"""Which guests of neighbours hold somebody of ours up, and the plan without all others."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from lastcall.api.guests import Guest, Key
from lastcall.ordering.graph import Graph
from lastcall.ordering.nodes import Node
from lastcall.planning.plan import Plan


def without_idle(plan: Plan, neighbours: Collection[Guest]) -> Plan:
    """The plan without those of the neighbours' guests that need nobody here: a rack has a thousand of them."""
    others = {guest.key for guest in neighbours}
    if not others:
        return plan
    ours = [one.guest.key for one in plan.guests if one.guest.key not in others and one.watched is None]
    idle = others - _above(ours, plan.graph.needed_by)
    kept: dict[Node, Collection[Node]] = {
        node: [one for one in needed if one not in idle]
        for node, needed in plan.graph.needs.items()
        if node not in idle
    }
    guests = tuple(one for one in plan.guests if one.guest.key not in idle)
    return replace(plan, guests=guests, graph=Graph(kept, plan.graph.problems))


def who_goes_on(plan: Plan) -> Mapping[str, Sequence[str]]:
    """The watched guests that nobody waits for, as they are called, each with those it needs that are going to stop."""
    going = {one.guest.key for one in plan.guests if not one.left_because}
    needs = {one.guest.key: going & set(plan.graph.needs[one.guest.key]) for one in plan.guests if one.watched == 0.0}
    if not any(needs.values()):
        return {}
    called = plan.called
    return {called[key]: sorted(called[one] for one in needed) for key, needed in needs.items() if needed}


def _above(keys: Collection[Key], needed_by: Mapping[Node, Collection[Node]]) -> set[Node]:
    found, ahead = set[Node](), list[Node](keys)
    while ahead:
        fresh = [one for one in needed_by[ahead.pop()] if one not in found]
        found.update(fresh)
        ahead += fresh
    return found
