"""Hooks for which no time is left are not called, and nobody has to guess that: a database was not flushed."""

from pathlib import Path

import pytest

import lastcall
from lastcall import Guest, Outcome, Reason, Report, Verdict
from lastcall.report.text import as_text
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, Hangs, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name

NO_TIME = "not called: no time was left for it"


class Flush:
    """Says whose databases it has flushed."""

    def __init__(self, hangs_for: str = "") -> None:
        self.flushed: list[str] = []
        self._hangs_for = hangs_for

    @lastcall.hookimpl
    def on_guest_stop(self, guest: Guest) -> None:
        self.flushed.append(guest.name)
        if guest.name == self._hangs_for:
            raise Hangs


class Tells:
    """A plugin behind another, which has something to say about each guest, and of the run."""

    def __init__(self) -> None:
        self.called: list[str] = []

    @lastcall.hookimpl(trylast=True)
    def on_guest_stop(self, guest: Guest) -> None:
        self.called.append(guest.name)


def calls(report: Report, name: str) -> list[tuple[str, str, bool, str]]:
    found = by_name(report, name).hooks
    return [(one.plugin, one.result.value, one.called, one.message) for one in found if one.hook == "on_guest_stop"]


def late(folder: Path, reason: Reason = Reason.POWER, *, more: str = "", **plugins: object) -> Report:
    """`web` never goes off by itself and needs `db`, whose turn does not come."""
    guests = [FakeGuest("web", deaf_to=frozenset({"acpi", "agent"})), FakeGuest("db", takes=1)]
    config = f"shutdown: {{deadline: 60s}}\n{more}guests: [{{match: web, depends_on: db}}]"
    return run_shutdown(folder, guests, plugins=plugins, config=config, reason=reason)


def test_a_guest_that_is_asked_late_has_it_told_that_its_hooks_were_not_called(tmp_path: Path) -> None:
    flush, tells = Flush(), Tells()
    report = late(tmp_path, flush=flush, tells=tells)
    assert flush.flushed == tells.called == ["web"]
    assert by_name(report, "db").outcome is Outcome.STOPPED, "asked all the same"
    assert calls(report, "db") == [("flush", "timeout", False, NO_TIME), ("tells", "timeout", False, NO_TIME)]
    assert report.run.exit_code == 1
    assert f"on_guest_stop of flush: {NO_TIME}" in as_text(report)


def test_so_has_each_behind_the_one_that_was_cut_off(tmp_path: Path) -> None:
    flush, tells = Flush(hangs_for="web"), Tells()
    report = late(tmp_path, flush=flush, tells=tells, more="hooks: {timeout: 10min}\n")
    (cut, behind) = calls(report, "web")
    assert cut[:3] == ("flush", "timeout", True)
    assert behind == ("tells", "timeout", False, NO_TIME)
    assert tells.called == []


@pytest.mark.parametrize("hook", ["pre_shutdown", "post_shutdown"])
def test_so_have_those_of_the_whole_run(tmp_path: Path, hook: str) -> None:
    class First:
        @lastcall.hookimpl(tryfirst=True)
        def pre_shutdown(self) -> None:
            raise Hangs

        @lastcall.hookimpl(tryfirst=True)
        def post_shutdown(self) -> None:
            raise Hangs

    class Behind:
        @lastcall.hookimpl
        def pre_shutdown(self) -> None: ...

        @lastcall.hookimpl
        def post_shutdown(self) -> None: ...

    plugins = {"first": First(), "behind": Behind()}
    config = "shutdown: {deadline: 60s}\nhooks: {timeout: 10min}"
    report = run_shutdown(tmp_path, [FakeGuest("g")], plugins=plugins, config=config, reason=Reason.POWER)
    told = {one.plugin: (one.result, one.called) for one in report.hooks if one.hook == hook}
    assert told == {"first": (Verdict.TIMEOUT, True), "behind": (Verdict.TIMEOUT, False)}


def test_so_have_those_behind_one_that_a_host_stop_cuts_off(tmp_path: Path) -> None:
    class First:
        @lastcall.hookimpl(tryfirst=True)
        def pre_shutdown(self) -> None:
            raise Hangs

    class Behind:
        @lastcall.hookimpl
        def pre_shutdown(self) -> None: ...

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(1, run.join, Reason.POWER, Deadline.after(1, 60, reserve=10, grace=5))

    plugins, more = {"first": First(), "behind": Behind()}, "hooks: {timeout: 10min}"
    report = run_shutdown(tmp_path, [FakeGuest("g")], plugins=plugins, config=more, meanwhile=meanwhile)
    told = {one.plugin: (one.result, one.called) for one in report.hooks if one.hook == "pre_shutdown"}
    assert told == {"first": (Verdict.TIMEOUT, True), "behind": (Verdict.TIMEOUT, False)}
    assert by_name(report, "g").outcome is Outcome.STOPPED


def test_a_failure_that_is_to_keep_a_guest_running_does_so_by_hand_also_where_time_is_what_was_missing(
    tmp_path: Path,
) -> None:
    more = "hooks: {on_failure: skip_guest, timeout: 10min}\n"
    report = late(tmp_path, Reason.MANUAL, more=more, flush=Flush(hangs_for="web"))
    assert by_name(report, "web").outcome is Outcome.SKIPPED
    assert by_name(report, "web").asked is None
