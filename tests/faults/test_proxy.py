"""The proxy itself: what it does to messages, and that it leaves nothing behind."""

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import libvirt
import pytest

from faults.frames import ASKS, REMOTE, Frame, Kind, Procedure, Way
from faults.proxy import Proxy
from faults.rules import Action, Rule
from faults.traffic import Passed, Traffic
from lab.daemon import Daemon
from lab.guests import driver_guests, opened, states
from lab.leftovers import ended_in_the_middle
from lab.patience import LONGEST, wait_until

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from faults.rules import Action, Rule
from faults.runs import HOST_STOP, Case, run
from faults.world import world
with world() as made:
    frozen = Rule(action=Action.FREEZE, seconds=1000.0)
    run(made, Case(mode=HOST_STOP, rules=[frozen], started=lambda _: print(made.lab.folder, made.folder, flush=True)))
"""


@contextmanager
def through(lab: Daemon, folder: Path, *rules: Rule) -> Generator[tuple[Proxy, str]]:
    """A proxy, and the URI that leads through it."""
    path = folder / "proxy"
    with Proxy(lab.socket, path, rules) as proxy:
        yield proxy, f"test+unix:///default?socket={path}"


def replies(proxy: Proxy, procedures: frozenset[Procedure]) -> list[Passed]:
    return [one for one in proxy.traffic.passed if one.way is Way.TO_CLIENT and one.frame.procedure in procedures]


def listing(action: Action, way: Way, seconds: float = 1.0) -> Rule:
    return Rule(action=action, way=way, procedure=Procedure.LIST_ALL_DOMAINS, seconds=seconds)


def test_without_a_rule_everything_passes_and_is_noted(lab: Daemon, tmp_path: Path) -> None:
    with driver_guests(lab, ["web"]) as judge:
        with through(lab, tmp_path) as (proxy, uri), opened(uri) as connection:
            connection.lookupByName("web").shutdown()
            assert states(judge) == {"web": "off"}
        asked = proxy.traffic.asked("web")
        assert asked is not None
        assert asked <= time.monotonic()
        assert proxy.traffic.plugged("web") is None
        assert proxy.traffic.count(Way.TO_DAEMON) == proxy.traffic.count(Way.TO_CLIENT) >= 5


def test_a_call_that_is_refused_never_reaches_the_daemon_and_asks_nothing(lab: Daemon, tmp_path: Path) -> None:
    rule = Rule(action=Action.REFUSE, way=Way.TO_DAEMON, procedure=Procedure.SHUTDOWN)
    with driver_guests(lab, ["web"]) as judge, through(lab, tmp_path, rule) as (proxy, uri), opened(uri) as connection:
        domain = connection.lookupByName("web")
        with pytest.raises(libvirt.libvirtError, match="a fault of the test"):
            domain.shutdown()
        assert states(judge) == {"web": "running"}
        assert proxy.traffic.asked("web") is None
        domain.destroy()
        assert proxy.traffic.plugged("web") is not None


def test_a_reply_that_is_refused_tells_an_error_of_what_was_done(lab: Daemon, tmp_path: Path) -> None:
    rule = Rule(action=Action.REFUSE, way=Way.TO_CLIENT, procedure=Procedure.SHUTDOWN)
    with driver_guests(lab, ["web"]) as judge, through(lab, tmp_path, rule) as (proxy, uri), opened(uri) as connection:
        with pytest.raises(libvirt.libvirtError, match="a fault of the test"):
            connection.lookupByName("web").shutdown()
        assert states(judge) == {"web": "off"}
        assert proxy.traffic.asked("web") is not None


@pytest.mark.parametrize("way", Way)
def test_a_cut_ends_the_connection_before_its_message_and_a_new_one_is_well(
    lab: Daemon, tmp_path: Path, way: Way
) -> None:
    with driver_guests(lab, ["web"]), through(lab, tmp_path, listing(Action.CUT, way)) as (_, uri):
        with opened(uri) as connection, pytest.raises(libvirt.libvirtError):
            connection.listAllDomains()
        with opened(uri) as connection:
            assert [domain.name() for domain in connection.listAllDomains()] == ["web"]


@pytest.mark.parametrize("action", [Action.DELAY, Action.FREEZE])
@pytest.mark.parametrize("way", Way)
def test_what_is_late_arrives_after_its_time(lab: Daemon, tmp_path: Path, action: Action, way: Way) -> None:
    rule = listing(action, way, seconds=0.3)
    with driver_guests(lab, ["web"]), through(lab, tmp_path, rule) as (_, uri), opened(uri) as connection:
        began = time.monotonic()
        assert len(connection.listAllDomains()) == 1
        assert time.monotonic() - began >= 0.3


def test_what_is_dropped_never_arrives(lab: Daemon, tmp_path: Path) -> None:
    rule = listing(Action.DROP, Way.TO_DAEMON)
    with driver_guests(lab, ["web"]), through(lab, tmp_path, rule) as (_, uri), opened(uri) as connection:
        ended: list[str] = []

        def ask() -> None:
            try:
                connection.listAllDomains()
            except libvirt.libvirtError as error:
                ended.append(str(error))

        waits = threading.Thread(target=ask)
        waits.start()
        waits.join(0.3)
        assert waits.is_alive()
        assert connection.numOfDomains() == 1, "others are answered"
        # The one that waits is told when the proxy ends, and its connection with it.
    waits.join(LONGEST)
    assert len(ended) == 1


def test_what_is_doubled_is_done_twice_and_what_is_reordered_comes_after_the_next(lab: Daemon, tmp_path: Path) -> None:
    twice = Rule(action=Action.DOUBLE, way=Way.TO_DAEMON, procedure=Procedure.SHUTDOWN)
    with driver_guests(lab, ["web"]), through(lab, tmp_path, twice) as (proxy, uri), opened(uri) as connection:
        connection.lookupByName("web").shutdown()
        wait_until(lambda: len(replies(proxy, ASKS)) == 2, "both are answered", pause=0.01)
    later = listing(Action.REORDER, Way.TO_DAEMON)
    with driver_guests(lab, ["web"]), through(lab, tmp_path, later) as (_, uri), opened(uri) as connection:
        assert len(connection.listAllDomains()) == 1, "it comes also where nothing overtakes it"


def test_a_deaf_daemon_accepts_nobody_for_its_time(lab: Daemon, tmp_path: Path) -> None:
    rule = Rule(action=Action.DEAF, procedure=Procedure.LIST_ALL_DOMAINS, seconds=0.5)
    with driver_guests(lab, ["web"]), through(lab, tmp_path, rule) as (_, uri), opened(uri) as connection:
        began = time.monotonic()
        assert len(connection.listAllDomains()) == 1, "who is connected is served"
        with opened(uri) as other:
            assert other.isAlive()
        assert time.monotonic() - began >= 0.5


def test_a_request_that_was_cut_off_or_refused_by_the_daemon_asked_nothing_and_one_that_was_swallowed_did() -> None:
    body = b"\0\0\0\3web\0" + bytes(20)
    call = Frame(REMOTE, 1, Procedure.SHUTDOWN, Kind.CALL, 7, 0, body)
    for action, answer, asked in ((Action.CUT, None, None), (Action.DROP, None, 5.0), (None, 1, None), (None, 0, 5.0)):
        traffic = Traffic()
        traffic.passed.append(Passed(5.0, 1, Way.TO_DAEMON, call, action))
        if answer is not None:
            reply = Frame(call.program, 1, call.procedure, Kind.REPLY, 7, answer, b"")
            traffic.passed.append(Passed(6.0, 1, Way.TO_CLIENT, reply, None))
        assert traffic.asked("web") == asked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_whoever_does_a_run_through_the_proxy(number: signal.Signals) -> None:
    with ended_in_the_middle(PROGRAM.format(tests=str(Path(__file__).parents[1])), number) as folders:
        assert len(folders) == 2, "the world's and the run's"
