"""The guest key `shed`: its forms, what is refused, and how much of it a guest may say of itself."""

import pytest

from lastcall import Guest, GuestShedding
from lastcall.config.compose import Vocabulary
from lastcall.config.load import parse
from lastcall.config.metadata import read_metadata
from lastcall.config.policy.view import shedding_of
from lastcall.errors import ConfigInvalid

GUEST = Guest(uri="u", uuid="i", name="g")


@pytest.mark.parametrize(
    ("written", "meant", "shown"),
    [
        ("never", GuestShedding(), "never"),
        ("5min", GuestShedding(after=300), 300),
        ("0s", GuestShedding(after=0), 0),
        ("90", GuestShedding(after=90), 90),
        ("{after: 1h}", GuestShedding(after=3600), 3600),
        ("{below: 60%}", GuestShedding(below=60), {"below": 60}),
        ("{below: 12.5, after: null}", GuestShedding(below=12.5), {"below": 12.5}),
        (
            "{after: 5min, below: 60 %, runtime_below: 15min}",
            GuestShedding(after=300, below=60, runtime_below=900),
            {"after": 300, "below": 60, "runtime_below": 900},
        ),
    ],
)
def test_never_a_time_and_a_mapping_are_understood_and_shown_as_they_may_be_written(
    written: str, meant: GuestShedding, shown: object
) -> None:
    policy = parse(f"defaults: {{shed: {written}}}").settings(Vocabulary()).defaults
    assert shedding_of(policy) == meant
    assert policy.model_dump(mode="json")["shed"] == shown
    again = parse(f"defaults: {{shed: {shown}}}").settings(Vocabulary()).defaults
    assert shedding_of(again) == meant


def test_without_it_a_guest_is_never_shed() -> None:
    assert shedding_of(parse("{}").settings(Vocabulary()).defaults) == GuestShedding()


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("nevr", "or never"),
        ("no", "or never"),
        ("60%", "or never"),
        ("-5", "not negative"),
        ("true", "should be never, a time on battery such as 5min, or a mapping"),
        ("null", "should be never"),
        ("[5min]", "should be never"),
        ("{}", "should be never"),
        ("{after: null}", "says nothing"),
        ("{below: 0%}", "shed.below: should be greater than 0"),
        ("{below: 101}", "shed.below: not a part; write one such as 60%"),
        ("{below: true}", "shed.below: not a part"),
        ("{below: 5min}", "shed.below: not a part"),
        ("{runtime_below: 0s}", "shed.runtime_below: should be greater than 0"),
        ("{after: never}", "shed.after: 'never' is not a duration"),
        ("{befor: 5min}", "unknown key"),
    ],
)
def test_what_sheds_nobody_or_cannot_be_meant_is_refused_with_what_may_stand_there(written: str, told: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse(f"guests: [{{match: g, shed: {written}}}]").settings(Vocabulary())
    (problem,) = caught.value.problems
    assert told in problem.message


@pytest.mark.parametrize(
    "text", ["5min", "never", "{after: 5min}", "{below: 60%}", "{after: 5min, runtime_below: 1min}"]
)
def test_a_guest_may_say_of_itself_after_which_time_it_is_shed_and_nothing_of_the_battery(text: str) -> None:
    policy, problems = read_metadata(type(parse("{}").settings(Vocabulary()).defaults), GUEST, {"shed": text})
    if "below" in text:
        assert policy is None
        assert "cannot be set by metadata" in problems[0].message
    else:
        assert problems == []
        assert policy is not None
        assert shedding_of(policy).after == (None if text == "never" else 300)
