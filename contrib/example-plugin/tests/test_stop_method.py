"""The stop method, by lastcall's own suite and in a ladder."""

from lastcall import Outcome
from lastcall.testing import Lab, LabGuest, check_stop_method
from lastcall.testing.pytest_plugin import MakeLab

import lastcall_door_sign as plugin
from lastcall_door_sign.stop_method import Method


def db(lab: Lab) -> LabGuest:
    """A guest that knows the command."""
    guest = lab.guest("db-1")
    guest.shell.answers({"poweroff": ""})
    return guest


def test_it_is_a_stop_method_as_lastcall_wants_it() -> None:
    check_stop_method(Method(), guest=db)


def test_a_guest_is_stopped_by_it(lastcall_lab: MakeLab) -> None:
    config = "defaults: {stop: [{door_sign: {command: halt -p}}]}"
    lab = lastcall_lab(plugins={"door_sign": plugin}, config=config)
    guest = lab.guest("db-1")
    guest.shell.answers({"halt -p": ""})
    guest.goes_off(after=5)
    (result,) = lab.shutdown().guests
    assert guest.shell.calls == ["halt -p"]
    assert (result.outcome, result.method) == (Outcome.STOPPED, "door_sign")


def test_where_it_is_of_no_use_the_next_rung_is_tried(lastcall_lab: MakeLab) -> None:
    config = "defaults: {stop: [door_sign, acpi]}"
    lab = lastcall_lab(plugins={"door_sign": plugin}, config=config)
    lab.guest("web-1", shell=False)
    (result,) = lab.shutdown().guests
    tried = [(attempt.method, attempt.result) for attempt in result.attempts]
    assert tried == [("door_sign", "skipped"), ("acpi", "stopped")]
