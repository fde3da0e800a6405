"""One hook call's view of the run, and the real dispatcher with real threads."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import lastcall
from firing import fire
from lastcall import CallExpired, Guest, HookFailed, Json, NoShell, OnFailure, Outcome, Problem, Run, Verdict
from lastcall.config.settings import HookSettings, PluginHookSettings
from lastcall.hooks.dispatch import Dispatcher
from lastcall.hooks.registry import Registry
from lastcall.hooks.sources import Origin, Source
from lastcall.records.stream import Stream
from lastcall.testing.memory import FakeGuest, Hangs, run_shutdown
from lastcall.threads.workers import ThreadWorkers
from support import by_name, run_context

GUEST = Guest(uri="fake:///system", uuid="u", name="g")


def test_after_the_end_of_its_time_box_a_call_can_do_nothing_more() -> None:
    seen: list[str] = []
    over = threading.Event()

    class Overruns:
        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest, run: Run) -> None:
            run.evidence(before=1)
            try:
                run.sleep(60)
            except CallExpired:
                seen.append("sleep")
            for name in ("id", "kind", "reason", "rehearsal", "guests", "folder"):
                with pytest.raises(CallExpired):
                    getattr(run, name)
                seen.append(name)
            for call in (
                run.remaining,
                run.run_remaining,
                lambda: run.log("x"),
                lambda: run.evidence(after=1),
                lambda: run.domain(guest),
            ):
                with pytest.raises(CallExpired):
                    call()
            over.set()

    _, stream = fire({"overruns": Overruns()}, "on_guest_stop", HookSettings(timeout=0.2))
    assert over.wait(600)
    assert seen == ["sleep", "id", "kind", "reason", "rehearsal", "guests", "folder"]
    (record,) = stream.story.result(GUEST.key).hooks
    assert record.result is Verdict.TIMEOUT
    assert record.evidence == {"before": 1}


def test_a_run_that_a_plugin_keeps_is_worth_nothing_after_its_call(tmp_path: Path) -> None:
    kept: list[Run] = []

    class Keeps:
        @lastcall.hookimpl
        def on_guest_stop(self, run: Run) -> None:
            kept.append(run)

        @lastcall.hookimpl
        def on_guest_stopped(self) -> None:
            with pytest.raises(CallExpired):
                kept[0].remaining()

    report = run_shutdown(tmp_path, [FakeGuest("g")], plugins={"keeps": Keeps()})
    assert [hook.result for hook in by_name(report, "g").hooks] == [Verdict.OK, Verdict.OK]


def test_each_call_has_its_own_time_box_and_a_plugins_own_wins() -> None:
    class Slow:
        @lastcall.hookimpl
        def on_guest_stop(self, run: Run) -> None:
            time.sleep(1)

    settings = HookSettings(timeout=0.2, plugins={"patient": PluginHookSettings(timeout=600.0)})
    _, stream = fire({"hasty": Slow(), "patient": Slow()}, "on_guest_stop", settings)
    records = {record.plugin: record.result for record in stream.story.result(GUEST.key).hooks}
    assert records == {"hasty": Verdict.TIMEOUT, "patient": Verdict.OK}


def test_a_generator_that_raises_when_it_is_consumed_is_contained() -> None:
    class Lazy:
        @lastcall.hookimpl
        def check_guest(self, guest: Guest) -> "list[Problem]":
            return (int("x") for _ in range(3))  # type: ignore[return-value]  # pyright: ignore

    fired, stream = fire({"lazy": Lazy()}, "check_guest", HookSettings())
    assert fired.answers == []
    (record,) = stream.story.result(GUEST.key).hooks
    assert "invalid literal" in record.message


def test_lines_of_output_stand_before_the_end_of_their_call() -> None:
    class Talks:
        @lastcall.hookimpl
        def on_guest_stop(self, run: Run) -> None:
            for number in range(50):
                run.log(f"line {number}")

    seen: list[str] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        stream = Stream(loop.time, [("spy", lambda record: seen.append(type(record).__name__))])
        registry = Registry(HookSettings())
        registry.add(Source(name="talks", origin=Origin.PACKAGE, where="test", sort_key="talks"), Talks())
        stream.story.plan(GUEST)
        dispatcher = Dispatcher(registry, HookSettings(), run_context(loop.time), ThreadWorkers(loop), stream, loop)
        await dispatcher.fire("on_guest_stop", GUEST)

    asyncio.run(story())
    assert seen == ["HookBegun", *["HookSaid"] * 50, "HookEnded"]


class _Asks:
    @lastcall.hookimpl
    def on_guest_stop(self, guest: Guest, run: Run) -> None:
        with pytest.raises(NoShell, match="no shell is configured for g"):
            run.shell(guest)
        run.evidence(deadline=run.run_remaining(), folder=run.folder.name)


def test_a_guest_without_a_shell_is_a_clear_error(tmp_path: Path) -> None:
    report = run_shutdown(tmp_path, [FakeGuest("g")], plugins={"asks": _Asks()})
    (record,) = by_name(report, "g").hooks
    assert (record.result, record.evidence) == (Verdict.OK, {"deadline": 600.0, "folder": "asks"})


def test_all_of_pre_shutdown_together_gets_a_quarter_of_the_deadline_at_most(tmp_path: Path) -> None:
    class Hanging:
        @lastcall.hookimpl
        def pre_shutdown(self) -> None:
            raise Hangs

    plugins = {f"hangs_{number}": Hanging() for number in range(9)}
    guest = FakeGuest("g", takes=1)
    config = "shutdown: {deadline: 100s}\nhooks: {timeout: 10s}"
    report = run_shutdown(tmp_path, [guest], plugins=plugins, config=config)
    assert guest.asked == [(25.0, "acpi")]
    assert by_name(report, "g").outcome is Outcome.STOPPED
    assert [hook.result for hook in report.hooks] == [Verdict.TIMEOUT] * 9


class _Looks:
    @lastcall.hookimpl
    def check(self) -> "list[Problem]":
        return [Problem(what="mount", where="/mnt/x", message="is not mounted", remedy="mount it")]

    @lastcall.hookimpl
    def describe_guest(self, guest: Guest) -> "dict[str, Json]":
        return {"colour": guest.name}


def test_hooks_that_answer_give_their_answers_with_their_plugins_name() -> None:
    fired, _ = fire({"looks": _Looks()}, "describe_guest", HookSettings())
    assert fired.answers == [("looks", {"colour": "g"})]
    fired, _ = fire({"looks": _Looks()}, "check", HookSettings(), guest=None)
    assert fired.answers[0][1][0].remedy == "mount it"


@pytest.mark.parametrize("word", ["skip-guest", "SKIP_GUEST", "ignore", "", "stop"])
def test_a_failure_with_a_policy_that_is_none_is_told_where_it_is_made(word: Any) -> None:
    class Fails:
        @lastcall.hookimpl
        def on_guest_stop(self) -> None:
            raise HookFailed("the disk is full", on_failure=word)

    fired, stream = fire({"fails": Fails()}, "on_guest_stop", HookSettings())
    (record,) = stream.story.result(GUEST.key).hooks
    assert f"on_failure {word!r} is none of abort, continue, skip_guest" in record.message
    assert "the disk is full" in record.message
    assert fired.verdict == "go on"


def test_a_policy_that_is_changed_afterwards_into_a_word_that_is_none_leaves_what_is_configured() -> None:
    class Changed(HookFailed):
        def __init__(self, word: Any) -> None:
            super().__init__("no", on_failure="continue")
            self.on_failure = word

    class Fails:
        @lastcall.hookimpl
        def on_guest_stop(self) -> None:
            raise Changed("skip-guest")

    fired, _ = fire({"fails": Fails()}, "on_guest_stop", HookSettings(on_failure="skip_guest"))
    assert fired.verdict == "skip_guest"


@pytest.mark.parametrize(
    ("policy", "verdict"), [("skip_guest", "skip_guest"), ("continue", "go on"), ("abort", "go on")]
)
def test_a_failure_may_say_itself_what_it_means(policy: OnFailure, verdict: str) -> None:
    class Fails:
        @lastcall.hookimpl
        def on_guest_stop(self) -> None:
            raise HookFailed("no", on_failure=policy)

    settings = HookSettings(on_failure="continue" if policy == "skip_guest" else "skip_guest")
    assert fire({"fails": Fails()}, "on_guest_stop", settings)[0].verdict == verdict
