"""Who is given to libvirt-guests when lastcall is taken away, and who stays on our list."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lastcall.api.guests import GuestState
from lastcall.installation.given_back import give_list_back_steps
from lastcall.installation.takeover import LIST
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.fleet.maintenance import Maintenance, MaintenanceFile
from lastcall.persistence.state import StateFile
from lastcall.persistence.waiting.entry import Entry

DUE = Entry(
    uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db 1", driver="QEMU",
    state=GuestState.RUNNING, run="r", boot_id=boot_id(), since="2026-01-01T00:00:00+00:00", due=True, cause="host",
)  # fmt: skip
CONTAINER = replace(DUE, uri="lxc:///system", uuid="66666666-2222-3333-4444-555555555555", name="web")


def give_back(root: Path, *entries: Entry, settings: str = "") -> tuple[Sequence[str], str]:
    """What is said, and libvirt-guests' list afterwards."""
    state = StateFile(root)
    state.boot, state.previous_boot = boot_id(), "before"
    state.entries = {entry.guest.key: entry for entry in entries}
    state.save()
    for file in (root / LIST, root / "etc/default/libvirt-guests"):
        file.parent.mkdir(parents=True, exist_ok=True)
    (root / "etc/default/libvirt-guests").write_text(settings)
    steps = list(give_list_back_steps(root, root))
    for step in steps:
        step.do()
    return [step.text for step in steps], (root / LIST).read_text() if (root / LIST).exists() else ""


def its_guests(listed: str, uris: str) -> set[str]:
    """Whom libvirt-guests starts: it passes over a line whose URI is not written as in URIS, and forgets it."""
    lines = (line.split() for line in listed.splitlines())
    return {uuid for uri, *uuids in lines if uri in uris.split() for uuid in uuids}


@pytest.mark.parametrize("uris", ["default", "qemu:///system", "lxc:///system qemu:///system"])
@pytest.mark.parametrize("ours", ["default", "qemu:///system"])
def test_guests_are_given_back_by_the_name_that_libvirt_guests_has_for_their_connection(
    tmp_path: Path, uris: str, ours: str
) -> None:
    said, listed = give_back(tmp_path, replace(DUE, uri=ours), settings=f"URIS='{uris}'\n")
    assert its_guests(listed, uris) == {DUE.uuid}
    assert said == [f"write 1 waiting guest to {tmp_path / LIST}"]


def test_guests_of_a_connection_that_libvirt_guests_does_not_know_stay_on_our_list_and_are_named(
    tmp_path: Path,
) -> None:
    said, listed = give_back(tmp_path, DUE, CONTAINER)
    assert CONTAINER.uuid not in listed
    assert said[1:] == ["leave on our list who is on lxc:///system, which URIS of libvirt-guests has not: web"]
    (tmp_path / LIST).unlink()
    said, listed = give_back(tmp_path, DUE, CONTAINER, settings="URIS=$(cat /etc/uris)\n")
    assert its_guests(listed, "default lxc:///system") == {DUE.uuid, CONTAINER.uuid}, "what only a shell knows"


def test_a_list_that_is_there_already_is_kept_and_that_is_said(tmp_path: Path) -> None:
    give_back(tmp_path, DUE)
    said, _ = give_back(tmp_path, DUE)
    assert said == [f"leave on our list who waits, as there is a {tmp_path / LIST}: db 1"]


STAYS = {
    "may run on another host": {"where": ("qemu+ssh://other/system",)},
    "could not be started": {"parked": True},
    "was stopped by hand, or in an earlier boot": {"due": False, "cause": "hand"},
    "was stopped by hand, or in an earlier boot ": {"boot_id": "long ago"},
}


@pytest.mark.parametrize("why", STAYS)
def test_libvirt_guests_is_given_nobody_whom_the_next_boot_would_have_left_alone(tmp_path: Path, why: str) -> None:
    stays = replace(DUE, uuid=CONTAINER.uuid, name="web", **STAYS[why])
    said, listed = give_back(tmp_path, DUE, replace(DUE, uuid="8" * 8 + DUE.uuid[8:], boot_id="before"), stays)
    assert len(set(re.findall(r"\S+-\S+", listed))) == 2
    assert stays.uuid not in listed
    assert said[1:] == [f"leave on our list who {why.strip()}: web"]


def test_libvirt_guests_is_given_nobody_who_is_off_for_a_maintenance(tmp_path: Path) -> None:
    MaintenanceFile(tmp_path).write(Maintenance.begun_now([CONTAINER]))
    said, listed = give_back(tmp_path, DUE, CONTAINER, settings="URIS='default lxc:///system'\n")
    assert its_guests(listed, "default lxc:///system") == {CONTAINER.uuid}
    assert said[1:] == ["leave on our list who stays off while this host is in maintenance: db 1"]
