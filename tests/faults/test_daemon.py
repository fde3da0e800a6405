"""A libvirtd that is stopped or killed while a run talks to it, for a moment or for good."""

import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from faults.cases import EVERY
from faults.frames import Way
from faults.rules import Action, Rule
from faults.runs import HOST_STOP, RESTORE, SHUTDOWNS, Case, Mode, run
from faults.verdicts import faults_of
from faults.world import Worlds
from lab.daemon import Daemon

if TYPE_CHECKING:
    import subprocess

MOMENT = 1.5  # seconds
MESSAGES = range(1, 45) if EVERY else (14, 30)
"""Before which messages to the daemon it happens: while guests are looked at, and while they are asked or started."""
MODES = (*SHUTDOWNS, RESTORE) if EVERY else (HOST_STOP,)
Fault = tuple[Callable[["subprocess.Popen[str]"], None], Callable[[], None]]


def freeze(lab: Daemon, *, for_good: bool) -> Fault:
    """What stops it, and what lets it go on at the latest."""
    pid = lab.pid()

    def go_on() -> None:
        os.kill(pid, signal.SIGCONT)

    def stop(_: "subprocess.Popen[str]") -> None:
        os.kill(pid, signal.SIGSTOP)
        if not for_good:
            threading.Timer(MOMENT, go_on).start()

    return stop, go_on


def kill(lab: Daemon, *, for_good: bool) -> Fault:
    """What kills it, with the guests of its test driver, and what brings it back at the latest."""

    def die(_: "subprocess.Popen[str]") -> None:
        lab.kill()
        if not for_good:
            threading.Timer(MOMENT, (lab.folder / "hold").unlink, kwargs={"missing_ok": True}).start()

    return die, lab.revive


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("for_good", [False, True], ids=["for a moment", "for good"])
@pytest.mark.parametrize("fault", [freeze, kill])
def test_a_libvirtd_that_hangs_or_dies_makes_no_run_say_what_is_not_true(
    some_worlds: Worlds, mode: Mode, fault: Callable[..., Fault], message: int, *, for_good: bool
) -> None:
    rule = Rule(action=Action.TELL, way=Way.TO_DAEMON, message=message)
    with some_worlds.borrow() as world:
        meddle, calm = fault(world.lab, for_good=for_good)
        what = f"{fault.__name__} {'for good' if for_good else 'for a moment'}"
        wrong = faults_of(run(world, Case(mode=mode, rules=[rule], what=what, meddle=meddle, calm=calm)))
    assert not wrong, "\n".join(wrong)


def test_the_judge_waits_for_a_daemon_that_is_on_its_way_back(some_worlds: Worlds) -> None:
    with some_worlds.borrow() as world:
        world.lab.kill()
        back = threading.Timer(MOMENT, (world.lab.folder / "hold").unlink)
        back.start()
        assert world.states()
        back.join()
