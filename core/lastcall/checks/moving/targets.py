"""What speaks against moving guests to the hosts that their ladders name, judging by what these say."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from lastcall.api.guests import Guest, GuestState, Key, host_of
from lastcall.api.naming.guest_names import GuestNames
from lastcall.checks.moving.travellers import Traveller, travellers
from lastcall.config.policies import Policies
from lastcall.errors import LastcallError, Problem, Severity, in_words
from lastcall.formats.bounded_text import first_names
from lastcall.hypervisor.moving.other_hosts import OtherHosts, Surroundings, Welcome
from lastcall.hypervisor.ports import PLAIN, GuestFacts

WHAT = "migrate"


async def look_at_targets(
    hosts: OtherHosts, guests: Sequence[Guest], policies: Policies, facts: Mapping[Key, GuestFacts]
) -> list[Problem]:
    """Ask all of these hosts at once, each in a bounded time."""
    by_host = defaultdict[str, list[Traveller]](list)
    for one in travellers(guests, policies):
        by_host[one.uri].append(one)
    found = await asyncio.gather(*(_of_host(hosts, uri, some, facts) for uri, some in by_host.items()))
    return [*chain.from_iterable(found)]


async def _of_host(
    hosts: OtherHosts, uri: str, some: Sequence[Traveller], facts: Mapping[Key, GuestFacts]
) -> list[Problem]:
    try:
        seen = await hosts.inspect(uri, [one.guest for one in some])
    except (LastcallError, TimeoutError) as error:
        names = first_names([*GuestNames(one.guest for one in some).values()], 3)
        message = f"cannot be reached, to which {names} would be moved: {in_words(error)}"
        return [_problem(uri, message, getattr(error, "remedy", "") or f"`virsh -c {uri} list` has to work")]
    if seen.is_here:
        return [_problem(uri, "is this host itself", "name another one in `to`")]
    return [
        *_of_the_host(uri, seen, some, facts),
        *chain.from_iterable(_of_guest(uri, seen, one, facts) for one in some),
    ]


def _of_the_host(
    uri: str, seen: Surroundings, some: Sequence[Traveller], facts: Mapping[Key, GuestFacts]
) -> Iterator[Problem]:
    wanted = sum(facts.get(one.guest.key, PLAIN).memory for one in some if one.first)
    if wanted > seen.free:
        message = f"has {seen.free >> 20} MiB of memory left, and those who would come need {wanted >> 20} MiB"
        yield _problem(uri, message, "name a second host in `to`; who finds no room is stopped", Severity.WARNING)
    for what, theirs, ours in seen.older:
        message = f"has {what} {theirs}, and this host {ours}: what is new here is not known there"
        remedy = f"upgrade {what} there first; machine types of guests that are to move have to be known there"
        yield _problem(uri, message, remedy, Severity.WARNING)


def _of_guest(uri: str, seen: Surroundings, one: Traveller, facts: Mapping[Key, GuestFacts]) -> Iterator[Problem]:
    name, host = one.guest.name, host_of(uri)
    welcome = seen.guests.get(one.guest.key, Welcome())
    if welcome.cpu:
        remedy = "a `<cpu>` that both hosts have (`virsh hypervisor-cpu-baseline`), or another host"
        yield _problem(name, f"{host} has not the processor that it sees: {welcome.cpu}", remedy)
    if welcome.namesake:
        message = f"{host} has another guest of that name ({welcome.namesake})"
        yield _problem(name, message, "rename one of them: libvirt refuses the migration")
    if welcome.double is GuestState.OFF:
        message = f"it is defined at {host} as well, and could be started there while it runs here"
        yield _problem(name, message, f"`virsh -c {uri} undefine {name}`", Severity.WARNING)
    elif welcome.double:
        message = f"a guest with its UUID is {welcome.double.value} at {host} while it runs here"
        yield _problem(name, message, "find out which of them has the data that counts, and end the other one")
    for missing in welcome.lacks:
        yield _problem(name, f"{host} has no active {missing}", f"define and start it there (`virsh -c {uri}`)")
    if facts.get(one.guest.key, PLAIN).autostart and not one.comes_back:
        message = f"its autostart does not travel: moved for good, it is not started at boot at {host}"
        yield _problem(name, message, f"`virsh -c {uri} autostart {name}` once it is there", Severity.WARNING)


def _problem(where: str, message: str, remedy: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(what=WHAT, where=where, message=message, remedy=remedy, severity=severity)
