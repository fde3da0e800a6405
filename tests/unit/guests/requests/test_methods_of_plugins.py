"""What a stop method of a plugin says of itself: its options, and whether it may be asked again."""

from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

import lastcall
from lastcall import Guest, Reason, Run, StopMethod, StopRequest
from lastcall.config.load import parse
from lastcall.config.settings import Bootstrap
from lastcall.hooks.discovery import Plugins
from lastcall.options import Duration, RepeatableOptions, StepOptions
from lastcall.records.records import HookSaid, Record
from lastcall.testing.memory import FakeGuest, run_shutdown


class Knocks(RepeatableOptions):
    loud: bool = False


class Waits(StepOptions):
    resend: Duration = 5.0  # of its own: what it is called does not make asking again harmless


class Bare(StopMethod):
    name = "bare"

    def request(self, call: StopRequest) -> None:
        call.run.domain(call.guest).shutdown("acpi")


class Knock(StopMethod[Knocks]):
    name = "knock"

    def request(self, call: StopRequest[Knocks]) -> None:
        call.run.domain(call.guest).shutdown("agent" if call.options.loud else "acpi")


class Wait(StopMethod[Waits]):
    name = "wait"

    def request(self, call: StopRequest[Waits]) -> None:
        call.run.domain(call.guest).shutdown("acpi")


class Chats(StopMethod):
    name = "chats"

    def unfit(self, guest: Guest, run: Run) -> None:
        run.log(f"looks at {guest.name}")

    def request(self, call: StopRequest) -> None:
        call.run.log("asks\nin two lines")
        call.run.domain(call.guest).shutdown("acpi")

    def withdraw(self, call: StopRequest) -> None:
        call.run.log("takes it back")


AnyT = TypeVar("AnyT", bound=StepOptions)


class Family(StopMethod[AnyT], Generic[AnyT]):
    def request(self, call: StopRequest[AnyT]) -> None:
        """Nothing."""


class Child(Family[Knocks]):
    name = "child"


class Grandchild(Child):
    name = "grandchild"


class Says(Knock):
    name = "says"
    options = Knocks


class Offers:
    def __init__(self, *methods: Any) -> None:
        self._methods = methods

    @lastcall.hookimpl
    def stop_methods(self) -> Any:
        return self._methods


@pytest.mark.parametrize(
    ("method", "options"),
    [(Bare(), StepOptions), (Knock(), Knocks), (Wait(), Waits), (Child(), Knocks), (Grandchild(), Knocks),
     (Says(), Knocks)],
)  # fmt: skip
def test_a_methods_options_are_what_stands_in_its_brackets(method: StopMethod[Any], options: type[StepOptions]) -> None:
    plugins = Plugins(Bootstrap(), {"offers": Offers(method)})
    assert not plugins.registry.problems
    assert plugins.methods[method.name][1].options is options
    step = f"defaults: {{stop: [{{{method.name}: {{timeout: 7s}}}}]}}"
    assert parse(step).settings(plugins.vocabulary).defaults.stop[0].chosen == (method.name, options(timeout=7.0))


def test_brackets_that_are_no_options_cost_the_method() -> None:
    class Quoted(StopMethod["Knocks"]):  # to Python a text, of which nobody knows what it means
        name = "quoted"

        def request(self, call: StopRequest["Knocks"]) -> None:
            """Nothing."""

    plugins = Plugins(Bootstrap(), {"offers": Offers(Quoted(), Bare())})
    assert "bare" in plugins.methods
    assert "quoted" not in plugins.methods
    assert "the options of 'quoted' are no model" in plugins.registry.problems[0].message


@pytest.mark.parametrize(
    ("step", "asked"),
    [
        ("bare", [0.0]),
        ("wait: {resend: 5s}", [0.0]),
        ("knock", [0.0, 10.0, 20.0]),
        ("knock: {resend: 8s}", [0.0, 8.0, 16.0, 24.0]),
        ("knock: {resend: 0s}", [0.0]),
    ],
)
def test_a_method_is_asked_again_where_its_options_are_those_of_one_that_may_be(
    tmp_path: Path, step: str, asked: list[float]
) -> None:
    guest = FakeGuest("deaf", deaf_to=frozenset({"acpi"}))
    config = f"defaults: {{stop: [{step if ':' not in step else '{' + step + '}'}], timeout: 25s}}"
    plugins = {"offers": Offers(Bare(), Knock(), Wait())}
    run_shutdown(tmp_path, [guest], plugins=plugins, config=config, reason=Reason.REBOOT)
    assert [at for at, how in guest.asked if how == "acpi" and at < 25] == asked


def test_what_a_method_logs_are_lines_of_its_guest_in_the_run_log(tmp_path: Path) -> None:
    said = list[HookSaid]()

    def take(record: Record) -> None:
        if isinstance(record, HookSaid):
            said.append(record)

    guest = FakeGuest("deaf", hangs_in=frozenset({"acpi"}))
    plugins, config = {"offers": Offers(Chats())}, "defaults: {stop: [chats], timeout: 5s}"
    run_shutdown(tmp_path, [guest], plugins=plugins, config=config, reason=Reason.REBOOT, sink=take)
    assert {(one.hook, one.plugin, one.guest) for one in said} == {("stop_methods", "offers", guest.guest.key)}
    assert [one.line for one in said] == ["looks at deaf", "asks", "in two lines", "takes it back"]
