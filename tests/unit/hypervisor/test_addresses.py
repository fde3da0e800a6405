"""The addresses of a guest, from whoever knows them."""

import json
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import libvirt
import libvirt_qemu
import pytest

from lastcall import AddressSource, Guest, HypervisorError
from lastcall.errors import ConnectionLost, GuestGone
from lastcall.hooks.call import HookCall
from lastcall.hypervisor.domain import LibvirtDomain
from lastcall_plugins import ready
from support import run_context

GUEST = Guest(uri="qemu:///system", uuid="u", name="db-1")
SOURCES = {
    libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE: "lease",
    libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP: "arp",
}
CONNECTED = "<target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>"


class Told:
    """libvirt's domain: what each source knows of it, or how it fails."""

    def __init__(self, told: Mapping[str, Any], *, agent: bool) -> None:
        self.told, self.asked, self._agent = told, list[str](), agent

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802  libvirt's name
        return f"<domain><devices><channel>{CONNECTED if self._agent else ''}</channel></devices></domain>"

    def interfaceAddresses(self, source: int) -> dict[str, Any]:  # noqa: N802  libvirt's name
        return {"eth0": {"addrs": [{"addr": one} for one in self.found(SOURCES[source])]}}

    def found(self, source: str) -> tuple[str, ...]:
        self.asked.append(source)
        found = self.told.get(source, ())
        if isinstance(found, Exception):
            raise found
        return found


def domain_of(told: Told, monkeypatch: pytest.MonkeyPatch) -> LibvirtDomain:
    nothing: Any = None
    call = HookCall(run_context(time.monotonic), "any", expires=time.monotonic() + 600)
    domain = LibvirtDomain(nothing, GUEST, call, nothing, None, nothing)

    def ask(work: Any, *_: object, **__: object) -> Any:
        return work(told)

    def answer(_domain: object, _request: str, _seconds: int, _flags: int) -> str:
        cards = [{"ip-addresses": [{"ip-address": one} for one in told.found("agent")]}]
        return json.dumps({"return": cards})

    monkeypatch.setattr(domain, "_ask", ask)
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", answer)
    return domain


REFUSED = HypervisorError("this function is not supported", code=3)


@pytest.mark.parametrize(
    ("told", "agent", "found", "asked"),
    [
        ({"lease": ("192.0.2.1",), "agent": ("192.0.2.2", "192.0.2.1"), "arp": ("192.0.2.3",)}, True,
         ("192.0.2.1", "192.0.2.2", "192.0.2.3"), ["lease", "agent", "arp"]),
        ({"lease": ("192.0.2.1",), "agent": ("192.0.2.2",), "arp": ("127.0.0.1",)}, False,
         ("192.0.2.1",), ["lease", "arp"]),
        ({"lease": REFUSED, "agent": REFUSED, "arp": ("192.0.2.3",)}, True,
         ("192.0.2.3",), ["lease", "agent", "arp"]),
        ({"lease": REFUSED, "agent": REFUSED, "arp": REFUSED}, True, (), ["lease", "agent", "arp"]),
        ({}, False, (), ["lease", "arp"]),
    ],
)  # fmt: skip
def test_addresses_come_from_whoever_knows_them_in_the_order_in_which_they_are_believed(
    told: Mapping[str, Any], agent: bool, found: tuple[str, ...], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_libvirt = Told(told, agent=agent)
    assert domain_of(of_libvirt, monkeypatch).addresses() == found
    assert of_libvirt.asked == asked


SINGLE: tuple[AddressSource, ...] = ("lease", "agent", "arp")


@pytest.mark.parametrize("source", SINGLE)
def test_who_names_a_source_gets_its_addresses_or_its_error(
    source: AddressSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_libvirt = Told({source: ("192.0.2.7", "fe80::1")}, agent=False)
    assert domain_of(of_libvirt, monkeypatch).addresses(source) == ("192.0.2.7",)
    assert of_libvirt.asked == [source]
    with pytest.raises(HypervisorError, match="not supported"):
        domain_of(Told({source: REFUSED}, agent=True), monkeypatch).addresses(source)


@pytest.mark.parametrize("error", [ConnectionLost("the connection is dead"), GuestGone("there is no such domain")])
def test_that_nobody_can_be_asked_any_more_is_no_lack_of_addresses(
    error: HypervisorError, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(error)):
        domain_of(Told({"lease": error}, agent=True), monkeypatch).addresses()


def test_a_guest_whose_addresses_nobody_can_tell_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ready.Ready(tcp=5432)
    sources: list[dict[str, Any]] = [{}, {"lease": REFUSED}, {"lease": ConnectionLost("the connection is dead")}]
    for told in sources:
        domain = domain_of(Told(told, agent=False), monkeypatch)
        run: Any = SimpleNamespace(options=lambda *_: wanted, elapsed=lambda: 1.0, domain=lambda _, one=domain: one)  # pyright: ignore[reportUnknownLambdaType]
        assert ready.guest_ready(GUEST, run) is False
