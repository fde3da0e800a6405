"""`power_policy` and `power_supplies`: what counts as an answer, and that nobody waits for one longer than said."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from firing import fire
from lastcall import HookFailed, PowerPolicy, PowerWord, Reason, Skip, Supply, hookimpl
from lastcall.config.settings import HookSettings
from lastcall.hooks.dispatch import Dispatcher
from lastcall.hooks.power.supplies import PowerQuestions
from lastcall.hooks.registry import Registry
from lastcall.hooks.sources import Origin, Source
from lastcall.records.records import HookBegun, HookEnded, Record
from lastcall.records.stream import Stream
from lastcall.threads.workers import ThreadWorkers
from lastcall.timing.deadline import Deadline
from lastcall.timing.terms import Terms
from support import run_context


class Answers:
    """Answers both questions."""

    def __init__(self, policy: Callable[[], Any] = lambda: None, supplies: Callable[[], Any] = lambda: None) -> None:
        self._policy, self._supplies = policy, supplies

    @hookimpl
    def power_policy(self) -> Any:
        return self._policy()

    @hookimpl
    def power_supplies(self) -> Any:
        return self._supplies()


class Text(str):
    """A text of somebody's own."""

    __slots__ = ()

    def __str__(self) -> str:
        raise SystemExit(3)


def raises(error: BaseException) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


def ask(
    *plugins: Answers, deadline: float | None = None, sink: Callable[[Record], None] = lambda _: None
) -> tuple[PowerPolicy, tuple[Supply, ...], float]:
    """Both answers, and the seconds that the longer of them took."""

    async def story() -> tuple[PowerPolicy, tuple[Supply, ...], float]:
        loop = asyncio.get_running_loop()
        registry, stream = Registry(HookSettings()), Stream(loop.time, [("test", sink)])
        for number, plugin in enumerate(plugins):
            registry.add(Source(name=f"p{number}", origin=Origin.PACKAGE, where="test", sort_key=f"{number}"), plugin)
        context = run_context(loop.time)
        context.terms = Terms(Reason.POWER, Deadline.after(loop.time(), deadline), loop.time)
        hooks = Dispatcher(registry, HookSettings(), context, ThreadWorkers(loop), stream, loop)
        questions = PowerQuestions(hooks, context.terms, loop)
        began = time.monotonic()
        policy = await questions.policy()
        between = time.monotonic()
        supplies = await questions.supplies()
        return policy, supplies, max(between - began, time.monotonic() - between)

    return asyncio.run(story())


def test_without_an_answer_the_defaults_count_and_nothing_is_known_of_any_ups() -> None:
    policy, supplies, _ = ask()
    assert (policy, supplies) == (PowerPolicy(), ())


def test_the_first_policy_counts_and_all_supplies_do_each_once() -> None:
    first, second = PowerPolicy(supplies=2), PowerPolicy(supplies=3)
    one, two, again = Supply(name="a", charge=50), Supply(name="b"), Supply(name="a", charge=9)
    policy, supplies, _ = ask(
        Answers(), Answers(lambda: first, lambda: [one]), Answers(lambda: second, lambda: (again, two))
    )
    assert policy == first
    assert supplies == (one, two)


@pytest.mark.parametrize(
    "policy",
    [
        lambda: True, lambda: {"supplies": 1}, lambda: "shed",
        lambda: PowerPolicy(supplies=0), lambda: PowerPolicy(supplies=-1), lambda: PowerPolicy(supplies=1.5),  # pyright: ignore[reportArgumentType]
        lambda: PowerPolicy(supplies=True), lambda: PowerPolicy(trust=math.nan), lambda: PowerPolicy(trust=1.1),
        lambda: PowerPolicy(return_after=-1), lambda: PowerPolicy(return_after=math.inf),
        lambda: PowerPolicy(restore_charge=101), lambda: PowerPolicy(on_battery="burn"),  # pyright: ignore[reportArgumentType]
        raises(ValueError("no")), raises(HookFailed("no")), raises(SystemExit(1)), raises(KeyboardInterrupt()),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_is_its_plugins_failure_and_the_next_one_counts(policy: Callable[[], Any]) -> None:
    ended: list[Record] = []
    mine = PowerPolicy(supplies=2)
    found, _, _ = ask(Answers(policy), Answers(lambda: mine), sink=ended.append)
    assert found == mine
    assert [(one.record.plugin, one.record.result) for one in ended if isinstance(one, HookEnded)] == [("p0", "failed")]


@pytest.mark.parametrize(
    "supplies",
    [lambda: "ups", lambda: True, lambda: [None], lambda: [{"name": "a"}], lambda: [Supply(name="a", word="on")],  # pyright: ignore[reportArgumentType]
     raises(ValueError("no")), raises(SystemExit(1))],
)  # fmt: skip
def test_what_is_no_list_of_supplies_is_its_plugins_failure_and_the_others_count(supplies: Callable[[], Any]) -> None:
    other = Supply(name="b", word=PowerWord.LOW)
    _, found, _ = ask(Answers(supplies=supplies), Answers(supplies=lambda: [other]))
    assert found == (other,)
    fired, _ = fire({"p": Answers(supplies=supplies)}, "power_supplies", HookSettings(), None)
    assert len(fired.failures) == 1


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400, True, "12", None])
def test_a_number_that_is_none_is_not_said(number: Any) -> None:
    _, (found,), _ = ask(Answers(supplies=lambda: [Supply(name="a", charge=number, runtime=number)]))
    assert (found.charge, found.runtime) == (None, None)


def test_names_problems_and_lists_are_bounded_and_texts_are_plain() -> None:
    many = (Supply(name=f"{number}" * 300, problem="x" * 5000) for number in range(10**6))
    _, found, _ = ask(Answers(supplies=lambda: many))
    assert len(found) <= 32
    assert all(len(one.name) <= 255 and len(one.problem) <= 200 for one in found)
    _, (own,), _ = ask(Answers(supplies=lambda: [Supply(name=Text("a"), problem=Text("b"))]))
    assert [type(own.name), type(own.problem)] == [str, str]


def test_a_generator_is_a_list_of_supplies() -> None:
    class Yields:
        @hookimpl
        def power_supplies(self) -> Any:
            yield Supply(name="a")

    fired, _ = fire({"p": Yields()}, "power_supplies", HookSettings(), None)
    assert fired.answers == [("p", (Supply(name="a"),))]


def test_skipping_the_question_is_no_failure() -> None:
    _, found, _ = ask(Answers(supplies=raises(Skip("no UPS here"))))
    assert found == ()


def test_a_ups_that_hangs_costs_a_tenth_of_the_time_at_most_and_spoils_no_other_answer() -> None:
    one = Supply(name="a")
    policy, supplies, took = ask(
        Answers(lambda: PowerPolicy(supplies=2), lambda: [one]), Answers(lambda: time.sleep(9), lambda: time.sleep(9)),
        deadline=10,
    )  # fmt: skip
    assert (policy.supplies, supplies) == (2, (one,))
    assert took < 2


def test_without_a_deadline_a_ups_that_hangs_costs_five_seconds() -> None:
    _, supplies, took = ask(Answers(supplies=lambda: time.sleep(20)))
    assert supplies == ()
    assert 4 < took < 6


def test_questions_that_are_asked_every_few_seconds_are_told_only_where_they_fail() -> None:
    told: list[Record] = []
    ask(Answers(PowerPolicy, lambda: [Supply(name="a")]), sink=told.append)
    assert not [one for one in told if isinstance(one, HookBegun | HookEnded)]
