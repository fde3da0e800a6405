"""Options of plugins: the types that authors use, written in YAML as anybody would write them, and judged strictly."""

from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import Field

import lastcall
from lastcall import Guest, PluginOptions, StopMethod
from lastcall.config.compose import settings_model
from lastcall.config.load import parse
from lastcall.config.metadata import read_metadata
from lastcall.config.policies import Policies
from lastcall.config.settings import Bootstrap
from lastcall.errors import ConfigInvalid
from lastcall.hooks.discovery import Plugins
from lastcall.options import BY_METADATA, Duration, Options, StepOptions


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Below(Options):
    hosts: tuple[IPv4Address, ...] = ()


class Typed(StepOptions):
    path: Path | None = None
    colour: Colour | None = None
    level: Level | None = None
    names: tuple[str, ...] = ()
    pair: tuple[str, int] | None = None
    tags: set[str] = Field(default=set())
    frozen: frozenset[int] = frozenset()
    day: date | None = None
    address: IPv4Address | None = None
    network: IPv4Network | None = None
    uuid: UUID | None = None
    price: Decimal | None = None
    by_address: dict[IPv4Address, Path] = Field(default={})
    below: Below | None = None
    wait: Duration = 1.0
    count: int | None = Field(default=None, json_schema_extra=BY_METADATA)
    ratio: float | None = None
    flag: bool | None = None
    text: str | None = None


class Mine(StopMethod[Typed]):
    name = "push"
    options = Typed

    def request(self, call: Any) -> None:
        """Nothing."""


class Declares:
    @lastcall.hookimpl
    def plugin_options(self) -> PluginOptions:
        return PluginOptions(settings=Typed, guest=Typed)

    @lastcall.hookimpl
    def stop_methods(self) -> list[Mine]:
        return [Mine()]


PLUGINS = Plugins(Bootstrap(), {"bmc": Declares()})
PLACES = {
    "plugins.bmc": "plugins: {{bmc: {{{}}}}}",
    "defaults.bmc": "defaults: {{bmc: {{{}}}}}",
    "guests[0].bmc": "guests: [{{match: g, bmc: {{{}}}}}]",
    "defaults.stop[0].push": "defaults: {{stop: [push: {{{}}}]}}",
    "guests[0].last_resort[0].push": "guests: [{{match: g, last_resort: [push: {{{}}}]}}]",
}


def found(text: str, place: str) -> Any:
    settings: Any = parse(text).settings(PLUGINS.vocabulary)
    policy = settings.guests[0] if "guests" in place else settings.defaults
    if "[0].push" in place:
        return (policy.stop if "stop" in place else policy.last_resort)[0].chosen[1]
    return settings.plugins.bmc if "plugins" in place else policy.bmc


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("path: /srv/x", Path("/srv/x")),
        ("colour: red", Colour.RED),
        ("level: 3", Level.HIGH),
        ("names: [a, b]", ("a", "b")),
        ("pair: [a, 1]", ("a", 1)),
        ("tags: [a, a]", {"a"}),
        ("frozen: [1, 2]", frozenset({1, 2})),
        ("day: 2026-02-03", date(2026, 2, 3)),
        ("address: 192.0.2.7", IPv4Address("192.0.2.7")),
        ("network: 192.0.2.0/24", IPv4Network("192.0.2.0/24")),
        ("uuid: 6695eb01-f6a4-8304-79aa-97f2502e193f", UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")),
        ("price: '1.10'", Decimal("1.10")),
        ("by_address: {192.0.2.7: /x}", {IPv4Address("192.0.2.7"): Path("/x")}),
        ("below: {hosts: [192.0.2.7]}", Below(hosts=(IPv4Address("192.0.2.7"),))),
        ("wait: 5min", 300.0),
        ("ratio: 1", 1.0),
        ("text: '3'", "3"),
    ],
)
def test_a_field_of_any_usual_type_takes_what_one_would_write(place: str, written: str, value: object) -> None:
    name = written.partition(":")[0]
    assert getattr(found(PLACES[place].format(written), place), name) == value


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('count: "3"', "should be a whole number, not '3'"),
        ("count: 3.0", "not 3.0"),
        ("count: true", "should be a whole number, not true"),
        ('ratio: "1"', "should be a number, not '1'"),
        ("flag: 1", "should be true or false, not 1"),
        ('flag: "true"', "should be true or false, not 'true'"),
        ("text: 3", "should be a text, not 3; quote it"),
        ('level: "3"', "3"),
        ("names: a", "should be a list, not 'a'"),
        ("path: 3", "3"),
        ("day: yesterday", "date"),
        ("address: 300.0.0.1", "Octet 300 (> 255) not permitted"),
        ("colour: blue", "'red'"),
        ("colr: red", "unknown key; did you mean 'colour'?"),
        ("below: {host: []}", "unknown key; did you mean 'hosts'?"),
    ],
)
def test_what_is_something_else_is_one_error_with_its_place(place: str, written: str, message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        found(PLACES[place].format(written), place)
    (problem,) = caught.value.problems
    key = written.partition(":")[0] if "below" not in written else "below.host"
    assert f": {place}.{key}" in f": {problem.message}"
    assert message in problem.message


def test_metadata_and_plugins_give_the_same_types() -> None:
    settings = parse("# nothing").settings(PLUGINS.vocabulary)
    guest = Guest(uri="u", uuid="1", name="g")
    policy, problems = read_metadata(type(settings.defaults), guest, {"bmc": "{count: 7}"})
    assert problems == []
    assert policy
    policies = Policies(settings)
    policies.learn(guest, "metadata", policy)
    assert policies.of(guest).bmc.count == 7  # type: ignore[attr-defined]  # pyright: ignore
    _, (problem,) = read_metadata(type(settings.defaults), guest, {"bmc": "{count: '7'}"})
    assert "bmc.count: should be a whole number, not '7'" in problem.message


def test_a_configuration_with_such_types_can_be_shown_and_has_a_schema() -> None:
    settings = parse("plugins: {bmc: {path: /x, tags: [a], address: 192.0.2.7}}").settings(PLUGINS.vocabulary)
    shown = settings.model_dump(mode="json")["plugins"]["bmc"]
    assert (shown["path"], shown["tags"], shown["address"]) == ("/x", ["a"], "192.0.2.7")
    schema = settings_model(PLUGINS.vocabulary).model_json_schema()
    (typed,) = [one for name, one in schema["$defs"].items() if name.endswith("Typed")]
    assert typed["properties"]["path"]["anyOf"][0] == {"format": "path", "type": "string"}
    bmc = schema["$defs"]["Plugins"]["properties"]["bmc"]
    assert {"$ref": "#/$defs/Typed"} in bmc["anyOf"]


def test_options_made_in_python_take_python_values() -> None:
    assert Typed(path=Path("/x"), names=("a",)).names == ("a",)


def test_a_secret_written_in_the_wrong_place_is_not_quoted_in_a_traceback() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse("plugins: {bmc: {below: {hosts: [hunter2]}}}").settings(PLUGINS.vocabulary)
    assert "plugins.bmc.below.hosts[0]" in str(caught.value)


@pytest.mark.parametrize("written", [r'text: "\uD800"', "ratio: .nan", "count: 1" + "0" * 30])
def test_what_json_cannot_say_is_an_error_of_its_section_and_of_no_other(written: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse(f"shutdown: {{parallel: 2}}\nplugins: {{bmc: {{{written}}}}}").settings(PLUGINS.vocabulary)
    assert [problem.where.partition(":")[2][:1] for problem in caught.value.problems] == ["2"]
