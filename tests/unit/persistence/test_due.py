"""Which entries of the list are due at which boot."""

from pathlib import Path

from lastcall import Guest
from lastcall.persistence.state import StateFile

GUEST = Guest(uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db 1")


OTHER = Guest(uri="qemu:///system", uuid="66666666-2222-3333-4444-555555555555", name="web")


def test_what_a_cut_off_restore_has_left_is_due_at_the_next_boot_and_what_was_left_for_a_person_is_not(
    tmp_path: Path,
) -> None:
    state = StateFile(tmp_path)
    state.add([GUEST], run="r", boot_id="a", host_stop=True)
    state.stamp("a")
    state.stamp("b")
    assert [entry.is_due_from(state.previous_boot) for entry in state.entries.values()] == [True]
    cut_off = state.entries[GUEST.key]
    state.make_due("b")
    assert state.entries[GUEST.key].boot_id == "b", "no restore came to its end in b"
    state.entries[GUEST.key], state.restored_in = cut_off, "b"
    state.make_due("b")
    assert state.entries[GUEST.key].boot_id == "a", "it may run elsewhere by now"
    state.park(GUEST.key)
    assert not state.entries[GUEST.key].is_due_from("a"), "started only by name"
