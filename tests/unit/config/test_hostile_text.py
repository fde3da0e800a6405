"""Whatever a configuration file says: it is valid, or each mistake is an error with its place, within bounded time."""

import json
import os
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import field_validator

from lastcall import Guest, PluginOptions
from lastcall.config.compose import Vocabulary, settings_model
from lastcall.config.load import parse, read
from lastcall.config.metadata import cut_down, read_metadata
from lastcall.config.reader import DEEPEST, MOST
from lastcall.config.settings import Bootstrap, Settings
from lastcall.config.validation import validate
from lastcall.errors import ConfigInvalid
from lastcall.hooks.discovery import Plugins
from lastcall.installation.sample import SAMPLE
from lastcall.options import Options
from support import run_lastcall, yaml_blocks

MORE = int(os.environ.get("LASTCALL_EXAMPLES", "1"))  # `make soak` tries more texts
# Of the processor, which a busy machine does not stretch as it does the clock's: most texts take a few milliseconds.
LIMIT = 10.0  # seconds
PAGES = ("configuration.md", "databases.md", "guest-commands.md", "ordering.md", "ssh.md", "agent.md")

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]" for before, after in zip("abcdefg", "bcdefgh", strict=True)
)
CHAIN = "a0: &a0 [x]\n" + "\n".join(f"a{one + 1}: &a{one + 1} [*a{one}]" for one in range(5000))
HOSTILE = {
    "a key that is none": "defaults: {depends_on: {host: db}}",
    "a mapping for rules": 'guests: {"[": {}}',
    "a key with a bracket": '"a[b]": 1',
    "a bracket in a rule": 'guests: [{match: a, "x[": 1}]',
    "a bracket below a short form": 'guests: [{match: a, databases: {"[": {}}}]',
    "a bracket in a section of plugins": 'plugins: {"(x)": {}}',
    "a bracket among names": 'hooks: {plugins: {"[a]": {timeot: 1}}}',
    "6000 digits": f"shutdown: {{parallel: {'9' * 6000}}}",
    "6000 digits of a duration": f"shutdown: {{deadline: {'9' * 6000}}}",
    "6000 digits and a unit": f"shutdown: {{deadline: {'9' * 6000}s}}",
    "6000 digits and a fraction": f"shutdown: {{deadline: {'9' * 6000}.5}}",
    "6000 digits in quotes": f"shutdown: {{deadline: '{'9' * 6000}'}}",
    "a number for ever": "shutdown: {deadline: 99999999999d}",
    "digits that are no duration": f"shutdown: {{deadline: {'9' * 100_000}x}}",
    "an alias bomb": BOMB,
    "a chain of aliases": CHAIN,
    "10000 brackets": "[" * 10_000,
    "a million brackets": "[" * 1_000_000,
    "10000 dashes": "- " * 10_000,
    "10000 braces": "{a: " * 10_000,
    "a NUL": "paths: {state: /a\0b}",
    "a NUL, escaped": 'paths: {state: "/a\\0b"}',
    "a NUL in a key": '"a\\0b": 1',
    "a control character": "a: \x07",
    "a lone surrogate": 'defaults: {timeout: "\\ud800"}',
    "a tab": "a:\n\t- b",
    "a key twice": "shutdown: {}\nshutdown: {}",
    "a circle": "a: &a [*a]",
    "a circle of mappings": "a: &a {b: *a}",
    "an alias of nothing": "a: *b",
    "an alias for a key": "a: &a b\n*a : c",
    "a date": "defaults: {timeout: 2001-01-01}",
    "an object": "defaults: !!python/object:os.system {}",
    "an object for a value": "defaults: {timeout: !!python/object/apply:os.system [id]}",
    "an object for a key": "!!python/name:os.system a: b",
    "keys that are no words": "1: 2\nnull: 3\ntrue: 4\n? [a]\n: b\n? {c: d}\n: e",
    "infinity": "defaults: {timeout: .inf}",
    "no number": "defaults: {timeout: .nan}",
    "a merge key": "defaults: {<<: {a: 1}}",
    "a byte order mark in the middle": "a: \ufeffb",
    "too many values": "guests: [" + "{match: a, x: 1}," * 30_000 + "]",
    "as many mistakes as values": "defaults: {" + ",".join(f"k{one}: 1" for one in range(3000)) + "}",
    "rules without a match": "guests: [" + "{matsch: a}," * 2000 + "]",
    "a long text": f"defaults: {{restore: {'x' * 1_000_000}}}",
    "a long key": f"{'x' * 1000}: 1",
}


@cache
def model() -> type[Settings]:
    """The model of the configuration with our own plugins; it takes longer to make than to judge a text."""
    return settings_model(Plugins(Bootstrap()).vocabulary)


def judged(text: str) -> list[str]:
    """What is wrong with a text: a line for each error, which begins with its place."""
    began = time.process_time()
    document = parse(text, "config.yaml")
    valid, problems = validate(model(), document.node)
    assert time.process_time() - began < LIMIT
    assert (valid is None) == bool(problems)
    return [f"{problem.where}: {problem.message}" for _, problem in (*document.problems, *problems)]


def have_places(errors: list[str]) -> bool:
    return all(re.match(r"config\.yaml:\d+:\d+: ", error) for error in errors)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_errors_with_places_and_nothing_else(text: str) -> None:
    errors = judged(text)
    assert errors
    assert have_places(errors)
    assert len("\n".join(errors)) < 1_000_000


def test_of_thousands_of_mistakes_the_first_are_told_and_the_others_counted() -> None:
    errors = judged(HOSTILE["as many mistakes as values"])
    assert len(errors) == 1001
    assert errors[-1].endswith(": 2000 errors more")
    assert judged("shutdown: {}\n" * 2000)[-1] == "config.yaml:1002:1: more than 1000 mistakes; the rest is not read"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("defaults: {depends_on: {host: db}}", "1:25: defaults.depends_on.host: unknown key"),
        ('guests: [{match: a, "x[": 1}]', "1:21: guests[0].x[: unknown key"),
        ('hooks: {plugins: {"[a]": {timeot: 1}}}',
         "1:27: hooks.plugins.[a].timeot: unknown key; did you mean 'timeout'?"),
        ('guests: [{match: a, databases: {"[": {}}}]', "1:33: guests[0].databases.[: unknown key"),
        ("guests: [{match: a, databases: postgressql}]",
         "1:32: guests[0].databases.postgressql: unknown key; did you mean 'postgresql'?"),
        ("guests: [{match: a, databases: [{postgressql: {}}]}]",
         "1:34: guests[0].databases[0].postgressql: unknown key; did you mean 'postgresql'?"),
        ("guests: [{match: a, databases: custom}]", "1:32: guests[0].databases.custom.flush: is missing"),
        ("restore: {attempts: 12345678901234567890}",
         "1:21: restore.attempts: should be a whole number of at most 18 digits, not '12345678901234567890'"),
        ("a: 1\nb: \x07", "2:4: not valid YAML: the character U+0007 is not allowed"),
        ('connections: ["a\\0b"]', "1:15: has a NUL character"),
        ("defaults: !!python/object:os.system {}", "1:11: the YAML tag tag:yaml.org,2002:python/object"),
        ("a: &a {b: *a}", "1:11: an alias (*) to something that contains it"),
        ("a: *b", "1:4: not valid YAML: nothing is called &b"),
        ("shutdown: {deadline: .inf}", "1:22: shutdown.deadline: '.inf' is not a duration"),
        ("shutdown: {deadline: 1001d}", "1:22: shutdown.deadline: a duration is not negative, and at most 1000d"),
        ("- " * 40 + "a", f"1:{2 * DEEPEST + 1}: nested too deeply"),
        (CHAIN, "32:12: nested too deeply"),
        (BOMB, f"6:8: more than {MOST} values"),
    ],
)  # fmt: skip
def test_the_place_is_where_the_mistake_is(text: str, line: str) -> None:
    assert any(error.startswith(f"config.yaml:{line}") for error in judged(text)), judged(text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_in_a_guests_metadata_costs_that_key_alone(text: str) -> None:
    guest = Guest(uri="u", uuid="i", name="g")
    began = time.process_time()
    policy, problems = read_metadata(type(model()().defaults), guest, {"timeout": text, "order": "3"})
    assert time.process_time() - began < LIMIT
    assert policy is not None
    assert (policy.order, policy.model_fields_set) == (3, {"order"})
    assert problems
    assert all(problem.where == "g" for problem in problems)


BEYOND = {
    "4 KiB": ("stop", f"[acpi, {'x' * 4096}]", "stop: more than 4096 bytes"),
    "4 KiB in bytes": ("stop", f"[acpi, {'ü' * 2048}]", "stop: more than 4096 bytes"),
    "aliases": ("stop", "[&a acpi, *a]", "stop: aliases (*) are not read here"),
    "depth": ("stop", f"{'[' * 9}acpi{']' * 9}", "stop: nested too deeply: more than 8 lists"),
    "values": ("depends_on", f"[{'a,' * 1000}]", "depends_on: more than 1000 values"),
    "digits": ("order", "1" * 21, "order: "),
}


@pytest.mark.parametrize(("key", "text", "said"), BEYOND.values(), ids=BEYOND.keys())
def test_metadata_has_narrower_bounds_than_a_file(key: str, text: str, said: str) -> None:
    guest = Guest(uri="u", uuid="i", name="g")
    policy, (problem,) = read_metadata(type(model()().defaults), guest, {key: text, "timeout": "3s"})
    assert policy is not None
    assert policy.model_fields_set == {"timeout"}
    assert problem.message.startswith(said)


def test_within_its_bounds_metadata_is_what_it_says() -> None:
    names = [f"guest-{number}" for number in range(300)]
    texts = {"depends_on": f"[{', '.join(names)}]", "stop": "[{save: {timeout: 9min}}]", "order": "1" * 18}
    policy, problems = read_metadata(type(model()().defaults), Guest(uri="u", uuid="i", name="g"), texts)
    assert policy is not None
    assert (len(policy.depends_on), policy.order, problems) == (300, int("1" * 18), [])


def test_of_many_keys_in_metadata_a_hundred_are_looked_at() -> None:
    texts = {f"key-{number}": "1" for number in range(5000)}
    _, problems = read_metadata(type(model()().defaults), Guest(uri="u", uuid="i", name="g"), cut_down(texts))
    assert len(problems) == 101
    assert problems[0].message == "more than 100 keys; the others are not looked at"


def test_aliases_that_stay_within_bounds_are_what_they_stand_for() -> None:
    text = "defaults: {stop: &ladder [acpi, {save: {timeout: 5min}}]}\nguests: [{match: a, stop: *ladder}]"
    found = parse(text).settings(Plugins(Bootstrap()).vocabulary)
    assert found.guests[0].stop == found.defaults.stop != ()


@pytest.mark.parametrize("text", ["\ufeffshutdown: {parallel: 3}", "\ufeff# nothing\r\nshutdown:\r\n  parallel: 3\r\n"])
def test_a_byte_order_mark_and_line_ends_of_other_systems_mean_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text, newline="")
    assert read(tmp_path / "config.yaml").settings(Vocabulary()).shutdown.parallel == 3


def _put(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


UNREADABLE: list[tuple[Callable[[Path], object], str]] = [
    (_put(b"a: 1\nb: \xff"), r"config\.yaml:2:4: cannot be read: not a text file \(UTF-8\): byte 0xff"),
    (_put("a: 1".encode("utf-16")), r"config\.yaml:1:1: cannot be read: not a text file"),
    (_put(b"\xef\xbb\xbf"), r"config\.yaml:1:1: is empty"),
    (_put(b"\0" * 100), r"config\.yaml:1:1: not valid YAML: the character U\+0000"),
    (lambda path: path.symlink_to(path), r"config\.yaml: not used as configuration: is a link"),
    (lambda path: (path.parent / "conf.d" / "a.yaml").mkdir(parents=True), r"a\.yaml: cannot be read: is a directory"),
]


@pytest.mark.parametrize(("make", "message"), UNREADABLE)
def test_what_cannot_be_read_is_an_error_of_its_file(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    config = tmp_path / "config.yaml"
    make(config)
    with pytest.raises(ConfigInvalid, match=message):
        read(config).settings(Vocabulary())


def test_a_link_that_leads_in_a_circle_is_to_be_removed_and_not_copied(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.symlink_to(config)
    with pytest.raises(ConfigInvalid) as caught:
        read(config).settings(Vocabulary())
    assert caught.value.problems[0].remedy == f"it leads in a circle; remove it: rm {config}"


class _Judge(Options):
    kind: str

    @field_validator("kind")
    @classmethod
    def _look_up(cls, given: str) -> str:
        return {"good": given}[given]  # raises what no validator should


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("plugins:\n  judge: {kind: bad}", "2:11: plugins.judge.kind"),
        ("guests:\n- match: a\n  judge: {kind: good}\n- match: b\n  judge: {kind: bad}", "5:11: guests[1].judge.kind"),
    ],
)
def test_a_validator_that_raises_something_else_is_an_error_where_it_judged(text: str, place: str) -> None:
    words = Vocabulary({"judge": PluginOptions(settings=_Judge, guest=_Judge)})
    with pytest.raises(ConfigInvalid) as caught:
        parse(text, "c.yaml").settings(words)
    assert str(caught.value).startswith(f"c.yaml:{place}: cannot be judged: KeyError: 'bad', {__file__}:")


@pytest.mark.parametrize("name", ["a key with a bracket", "an alias bomb"])
def test_by_hand_hostile_text_is_exit_6_with_its_place(tmp_path: Path, name: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(HOSTILE[name])
    done = run_lastcall(config, "shutdown")
    assert done.returncode == 6
    assert re.match(re.escape(str(config)) + r":\d+:\d+: ", done.stderr)
    assert "Traceback" not in done.stderr


GOOD = [SAMPLE, *(block for page in PAGES for block in yaml_blocks(page))]
PIECES = [
    *(text for text in HOSTILE.values() if len(text) < 8000),
    *"[]{}:,#&*!|>'\"%@`-?\n\t\r \0\x85\u2028\ufeff\u202e", "- ", ": ", "? ", "<<: ", "---\n", "...\n", "&a ", "*a ",
    "!!str ", "!!binary ", "true", "null", "~", "0x1f", "1e999", "-1", "1:30", "5min", ".inf", "0755", "''", "{}", "[]",
    "leave", "*", "match: ", "stop: ", "depends_on: ", "by_reason: ", "plugins: ", "databases: ", "ready: ",
    "hooks: ", "guests: ",
]  # fmt: skip
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 0.2), st.sampled_from(PIECES) | st.text(max_size=20), st.integers(0, 3)),
    min_size=1, max_size=6,
)  # fmt: skip
KEYS = sorted({word for text in GOOD for word in re.findall(r"(\w+):", text)})
SINGLE = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(KEYS)
    | st.sampled_from(["5s", "acpi", "save", "agent", "postgresql", "*", "leave", "always"])
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        SINGLE
        | st.lists(VALUES, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), VALUES, max_size=4)
    )
)


def changed(text: str, changes: list[tuple[float, float, str, int]]) -> str:
    """A text with something put into it, or in the place of something, once or several times."""
    for at, length, piece, times in changes:
        begin = int(at * len(text))
        text = text[:begin] + piece * times + text[begin + int(length * len(text)) :]
    return text


@settings(max_examples=150 * MORE)
@given(st.sampled_from(GOOD), CHANGES)
def test_a_configuration_with_anything_changed_is_valid_or_an_error_with_its_place(
    text: str, changes: list[tuple[float, float, str, int]]
) -> None:
    assert have_places(judged(changed(text, changes)))


@settings(max_examples=150 * MORE)
@given(st.dictionaries(st.sampled_from([*Settings.model_fields, "x"]), VALUES, max_size=4))
def test_anything_in_any_section_is_valid_or_an_error_with_its_place(document: dict[str, Any]) -> None:
    assert have_places(judged(json.dumps(document)))
