"""Many hosts whose power goes at once: each stops by a run of its own, which sees the others through `watch` alone."""

import asyncio
import json
import random
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lastcall import Reason, Report, RunKind
from lastcall.config.compose import settings_model
from lastcall.config.load import parse
from lastcall.config.settings import Bootstrap, Settings
from lastcall.config.validation import validate
from lastcall.hooks.discovery import Plugins
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.assembly.parts import assemble
from lastcall.runs.assembly.stories import build_shutdown
from lastcall.runs.loading import Loaded
from lastcall.runs.request import RunRequest
from lastcall.testing.memory import FakeGuest, FakeHypervisor, InlineWorkers, VirtualLoop

APART = 2.0  # seconds between the first host that hears of the power and the last


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """`takes`: seconds of each guest, by host. `needs`: by name, on whatever host, without circles. `late`: when each
    host hears that the power is gone.
    """

    takes: Mapping[str, Mapping[str, float]]
    needs: Mapping[str, Sequence[str]]
    late: Mapping[str, float]

    @property
    def over_hosts(self) -> int:
        """How many guests need one of another host, counted for each."""
        places = {name: host for host, guests in self.takes.items() for name in guests}
        return sum(places[name] != places[one] for name, needed in self.needs.items() for one in needed)

    @property
    def longest_chain(self) -> float:
        """Seconds that nobody can do without: the longest chain, begun in the moment in which its host hears of it."""
        takes = {name: seconds for guests in self.takes.values() for name, seconds in guests.items()}
        begins = {name: self.late[host] for host, guests in self.takes.items() for name in guests}
        needed_by: dict[str, list[str]] = {name: [] for name in takes}
        for name, needed in self.needs.items():
            for one in needed:
                needed_by[one].append(name)

        @cache
        def off(name: str) -> float:
            return max([begins[name], *map(off, needed_by[name])]) + takes[name]

        return max(map(off, takes))


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStopped:
    """What became of it. `handed`: for each guest that others need, of other hosts or not, seconds between the last of
    them being off and this one being asked.

    `cpu`: seconds of all runs together; `over`: when the last guest was off.
    """

    reports: Sequence[Report]
    handed: Mapping[str, float]
    cpu: float
    over: float


def make_fleet(seed: int, *, hosts: int, guests: int) -> Fleet:
    """Draw one: of all guests every other needs one, or two, of any host, and of those of its own host."""
    chance = random.Random(seed)
    names = [(f"h{host}", f"h{host}-g{guest}") for host in range(hosts) for guest in range(guests)]
    chance.shuffle(names)
    needs: dict[str, list[str]] = {}
    for place, (_, name) in enumerate(names):
        # Only of those behind it, and not far: circles cannot be drawn, and chains are some guests long.
        below = [one for _, one in names[place + 1 : place + 40]]
        if below and chance.random() < 0.5:
            needs[name] = chance.sample(below, k=min(len(below), chance.randint(1, 2)))
    takes: dict[str, dict[str, float]] = {}
    for host, name in names:
        takes.setdefault(host, {})[name] = round(chance.uniform(0.5, 4.0), 3)
    late = {host: round(chance.uniform(0.0, APART), 3) for host in takes}
    return Fleet(takes=takes, needs=needs, late=late)


def stop(fleet: Fleet, folder: Path, *, gone: Collection[str] = (), deadline: str = "10min") -> FleetStopped:
    """Let the power go everywhere; of those hosts that are `gone` nobody hears anything."""
    places = {name: host for host, guests in fleet.takes.items() for name in guests}
    fakes = {name: FakeGuest(name, uri=_uri(host), takes=fleet.takes[host][name]) for name, host in places.items()}
    with closing(VirtualLoop()) as loop:
        hypervisor = FakeHypervisor(list(fakes.values()), loop, dead=[_uri(host) for host in gone])

        async def run(host: str) -> Report:
            await asyncio.sleep(fleet.late[host])
            outside = Outside(InlineWorkers(), hypervisor, lambda log, _ends: log.take, wait=lambda _event, _for: None)
            request = RunRequest(kind=RunKind.SHUTDOWN, reason=Reason.POWER, started=loop.time())
            return await build_shutdown(assemble(loaded[host], request, loop, outside)).execute()

        async def everywhere() -> Sequence[Report]:
            return await asyncio.gather(*map(run, loaded))

        loaded = {host: _loaded(fleet, host, folder / host, deadline) for host in fleet.takes if host not in gone}
        began = time.process_time()
        reports = loop.run_until_complete(everywhere())
        cpu = time.process_time() - began
    free: dict[str, float] = {}
    for name, needed in fleet.needs.items():
        for one in needed:
            if places[one] in gone:
                continue
            free[one] = max(free.get(one, fleet.late[places[one]]), fakes[name].off_at or 0.0)
    return FleetStopped(
        reports=reports,
        handed={name: fakes[name].asked[0][0] - at for name, at in free.items()},
        cpu=cpu,
        over=max(fake.off_at or 0.0 for fake in fakes.values()),
    )


def _uri(host: str) -> str:
    return f"fake://{host}/system"


@cache
def _plugins() -> Plugins:
    return Plugins(Bootstrap())


@cache
def _model() -> type[Settings]:
    return settings_model(_plugins().vocabulary, rules=True)


def _loaded(fleet: Fleet, host: str, folder: Path, deadline: str) -> Loaded:
    """One file for all hosts, but for whose guests are its own."""
    connections = [_uri(host), *({"uri": _uri(other), "watch": True} for other in fleet.takes if other != host)]
    text = json.dumps(
        {
            "connections": connections,
            "paths": {"state": str(folder), "run": str(folder), "hooks": str(folder / "hooks.d")},
            "shutdown": {"deadline": deadline},
            "guests": [{"match": name, "depends_on": list(needed)} for name, needed in fleet.needs.items()],
        }
    )
    document = parse(text)
    settings, problems = validate(_model(), document.node)
    if not isinstance(settings, Settings):
        raise TypeError(f"the host's configuration is invalid: {problems}")
    return Loaded(settings, _plugins(), "file", document).for_reason(Reason.POWER)
