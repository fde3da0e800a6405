"""What `check` says of the hosts that guests may be moved to; a real one is asked in tests/guests/test_come_back.py."""

from contextlib import closing

import pytest

from lastcall import GuestState, Severity
from lastcall.checks.moving.targets import look_at_targets
from lastcall.config.compose import Vocabulary
from lastcall.config.load import parse
from lastcall.config.policies import Policies
from lastcall.errors import Problem
from lastcall.hypervisor.moving.other_hosts import Surroundings, Welcome
from lastcall.hypervisor.ports import GuestFacts
from lastcall.testing.memory import FakeGuest, FakeHypervisor, VirtualLoop
from lastcall_plugins.migrate import Migrate

HB, HC = "qemu+tls://hb/system", "qemu+tls://hc/system"
GIB = 1 << 30
WEB = FakeGuest("web", traits=GuestFacts(memory=GIB, autostart=True))


def found(told: dict[str, Surroundings], *guests: FakeGuest, options: str = f"to: {HB}") -> list[Problem]:
    """The problems where other hosts say this, and all that are not named nothing."""
    settings = parse(f"defaults: {{stop: [{{migrate: {{{options}}}}}]}}").settings(
        Vocabulary(methods={"migrate": Migrate()})
    )
    with closing(VirtualLoop()) as loop:
        hypervisor = FakeHypervisor(guests, loop)
        hypervisor.other_hosts.surroundings = told
        facts = {guest.guest.key: guest.traits for guest in guests}
        return loop.run_until_complete(
            look_at_targets(hypervisor.other_hosts, [one.guest for one in guests], Policies(settings), facts)
        )


def told_of(welcome: Welcome) -> Problem:
    """The only problem where a host would welcome the guest like this."""
    (problem,) = found({HB: Surroundings(free=4 * GIB, guests={WEB.guest.key: welcome})}, WEB)
    assert problem.what == "migrate"
    assert problem.remedy
    return problem


def test_of_a_host_that_takes_everybody_nothing_is_told_and_where_nobody_moves_none_is_asked() -> None:
    assert found({HB: Surroundings(free=4 * GIB)}, WEB) == []
    assert found({}, FakeGuest("box", driver="LXC")) == []


@pytest.mark.parametrize(
    ("welcome", "severity", "words"),
    [
        (Welcome(cpu="missing avx512"), Severity.ERROR, "hb has not the processor that it sees: missing avx512"),
        (Welcome(namesake="f00d"), Severity.ERROR, "hb has another guest of that name (f00d)"),
        (Welcome(double=GuestState.OFF), Severity.WARNING, "it is defined at hb as well, and could be started there"),
        (Welcome(double=GuestState.PAUSED), Severity.ERROR, "a guest with its UUID is paused at hb while it runs here"),
        (Welcome(lacks=("network lan",)), Severity.ERROR, "hb has no active network lan"),
        (Welcome(lacks=("storage pool san",)), Severity.ERROR, "hb has no active storage pool san"),
    ],
    ids=["processor", "name", "definition", "UUID", "network", "pool"],
)
def test_what_a_guest_would_find_amiss_on_another_host_is_told(
    welcome: Welcome, severity: Severity, words: str
) -> None:
    problem = told_of(welcome)
    assert (problem.where, problem.severity) == ("web", severity)
    assert problem.message.startswith(words)


def test_memory_is_that_of_all_who_would_come_first_to_that_host() -> None:
    guests = [FakeGuest(f"web-{number}", traits=GuestFacts(memory=GIB)) for number in range(3)]
    told = {HB: Surroundings(free=2 * GIB), HC: Surroundings(free=0)}
    (problem,) = found(told, *guests, options=f"to: [{HB}, {HC}]")
    assert (problem.where, problem.severity) == (HB, Severity.WARNING)
    assert problem.message == "has 2048 MiB of memory left, and those who would come need 3072 MiB"


def test_a_host_that_does_not_answer_is_told_once_with_those_who_would_be_moved_there() -> None:
    (problem,) = found({}, *(FakeGuest(f"web-{number}") for number in range(4)))
    assert (problem.where, problem.severity) == (HB, Severity.ERROR)
    assert problem.message.startswith("cannot be reached, to which web-0, web-1, web-2 and 1 more would be moved: ")


def test_a_host_that_is_this_one_and_one_with_older_programs_are_told() -> None:
    (here,) = found({HB: Surroundings(free=0, is_here=True)}, WEB)
    assert (here.message, here.severity) == ("is this host itself", Severity.ERROR)
    (older,) = found({HB: Surroundings(free=4 * GIB, older=(("QEMU", "7.2", "9.0"),))}, WEB)
    assert (older.severity, older.where) == (Severity.WARNING, HB)
    assert older.message.startswith("has QEMU 7.2, and this host 9.0")


def test_an_autostart_that_does_not_travel_is_told_of_those_who_do_not_come_back() -> None:
    told = {HB: Surroundings(free=4 * GIB)}
    (problem,) = found(told, WEB, options=f"to: {HB}, come_back: false")
    assert problem.message.startswith("its autostart does not travel")
    assert problem.remedy.startswith(f"`virsh -c {HB} autostart web`")
