"""Before anybody is stopped: room on the disk for guests that are to be saved, and guests without a power button."""

import shutil
from pathlib import Path

import pytest

from lastcall import GuestState
from lastcall.checks.preflight import advise
from lastcall.checks.save_room import find_tight_folders, save_folder
from lastcall.config.load import parse
from lastcall.config.policies import Policies
from lastcall.config.settings import Bootstrap
from lastcall.errors import Severity
from lastcall.hooks.discovery import Plugins
from lastcall.hypervisor.ports import GuestFacts
from lastcall.testing.memory import FakeGuest


def policies(config: str) -> Policies:
    return Policies(parse(config).settings(Plugins(Bootstrap()).vocabulary))


def tight(folder: Path | None, config: str, *fakes: FakeGuest) -> list[str]:
    """What is said of these guests, where they are saved below this folder."""
    guests, facts = [fake.guest for fake in fakes], {fake.guest.key: fake.traits for fake in fakes}
    found = list(find_tight_folders(policies(config), guests, facts, lambda _: folder))
    assert all(problem.severity is Severity.WARNING for problem in found)
    return [f"{problem.where}: {problem.message.partition(',')[0]}" for problem in found]


def large(free: int, name: str = "g", *, persistent: bool = True, state: GuestState = GuestState.RUNNING) -> FakeGuest:
    """A guest with more than half of what is free."""
    return FakeGuest(name, traits=GuestFacts(memory=free * 2 // 3), persistent=persistent, state=state)


@pytest.mark.parametrize("ladder", ["stop: [save]", "stop: [acpi, save]", "last_resort: [save, destroy]"])
def test_guests_that_may_be_saved_together_need_room_for_all_of_them(tmp_path: Path, ladder: str) -> None:
    folder, free = tmp_path / "qemu" / "save", shutil.disk_usage(tmp_path).free
    one, other = large(free), large(free, "other")
    size = (free * 2 // 3) * 2 >> 20
    assert tight(folder, f"defaults: {{{ladder}}}", one) == []
    (said,) = tight(folder, f"defaults: {{{ladder}}}", one, other)
    assert said.startswith(f"{folder}: saving 2 guests takes up to {size // 100}")


def test_who_is_never_saved_needs_no_room(tmp_path: Path) -> None:
    free = 2 * shutil.disk_usage(tmp_path).free
    guests = [
        large(free, "off", state=GuestState.OFF), large(free, "transient", persistent=False),
        FakeGuest("device", traits=GuestFacts(memory=2 * free, unsaveable="it has a PCI host device")),
    ]  # fmt: skip
    assert tight(tmp_path, "defaults: {stop: [save]}", *guests) == []
    assert tight(tmp_path, "defaults: {stop: [save], manage: false}", large(free)) == []
    assert tight(tmp_path, "{}", large(free)) == []
    assert tight(None, "defaults: {stop: [save]}", large(free)) == [], "on another host"


def test_a_paused_guest_is_saved_with_its_pause_and_needs_room(tmp_path: Path) -> None:
    paused = large(2 * shutil.disk_usage(tmp_path).free, state=GuestState.PAUSED)
    assert len(tight(tmp_path, "{}", paused)) == 1
    assert tight(tmp_path, "defaults: {paused: resume}", paused) == []


def test_only_folders_of_this_host_are_looked_at() -> None:
    assert save_folder("qemu:///system") == Path("/var/lib/libvirt/qemu/save")
    assert str(save_folder("qemu:///session")).endswith("libvirt/qemu/save")
    assert save_folder("qemu+ssh://host/system") is None
    assert save_folder("lxc:///system") is None


@pytest.mark.parametrize(
    ("config", "warned"),
    [
        ("{}", True),
        ("defaults: {stop: []}", True),
        ("defaults: {stop: [{acpi: {timeout: 5s}}, save]}", True),
        ("defaults: {stop: [agent]}", False),
        ("defaults: {stop: [save]}", False),
    ],
)
def test_a_guest_without_acpi_is_warned_of_where_its_ladder_presses_the_power_button(
    config: str, *, warned: bool
) -> None:
    deaf, hears = FakeGuest("deaf", traits=GuestFacts(deaf_to_acpi=True)), FakeGuest("hears")
    facts = {fake.guest.key: fake.traits for fake in (deaf, hears)}
    found = list(advise(policies(config), 30, [deaf.guest, hears.guest], facts))
    assert [(problem.what, problem.where) for problem in found] == ([("acpi", "deaf")] if warned else [])
