"""Guests that were moved to another host come back, and never run twice, whatever the hosts answer, and when."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import Field

from lastcall import GuestState, Outcome, Severity, StopMethod, StopRequest, hookimpl
from lastcall.hypervisor.ports import PLAIN, Condition, GuestFacts, OtherJob
from lastcall.options import StepOptions
from lastcall.persistence.state import StateFile
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore
from support import by_name

HB, HC = "qemu+tls://hb/system", "qemu+tls://hc/system"
RUNNING, OFF, UNKNOWN, PAUSED = GuestState.RUNNING, GuestState.OFF, GuestState.UNKNOWN, GuestState.PAUSED


class FerryOptions(StepOptions):
    """What takes a guest to another host is told by its `to`."""

    to: tuple[str, ...] = Field(default=(), strict=False)
    storage: str = "shared"


class Ferry(StopMethod[FerryOptions]):
    """Takes guests to other hosts; a restore reads its options only, and asks nobody to go."""

    name = "ferry"

    def request(self, call: StopRequest[FerryOptions]) -> None:
        """Never called here."""


class Ferries:
    @hookimpl
    def stop_methods(self) -> list[Any]:
        return [Ferry()]


def listed(folder: Path, guest: FakeGuest, *where: str, boot: str = "before", **marks: Any) -> None:
    """A list with a guest that may be at these hosts, as the last host stop has left it."""
    state = StateFile(folder)
    state.load()
    was = replace(guest.guest, state=RUNNING)
    state.add([was], run="r", boot_id=boot, cause="host", due=True)
    state.entries[guest.guest.key] = replace(state.entries[guest.guest.key], where=where, **marks)
    state.save()


def gone(**changes: Any) -> FakeGuest:
    """A guest that is off here, and was moved to hb."""
    usual: dict[str, Any] = {"state": OFF, "undefined": True, "elsewhere": {HB: RUNNING}}
    return FakeGuest("web", **{**usual, **changes})


def on_list(folder: Path) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads((folder / "state.json").read_text())["guests"]}


def doings(guest: FakeGuest) -> list[str]:
    return [what for _, what in guest.asked]


def test_who_runs_over_there_is_fetched_and_leaves_the_list(tmp_path: Path) -> None:
    guest = gone()
    listed(tmp_path, guest, HB, autostart=True)
    report = run_restore(tmp_path, [guest], at_boot=True)
    result = by_name(report, "web")
    assert (result.outcome, result.moved_from, report.run.exit_code) == (Outcome.MOVED, HB, 0)
    assert result.asked is not None
    assert doings(guest) == ["fetch by shared", "autostart"]
    assert on_list(tmp_path) == {}


def test_it_comes_back_as_it_went_by_the_rung_that_names_the_host(tmp_path: Path) -> None:
    guest = gone()
    listed(tmp_path, guest, HB)
    config = f"defaults: {{stop: [{{ferry: {{to: [{HB}], storage: copy}}}}, acpi]}}"
    run_restore(tmp_path, [guest], config=config, plugins={"ferries": Ferries()})
    assert doings(guest) == ["fetch by copy"]


def test_after_a_paused_one_its_needs_are_met_in_their_order(tmp_path: Path) -> None:
    db, web = FakeGuest("db", state=OFF), gone()
    listed(tmp_path, web, HB)
    listed(tmp_path, db)
    run_restore(tmp_path, [db, web], config="guests: [{match: web, depends_on: [db]}]")
    assert (db.asked[0][1], web.asked[0][1]) == ("start", "fetch by shared")
    assert db.asked[0][0] <= web.asked[0][0]


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("there", [OFF, UNKNOWN])
def test_who_is_off_everywhere_is_started_here_and_its_definition_is_brought_where_it_has_none(
    tmp_path: Path, there: GuestState, *, defined: bool
) -> None:
    guest = gone(undefined=not defined, elsewhere={HB: there, HC: UNKNOWN})
    listed(tmp_path, guest, HC, HB, autostart=True)
    report = run_restore(tmp_path, [guest], config="restore: {attempts: 1}")
    if defined or there is OFF:
        assert by_name(report, "web").outcome is Outcome.STARTED
        assert doings(guest) == (["start"] if defined else ["adopt", "autostart", "start"])
        assert on_list(tmp_path) == {}
    else:  # nobody knows it any more
        assert by_name(report, "web").outcome is Outcome.FAILED
    warned = [one for one in report.problems if "defined at hb as well" in one.message]
    assert bool(warned) == (defined and there is OFF)
    assert all(one.severity is Severity.WARNING for one in warned)


def test_who_runs_here_already_is_present_and_who_runs_twice_is_left_alone_and_told(tmp_path: Path) -> None:
    here, twice = FakeGuest("here", elsewhere={HB: OFF}), FakeGuest("twice", elsewhere={HB: PAUSED})
    listed(tmp_path, here, HB, autostart=True)
    listed(tmp_path, twice, HB)
    report = run_restore(tmp_path, [here, twice])
    assert (by_name(report, "here").outcome, doings(here)) == (Outcome.PRESENT, ["autostart"])
    assert (by_name(report, "twice").outcome, doings(twice)) == (Outcome.FAILED, [])
    (problem,) = [one for one in report.problems if one.severity is Severity.ERROR]
    assert problem.message == "it runs here and at hb: nothing was touched"
    assert on_list(tmp_path)["twice"]["where"] == [HB]
    assert "here" not in on_list(tmp_path)


ARRIVING = GuestFacts(condition=Condition.ARRIVING)
ON_THE_WAY = {
    "half of it is here": {"state": PAUSED, "traits": ARRIVING},
    "its pages follow": {"state": RUNNING, "traits": ARRIVING},
    "the other half is told of": {"state": PAUSED, "leaves": {HB}},
    "it is here, and ends there": {"state": RUNNING, "leaves": {HB}},
    "nothing of it is here yet": {"leaves": {HB}},
}


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("seen", ON_THE_WAY)
def test_who_is_on_the_way_already_is_waited_for_and_where_that_breaks_off_fetched(
    tmp_path: Path, seen: str, *, arrives: bool
) -> None:
    guest = gone(**ON_THE_WAY[seen])
    listed(tmp_path, guest, HB)

    def end() -> None:
        guest.state, guest.traits, guest.leaves = RUNNING if arrives else OFF, PLAIN, set()
        guest.elsewhere = {HB: UNKNOWN if arrives else RUNNING}

    def meanwhile(hypervisor: FakeHypervisor, _: object) -> None:
        hypervisor.loop.call_later(20.0, end)

    report = run_restore(tmp_path, [guest], meanwhile=meanwhile)
    assert by_name(report, "web").outcome is (Outcome.PRESENT if arrives else Outcome.MOVED)
    assert all(at >= 20.0 for at, _ in guest.asked)
    assert (report.problems, on_list(tmp_path)) == ((), {})


@pytest.mark.parametrize("silent", [True, False])
def test_who_never_arrives_stays_on_the_list_untouched_and_is_not_said_to_run_twice(
    tmp_path: Path, *, silent: bool
) -> None:
    guest = gone(state=PAUSED, traits=ARRIVING, elsewhere={} if silent else {HB: RUNNING})
    listed(tmp_path, guest, HB)
    report = run_restore(tmp_path, [guest])
    assert (by_name(report, "web").outcome, doings(guest), report.problems) == (Outcome.FAILED, [], ())
    assert by_name(report, "web").message.startswith("it waits for the end of its migration")
    assert on_list(tmp_path)["web"]["waits_for"] == "the end of its migration"


def test_one_that_arrives_between_the_two_questions_is_asked_for_again(tmp_path: Path) -> None:
    guest = gone(state=PAUSED, elsewhere={HB: RUNNING}, answers_after={HB: 5.0})
    listed(tmp_path, guest, HB)

    def breaks_off(hypervisor: FakeHypervisor, _: object) -> None:
        hypervisor.loop.call_later(2.0, lambda: setattr(guest, "state", OFF))

    report = run_restore(tmp_path, [guest], meanwhile=breaks_off)
    assert (by_name(report, "web").outcome, report.problems) == (Outcome.MOVED, ())


def test_who_is_being_moved_away_is_present_and_stays_on_the_list(tmp_path: Path) -> None:
    guest = FakeGuest("web", traits=GuestFacts(job=OtherJob.MIGRATION), elsewhere={HB: PAUSED})
    listed(tmp_path, guest, HB)
    report = run_restore(tmp_path, [guest])
    assert (by_name(report, "web").outcome, report.problems, doings(guest)) == (Outcome.PRESENT, (), [])
    assert on_list(tmp_path)["web"]["where"] == [HB], "in a moment it runs there"


def test_a_job_that_libvirt_tells_of_a_moment_late_makes_nobody_run_twice(tmp_path: Path) -> None:
    guest = FakeGuest("web", elsewhere={HB: PAUSED})
    listed(tmp_path, guest, HB)

    def told_late(hypervisor: FakeHypervisor, _: object) -> None:
        hypervisor.loop.call_later(1.5, lambda: setattr(guest, "traits", GuestFacts(job=OtherJob.MIGRATION)))

    report = run_restore(tmp_path, [guest], meanwhile=told_late)
    assert (by_name(report, "web").outcome, report.problems) == (Outcome.PRESENT, ())


def test_where_the_other_host_says_nothing_it_waits_on_the_list_and_comes_when_that_answers(tmp_path: Path) -> None:
    guest = gone(elsewhere={})
    listed(tmp_path, guest, HB)
    report = run_restore(tmp_path, [guest])
    result = by_name(report, "web")
    assert result.outcome is Outcome.FAILED
    assert result.message.startswith("it waits for an answer of hb (")
    assert doings(guest) == []
    entry = on_list(tmp_path)["web"]
    assert (entry["waits_for"], entry["where"], entry["parked"]) == ("an answer of hb", [HB], False)

    def answers_later(hypervisor: FakeHypervisor, _: object) -> None:
        hypervisor.loop.call_later(30.0, lambda: guest.elsewhere.update({HB: RUNNING}))

    assert by_name(run_restore(tmp_path, [guest], meanwhile=answers_later), "web").outcome is Outcome.MOVED


def test_once_the_host_has_answered_it_is_no_longer_what_the_guest_waits_for(tmp_path: Path) -> None:
    guest = gone(elsewhere={}, refuses=frozenset({"fetch"}))
    listed(tmp_path, guest, HB)

    def answers_later(hypervisor: FakeHypervisor, _: object) -> None:
        hypervisor.loop.call_later(30.0, lambda: guest.elsewhere.update({HB: RUNNING}))

    assert by_name(run_restore(tmp_path, [guest], meanwhile=answers_later), "web").outcome is Outcome.FAILED
    assert on_list(tmp_path)["web"]["waits_for"] == "", "else it would be migrated anew every minute"


def test_who_cannot_be_fetched_goes_on_over_there_and_stays_on_the_list(tmp_path: Path) -> None:
    guest = gone(refuses=frozenset({"fetch"}))
    listed(tmp_path, guest, HB)
    result = by_name(run_restore(tmp_path, [guest]), "web")
    assert (result.outcome, guest.elsewhere[HB]) == (Outcome.FAILED, RUNNING)
    assert "it goes on at hb" in result.message
    assert doings(guest) == ["fetch by shared"] * 3
    assert (on_list(tmp_path)["web"]["where"], on_list(tmp_path)["web"]["parked"]) == ([HB], False)


def test_a_run_that_ends_in_the_middle_takes_half_a_guest_for_none(tmp_path: Path) -> None:
    guest = gone(takes=500.0)
    listed(tmp_path, guest, HB)
    report = run_restore(tmp_path, [guest], config="restore: {deadline: 60s}")
    assert by_name(report, "web").outcome is Outcome.UNKNOWN
    assert on_list(tmp_path)["web"]["where"] == [HB]


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_what_is_saved_over_there_is_given_up_only_by_fresh(tmp_path: Path, *, second: bool, defined: bool) -> None:
    elsewhere = {HC: UNKNOWN, HB: OFF} if second else {HB: OFF}
    guest = gone(elsewhere=elsewhere, saved_at={HB}, undefined=not defined)
    listed(tmp_path, guest, *elsewhere)
    result = by_name(run_restore(tmp_path, [guest]), "web")
    assert (result.outcome, doings(guest)) == (Outcome.FAILED, [])
    assert f"`virsh -c {HB} start web`" in result.message
    assert on_list(tmp_path)["web"]["where"] == [*elsewhere]
    report = run_restore(tmp_path, [guest], names=["web"], fresh=True)
    assert by_name(report, "web").outcome is Outcome.STARTED
    assert [one for one in report.problems if "undefine web --managed-save" in one.remedy] == list(report.problems)
    assert bool(report.problems) is defined, "else its image went with its definition"


def test_who_lacks_something_here_waits_for_it_over_there(tmp_path: Path) -> None:
    guest = gone(lacks="network lan")
    listed(tmp_path, guest, HB)

    def comes(hypervisor: FakeHypervisor, _: object) -> None:
        hypervisor.loop.call_later(20.0, lambda: setattr(guest, "lacks", ""))

    assert by_name(run_restore(tmp_path, [guest], meanwhile=comes), "web").outcome is Outcome.MOVED
    assert guest.asked[0][0] >= 20.0


@pytest.mark.parametrize("how", ["by name", "always", "of an earlier boot"])
def test_no_way_to_a_start_passes_the_other_host_by(tmp_path: Path, how: str) -> None:
    guest = gone(undefined=False)
    listed(tmp_path, guest, HB, boot="long ago" if how == "of an earlier boot" else "before", parked=how == "by name")
    config, names = "defaults: {restore: always}", ["web"] if how != "always" else []
    report = run_restore(tmp_path, [guest], config=config, names=names, at_boot=not names)
    assert by_name(report, "web").outcome is Outcome.MOVED
    assert "start" not in doings(guest)


def test_of_one_that_was_moved_the_order_that_its_own_metadata_gave_counts(tmp_path: Path) -> None:
    db, web = FakeGuest("db", state=OFF), gone()
    listed(tmp_path, web, HB)
    listed(tmp_path, db)
    word = {"metadata": {"depends_on": "[db]"}, "day": "2030-01-01"}
    seen = {"version": 1, "guests": {" ".join(web.guest.key): word}}
    (tmp_path / "last-look.json").write_text(json.dumps(seen))
    assert by_name(run_restore(tmp_path, [db, web]), "web").waited_for == ("db",)


HERE = [("off", OFF, False), ("undefined", OFF, True), ("running", RUNNING, False), ("paused", PAUSED, False)]
THERE = [OFF, UNKNOWN, RUNNING, PAUSED, None]


class Watch:
    """Counts at every moment on how many hosts a guest runs, and notes each start beside what was true elsewhere."""

    def __init__(self, guest: FakeGuest, truth: dict[str, GuestState]) -> None:
        self.guest, self.truth = guest, truth

    @property
    def count(self) -> int:
        there = [self.guest.elsewhere.get(uri, state) for uri, state in self.truth.items()]
        return sum(state not in {OFF, UNKNOWN} for state in [self.guest.state, *there])


@settings(max_examples=40, phases=[Phase.explicit, Phase.generate])
@given(
    here=st.sampled_from(HERE),
    there=st.tuples(st.sampled_from(THERE[:4]), st.sampled_from(THERE[:4])),
    silent=st.tuples(st.booleans(), st.booleans()),
    delays=st.tuples(st.floats(0, 30), st.floats(0, 30)),
    changes=st.lists(st.tuples(st.floats(0, 200), st.integers(0, 1), st.booleans()), max_size=4),
    refuses=st.booleans(),
    fresh=st.booleans(),
)
def test_a_guest_never_runs_twice_by_our_doing(
    tmp_path_factory: pytest.TempPathFactory, here: Any, there: Any, silent: Any, delays: Any, changes: Any,
    *, refuses: bool, fresh: bool,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("run")
    truth: dict[str, GuestState] = dict(zip((HB, HC), there, strict=True))
    guest = FakeGuest("web", state=here[1], undefined=here[2])
    guest.elsewhere = {uri: state for (uri, state), mute in zip(truth.items(), silent, strict=True) if not mute}
    guest.answers_after = dict(zip(truth, delays, strict=True))
    guest.refuses = frozenset({"fetch"} if refuses else ())
    listed(folder, guest, HB, HC)
    hidden, watch = dict(truth), Watch(guest, truth)
    before, worst = watch.count, list[int]()

    def change(number: int, *, mute: bool) -> None:
        """A host stops answering, or answers again."""
        uri = (HB, HC)[number]
        if mute and uri in guest.elsewhere:
            hidden[uri] = truth[uri] = guest.elsewhere.pop(uri)
        elif not mute and uri not in guest.elsewhere:
            guest.elsewhere[uri] = hidden[uri]

    def meanwhile(hypervisor: FakeHypervisor, _: object) -> None:
        start = hypervisor.start

        async def started(one: Any, *, bypass_cache: bool = False) -> None:
            await start(one, bypass_cache=bypass_cache)
            worst.append(watch.count)

        hypervisor.start = started  # type: ignore[method-assign]
        for at, number, mute in changes:
            hypervisor.loop.call_later(at, lambda number=number, mute=mute: change(number, mute=mute))

    report = run_restore(folder, [guest], names=["web"], fresh=fresh, meanwhile=meanwhile)
    assert all(count == 1 for count in worst), "it was started while it ran elsewhere"
    assert watch.count <= max(1, before)
    if watch.count < 1 or before > 1:
        assert "web" in on_list(folder) or by_name(report, "web").outcome is Outcome.STARTED
