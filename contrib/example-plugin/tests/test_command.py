"""The command, on guests in memory."""

from lastcall.testing.pytest_plugin import MakeLab

import lastcall_door_sign as plugin


def test_it_says_of_each_guest_whether_it_is_mentioned(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab(plugins={"door_sign": plugin})
    lab.guest("db-1")
    lab.guest("scratch-1", settings={"door_sign": {"mention": False}})
    said = lab.command("door-sign", "*")
    assert said.output == "db-1: is mentioned\nscratch-1: is not mentioned\n"
    assert said.exit_code == 0


def test_it_does_not_know_a_guest_that_is_not_there(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab(plugins={"door_sign": plugin})
    lab.guest("db-1")
    said = lab.command("door-sign", "db-2")
    assert "db-2" in said.errors
    assert said.exit_code != 0
