"""Faults that last: a kind of message that is lost, late, doubled or refused again and again, and several at once."""

import math
from collections.abc import Mapping, Sequence

import pytest

from faults.cases import EVERY, wrong_with
from faults.frames import Kind, Procedure, Way
from faults.rules import Action, Rule
from faults.runs import HOST_STOP, RESTORE, SHUTDOWNS, Case, Mode
from faults.world import Worlds


def always(action: Action, procedure: Procedure | None = None, way: Way = Way.TO_DAEMON, seconds: float = 0.3) -> Rule:
    return Rule(action=action, procedure=procedure, way=way, times=0, seconds=seconds)


EVENT = Rule(action=Action.DROP, procedure=Procedure.LIFECYCLE, kind=Kind.EVENT, way=Way.TO_CLIENT, times=0)
IN_A_SHUTDOWN: Mapping[str, Sequence[Rule]] = {
    "no event arrives": [EVENT],
    "no event arrives, and no request to stop": [EVENT, always(Action.DROP, Procedure.SHUTDOWN)],
    "every request to stop is lost": [always(Action.DROP, Procedure.SHUTDOWN)],
    "every request to stop is refused": [always(Action.REFUSE, Procedure.SHUTDOWN)],
    "every request to stop cuts its connection": [always(Action.CUT, Procedure.SHUTDOWN)],
    "every answer to a request to stop is an error": [always(Action.REFUSE, Procedure.SHUTDOWN, Way.TO_CLIENT)],
    "every answer to a request to stop cuts its connection": [always(Action.CUT, Procedure.SHUTDOWN, Way.TO_CLIENT)],
    "neither a request nor a plug arrives": [
        always(Action.DROP, Procedure.SHUTDOWN),
        always(Action.DROP, Procedure.DESTROY),
        always(Action.DROP, Procedure.DESTROY_FLAGS),
    ],
    "requests are lost and plugs refused": [
        always(Action.DROP, Procedure.SHUTDOWN),
        always(Action.REFUSE, Procedure.DESTROY),
        always(Action.REFUSE, Procedure.DESTROY_FLAGS),
    ],
}
IN_A_RESTORE: Mapping[str, Sequence[Rule]] = {
    "every start is lost": [always(Action.DROP, Procedure.CREATE)],
    "every start is refused": [always(Action.REFUSE, Procedure.CREATE)],
    "every start cuts its connection": [always(Action.CUT, Procedure.CREATE)],
    "every answer to a start is an error": [always(Action.REFUSE, Procedure.CREATE, Way.TO_CLIENT)],
    "every answer to a start cuts its connection": [always(Action.CUT, Procedure.CREATE, Way.TO_CLIENT)],
}
IN_ANY: Mapping[str, Sequence[Rule]] = {
    "every answer is late": [always(Action.DELAY, way=Way.TO_CLIENT, seconds=0.05)],
    "every request comes twice": [always(Action.DOUBLE)],
    "nobody is told of a state": [always(Action.DROP, Procedure.STATE)],
    "no state is told but an error": [always(Action.REFUSE, Procedure.STATE)],
    "no list is told but an error": [always(Action.REFUSE, Procedure.LIST_ALL_DOMAINS)],
    "nobody is accepted": [Rule(action=Action.DEAF, seconds=math.inf)],
    "the connection is cut while guests are looked at, and whoever comes again is not accepted for 2 s": [
        Rule(action=Action.DEAF, way=Way.TO_DAEMON, message=14, seconds=2.0),
        Rule(action=Action.CUT, way=Way.TO_DAEMON, message=15),
    ],
    "three connections are cut, one after the other": [
        Rule(action=Action.CUT, way=Way.TO_DAEMON, message=message) for message in (12, 30, 52)
    ],
}
CASES = [
    Case(mode=mode, rules=rules, what=what)
    for mode in ((*SHUTDOWNS, RESTORE) if EVERY else (HOST_STOP, RESTORE))
    for what, rules in {**(IN_A_RESTORE if mode.restores else IN_A_SHUTDOWN), **IN_ANY}.items()
][:: 1 if EVERY else 3]


def modes() -> Sequence[Mode]:
    return list(dict.fromkeys(case.mode for case in CASES))


@pytest.mark.parametrize("mode", modes(), ids=lambda mode: mode.name)
def test_what_goes_wrong_all_the_time_makes_no_run_untrue_or_late(some_worlds: Worlds, mode: Mode) -> None:
    wrong = wrong_with(some_worlds, [case for case in CASES if case.mode is mode])
    assert not wrong, wrong
