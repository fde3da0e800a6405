"""A look at guests of which some do not answer: what the others say is kept, and soon."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from lab.patience import LONGEST
from lastcall import Guest
from lastcall.errors import HypervisorError
from lastcall.hypervisor import domain_facts, look
from lastcall.hypervisor.look import AT_ONCE, Look, Looking
from lastcall.hypervisor.pool import LibvirtHypervisor
from lastcall.hypervisor.ports import GuestFacts, Looked, Target
from lastcall.threads.workers import ThreadWorkers

OWN = "<l:guest xmlns:l='https://lastcall.dev/xmlns/guest/1'><l:order>3</l:order></l:guest>"
XML = f"<domain><metadata>{OWN}</metadata></domain>"


class Domain:
    """A domain as a look asks it."""

    def __init__(self, xml: Callable[[], str], job: Callable[[], object]) -> None:
        self._xml, self._job = xml, job

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802  libvirt's name
        return self._xml()

    def controlInfo(self) -> list[int]:  # noqa: N802  libvirt's name
        self._job()
        return [0, 0, 0]

    def jobStats(self) -> dict[str, int]:  # noqa: N802  libvirt's name
        return {"type": 0}

    def state(self) -> tuple[int, int]:
        return 1, 1


class Alive:
    """A connection that lives, or does not."""

    def __init__(self, *, alive: bool = True) -> None:
        self._alive = alive

    def isAlive(self) -> bool:  # noqa: N802  libvirt's name
        return self._alive


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def failure(code: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("said by a test")
    error.err = (code, 10, "said by a test", 2, "", "", "", 0, 0)
    return error


def guests(count: int) -> list[Guest]:
    return [Guest(uri="u", uuid=f"{number:03}", name=f"g-{number:03}", driver="QEMU") for number in range(count)]


def look_at(
    count: int, domain_of: Callable[[str], Any], *, seconds: float = LONGEST, alive: bool = True, list_first: Any = None
) -> Looked:
    """Look at guests whose domains are these; `list_first` is what the batch begins with."""
    connection: Any = Alive(alive=alive)

    def go_on(one: Look, _seconds: float = 0.0) -> None:
        for guest in one:
            one.take(guest, lambda uuid=guest.uuid: (domain_of(uuid), False), connection)

    def batch(one: Look) -> None:
        if list_first:
            list_first()
        go_on(one)

    async def story() -> Looked:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        workers = ThreadWorkers(loop)
        return await Looking(workers, workers, guests(count), batch, go_on).until(lambda: end)

    return asyncio.run(story())


def test_more_guests_than_a_daemon_answers_for_in_silence_are_not_waited_for_all_the_time_that_there_is(
    released: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "SILENCE", 2.0)

    def hangs(_uuid: str) -> Domain:
        released.wait(LONGEST)
        raise failure(1)

    began = time.monotonic()
    found = look_at(3 * AT_ONCE, hangs, seconds=LONGEST)
    assert len(found.silent) == 3 * AT_ONCE
    assert time.monotonic() - began < LONGEST / 4


@pytest.mark.parametrize("stuck", [{"000"}, {"049"}, {f"{number:03}" for number in range(10, 10 + AT_ONCE - 1)}])
def test_who_does_not_answer_costs_nobody_else(released: threading.Event, stuck: set[str]) -> None:
    def xml(uuid: str) -> str:
        if uuid in stuck:
            released.wait(LONGEST)
        return XML

    looked = look_at(50, lambda uuid: Domain(lambda: xml(uuid), lambda: None))
    assert {key[1] for key in looked.silent} == stuck
    assert all("does not answer" in why for why in looked.silent.values())
    assert len(looked.facts) == 50 - len(stuck)
    assert {facts.metadata["order"] for facts in looked.facts.values()} == {"3"}


@pytest.mark.parametrize("count", [4, 5, AT_ONCE - 1])
def test_nor_does_it_by_the_ways_of_a_real_connection(
    released: threading.Event, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int
) -> None:
    names = [f"g-{number:03}" for number in range(50)]
    stuck = set(names[10 : 10 + count])
    domains = [f"<domain type='test'><name>{name}</name><memory>1</memory><os><type>hvm</type></os></domain>"
               for name in names]  # fmt: skip
    (tmp_path / "node.xml").write_text(f"<node>{''.join(domains)}</node>")
    facts_of = domain_facts.facts_of

    def slow_facts_of(domain: libvirt.virDomain, *, autostart: bool) -> GuestFacts:
        if domain.name() in stuck:
            released.wait(LONGEST)
        return facts_of(domain, autostart=autostart)

    monkeypatch.setattr(look, "facts_of", slow_facts_of)

    async def story() -> tuple[set[str], Looked]:
        loop = asyncio.get_running_loop()
        hypervisor, uri = LibvirtHypervisor(ThreadWorkers(loop)), f"test://{tmp_path}/node.xml"
        await hypervisor.connect([Target(uri=uri)], lambda _: None)
        everybody = await hypervisor.active(uri)
        end = loop.time() + LONGEST
        looked = await hypervisor.look(uri, everybody, until=lambda: end)
        return {guest.name for guest in everybody if guest.key in looked.silent}, looked

    silent, looked = asyncio.run(story())
    assert silent == stuck
    assert len(looked.facts) == 50 - count


def test_a_listing_that_hangs_costs_nobody_its_look(released: threading.Event) -> None:
    looked = look_at(20, lambda _: Domain(lambda: XML, lambda: None), list_first=lambda: released.wait(LONGEST))
    assert (len(looked.facts), looked.silent) == (20, {})


def test_a_listing_that_fails_costs_nobody_its_look() -> None:
    def fails() -> None:
        raise HypervisorError("no")

    looked = look_at(20, lambda _: Domain(lambda: XML, lambda: None), list_first=fails)
    assert (len(looked.facts), looked.silent) == (20, {})


def test_metadata_count_of_a_guest_whose_job_cannot_be_asked_for(released: threading.Event) -> None:
    looked = look_at(3, lambda uuid: Domain(lambda: XML, lambda: released.wait(LONGEST) if uuid == "001" else None))
    assert (len(looked.facts), looked.silent) == (3, {})


def test_where_nobody_answers_the_time_is_all_that_it_costs(released: threading.Event) -> None:
    looked = look_at(3, lambda _: Domain(lambda: str(released.wait(LONGEST)), lambda: None), seconds=0.2)
    assert (looked.facts, len(looked.silent)) == ({}, 3)


@pytest.mark.parametrize(
    ("code", "silent"), [(libvirt.VIR_ERR_NO_DOMAIN, 0), (libvirt.VIR_ERR_XML_ERROR, 1), (libvirt.VIR_ERR_RPC, 1)]
)
def test_the_error_of_one_guest_is_its_own_and_who_is_gone_is_gone(code: int, silent: int) -> None:
    def domain_of(uuid: str) -> Any:
        if uuid == "007":
            raise failure(code)
        return Domain(lambda: XML, lambda: None)

    looked = look_at(20, domain_of)
    assert (len(looked.facts), len(looked.silent)) == (19, silent)


def test_xml_that_nobody_can_read_is_one_guests_own() -> None:
    looked = look_at(9, lambda uuid: Domain(lambda: "<" if uuid == "003" else XML, lambda: None))
    assert len(looked.facts) == 8
    assert "cannot be read" in looked.silent["u", "003"]


def test_a_connection_that_dies_takes_only_those_that_had_not_answered() -> None:
    def domain_of(uuid: str) -> Any:
        if uuid == "007":
            raise failure(libvirt.VIR_ERR_RPC)
        return Domain(lambda: XML, lambda: None)

    looked = look_at(20, domain_of, alive=False)
    assert len(looked.facts) == 7
    assert len(looked.silent) == 13
    assert all("connection to libvirt was lost" in why for why in looked.silent.values())
