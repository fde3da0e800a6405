"""Which entries of the list are due at which boot."""

from pathlib import Path

import pytest

from lastcall import Guest
from lastcall.persistence.state import StateFile

GUEST = Guest(uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db 1")


OTHER = Guest(uri="qemu:///system", uuid="66666666-2222-3333-4444-555555555555", name="web")


def test_what_a_cut_off_restore_has_left_is_due_at_the_next_boot_and_what_was_left_for_a_person_is_not(
    tmp_path: Path,
) -> None:
    state = StateFile(tmp_path)
    state.add([GUEST], run="r", boot_id="a", cause="host", due=True)
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


@pytest.mark.parametrize("goes_down", ["in order", "by a power cut"])
def test_who_was_missed_in_a_boot_that_has_been_served_is_due_at_the_next_one_and_only_there(
    tmp_path: Path, goes_down: str
) -> None:
    state = StateFile(tmp_path)
    state.add([GUEST, OTHER], run="r", boot_id="a", cause="host", due=True)
    state.stamp("a")
    state.stamp("b")
    state.note_missed([GUEST.key, ("qemu:///system", "gone meanwhile")])
    state.restored_in = "b"
    state.save()
    state.load()
    if goes_down == "in order":
        state.make_due("b")
    state.stamp("c")
    assert [entry.is_due_from(state.previous_boot) for entry in state.entries.values()] == [True, False]
    state.restored_in = "c"
    if goes_down == "in order":
        state.make_due("c")
    state.stamp("d")
    assert not state.entries[GUEST.key].is_due_from(state.previous_boot), "nobody has missed it in c"


@pytest.mark.parametrize("cuts", [1, 2, 5])
def test_however_often_the_power_is_cut_before_its_restore_is_over_a_guest_stays_due(tmp_path: Path, cuts: int) -> None:
    state = StateFile(tmp_path)
    state.stamp("a")
    state.add([GUEST], run="r", boot_id="a", cause="host", due=True)
    state.add([OTHER], run="r", boot_id="a", cause="hand", due=False)
    for number in range(1, cuts + 2):
        state.stamp(f"b{number}")
        state.stamp(f"b{number}")
        assert [entry.is_due_from(state.previous_boot) for entry in state.entries.values()] == [True, False]
        state.save()
        state.load()
    state.restored_in = state.boot
    state.stamp("c")
    assert not state.entries[GUEST.key].is_due_from(state.previous_boot), (
        "it had its turn, and may run elsewhere by now"
    )


@pytest.mark.parametrize("after", ["nothing", "its end", "a host stop", "another stop of it", "forget"])
def test_whom_a_restore_has_brought_back_is_due_again_where_the_power_is_cut_before_it_is_over(
    tmp_path: Path, after: str
) -> None:
    state = StateFile(tmp_path)
    state.stamp("a")
    state.add([GUEST, OTHER], run="r", boot_id="a", cause="host", due=True)
    state.stamp("b")
    state.bring_back(GUEST.key)
    state.save()
    state.load()
    assert state.entries.keys() == {OTHER.key}, "it is back"
    if after == "its end":
        state.end_return()
    elif after == "a host stop":
        state.make_due("b")
    elif after == "another stop of it":
        state.add([GUEST], run="r2", boot_id="b", cause="hand", due=False)
    elif after == "forget":
        state.drop([GUEST.key])
    state.save()
    state.load()
    state.stamp("c")
    due = {key for key, entry in state.entries.items() if entry.is_due_from(state.previous_boot)}
    assert due == ({GUEST.key, OTHER.key} if after == "nothing" else {OTHER.key})
    assert (GUEST.key in state.entries) is (after in {"nothing", "another stop of it"})


def test_a_host_stop_makes_due_what_was_stopped_for_the_host_and_not_what_a_person_stopped_by_name(
    tmp_path: Path,
) -> None:
    state = StateFile(tmp_path)
    state.add([GUEST], run="r1", boot_id="a", cause="hand", due=False)
    state.add([OTHER], run="r2", boot_id="a", cause="host", due=False)
    state.make_due("a")
    assert (state.entries[GUEST.key].due, state.entries[OTHER.key].due) == (False, True)
    state.make_due("a", run="r1")
    assert state.entries[GUEST.key].due, "its run became the host's"


def test_an_entry_of_an_earlier_version_counts_as_stopped_by_hand(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.add([GUEST], run="r", boot_id="a", cause="host", due=True)
    state.save()
    old = state.path.read_text().replace(',"cause":"host"', "")
    assert "cause" not in old
    state.path.write_text(old)
    state.load()
    assert (state.entries[GUEST.key].cause, state.entries[GUEST.key].due) == ("hand", True)
