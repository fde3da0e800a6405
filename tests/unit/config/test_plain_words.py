"""What a newcomer writes and no lastcall reads: each mistake is told in words that say what to write instead."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError, model_validator

from lastcall import PluginOptions
from lastcall.config import load
from lastcall.config.compose import Vocabulary
from lastcall.config.guest_settings import Section
from lastcall.config.settings import Bootstrap
from lastcall.config.wording.forms import MAPPING, forms_of
from lastcall.errors import ConfigInvalid, Problem
from lastcall.hooks.discovery import Plugins
from lastcall.options import Options

WORDS = Plugins(Bootstrap()).vocabulary


def problems_of(text: str, words: Vocabulary = WORDS) -> list[Problem]:
    with pytest.raises(ConfigInvalid) as caught:
        load.parse(text, "config.yaml").settings(words)
    return list(caught.value.problems)


def told(text: str, words: Vocabulary = WORDS) -> str:
    """The only problem, as it is shown."""
    (problem,) = problems_of(text, words)
    return f"{problem.where}: {problem.message}" + (f" → {problem.remedy}" if problem.remedy else "")


def is_valid(text: str) -> bool:
    try:
        load.parse(text).settings(WORDS)
    except ConfigInvalid:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("defaults: {commands: systemctl stop x}",
         ("1:22: defaults.commands: should be a list of commands or a mapping, not 'systemctl stop x'"
          "; did you mean commands: [systemctl stop x]?")),
        ("defaults: {commands: [true]}", "1:23: defaults.commands[0]: should be a command line or a mapping, not true"),
        ("defaults: {commands: [[]]}", "1:23: defaults.commands[0]: should be a command line or a mapping, not a list"),
        ("defaults: {commands: [[sync, -d]]}",
         ("1:23: defaults.commands[0]: should be a command line or a mapping, not a list"
          "; did you mean {run: [sync, -d]}?")),
        ("connections: [5]", "1:15: connections[0]: should be a URI or a mapping, not 5"),
    ],
)  # fmt: skip
def test_where_a_short_form_is_read_too_the_error_names_it_beside_the_mapping(text: str, line: str) -> None:
    assert told(text).removeprefix("config.yaml:") == line


def models() -> Iterator[type[BaseModel]]:
    """Ours, and those of the bundled plugins, which have a short form of their own."""
    found: list[type[BaseModel]] = [Section, Options]
    for model in found:
        found += model.__subclasses__()
        if "_short_form" in vars(model) and model.__module__.startswith("lastcall"):
            yield model


@pytest.mark.parametrize(
    "model", {model.__qualname__: model for model in models()}.values(), ids=lambda one: one.__name__
)
def test_no_model_with_a_short_form_asks_for_a_mapping_alone(model: type[BaseModel]) -> None:
    wrong: list[Any] = [True, [True], 0.5]
    for given in wrong:
        try:
            model.model_validate(given)
        except ValidationError as error:
            bare = [one for one in error.errors() if one["type"] == "model_type" and not one["loc"]]
            assert not bare or forms_of(model) != MAPPING


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("defaults: {stop: [{acpi: 5min}]}", "acpi: {timeout: 5min}"),
        ("defaults: {stop: [agent, {acpi: 90}]}", "acpi: {timeout: 90}"),
        ("defaults: {last_resort: [{save: 5min}]}", "save: {timeout: 5min}"),
        ("shutdown: 5min", "shutdown: {deadline: 5min}"),
        ("restore: none", "restore: {policy: none}"),
        ("shutdown: {by_reason: {power: 90s}}", "power: {deadline: 90s}"),
        ("paths: /var/lib/x", "paths: {state: /var/lib/x}"),
        ("guests: ['db-*']", '{match: "db-*"}'),
    ],
)
def test_a_value_in_place_of_a_mapping_is_told_the_key_behind_which_it_would_do(text: str, meant: str) -> None:
    (problem,) = problems_of(text)
    assert "should be a mapping, not " in problem.message
    assert problem.message.endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("text", ["defaults: {stop: [{acpi: soon}]}", "connections: [[]]", "restore: [a]"])
def test_what_would_do_behind_no_key_is_given_none(text: str) -> None:
    assert "did you mean" not in told(text)


def test_a_model_of_a_plugin_that_raises_costs_no_more_than_the_guess() -> None:
    class Fragile(Options):
        size: int = 1

        @model_validator(mode="after")
        def _boom(self) -> "Fragile":
            raise RuntimeError("boom")

    words = Vocabulary({"fragile": PluginOptions(settings=Fragile)})
    assert told("plugins: {fragile: 5}", words) == "config.yaml:1:20: plugins.fragile: should be a mapping, not 5"


@pytest.mark.parametrize("word", ["*", "*db", "*-1", "*.example.org", "%db", "@db", "`db`", "&"])
@pytest.mark.parametrize(
    "around", ["guests:\n- match: {}\n", "defaults:\n  depends_on: [{}]\n", "defaults: {{shell: {}}}"]
)
def test_a_text_that_begins_with_a_sign_of_yaml_is_to_be_quoted(word: str, around: str) -> None:
    first = problems_of(around.format(word))[0]
    assert first.where.startswith("config.yaml:")
    assert first.remedy == f'quote what is meant as a text: "{word}"'


def test_a_text_that_would_be_a_tag_of_yaml_is_to_be_quoted() -> None:
    assert problems_of("guests:\n- match: !db\n")[0].remedy == 'quote what is meant as a text: "!db"'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("shutdown:\n\tdeadline: 5min\n", "2:1"),
        ("shutdown:\n  deadline: 5min\n\treserve: 5s\n", "3:1"),
        ("\tshutdown: {}\n", "1:1"),
        ("guests:\n-\tmatch: x\n", "2:2"),
        ("# Ünïcödé\nshutdown:\n  by_reason:\r\n\t\tpower: {}\n", "4:1"),
    ],
)
def test_a_tab_is_called_a_tab_and_spaces_are_asked_for(text: str, place: str) -> None:
    assert told(text) == (
        f"config.yaml:{place}: not valid YAML: a tab stands here, and YAML is indented with spaces alone"
        " → write spaces in its place"
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("guests: [{name: db, stop: [acpi]}]", "guests[0].name: unknown key; did you mean 'match'?"),
        ("guests: [{vm: db}]", "guests[0].vm: unknown key; did you mean 'match'?"),
        ("connections: [{url: qemu:///system}]", "connections[0].url: unknown key; did you mean 'uri'?"),
    ],
)
def test_what_other_tools_call_a_key_is_one_mistake_and_the_key_that_is_meant_is_named(text: str, key: str) -> None:
    assert problems_of(text)[0].message == key
    assert len(problems_of(text)) == 1


@pytest.mark.parametrize("uri", ["qemu://system", "qemu://session/", "lxc+unix://system", "test://default"])
def test_a_uri_with_a_slash_too_few_means_a_host_that_nobody_has_and_is_refused(uri: str) -> None:
    """It would be valid, never be reached, and no guest of this host would be stopped."""
    meant = uri.rstrip("/").replace("://", ":///")
    name = meant.rpartition("/")[2]
    assert told(f"connections: ['{uri}']").endswith(
        f"{uri!r} means a host called {name!r}; for this host it is {meant}"
    )


@pytest.mark.parametrize(
    "uri", ["qemu:///system", "qemu://system.example/system", "xen:///", "qemu:/system", "default"]
)
def test_a_uri_that_libvirt_may_reach_is_left_alone(uri: str) -> None:
    assert is_valid(f"connections: ['{uri}']")


DEEPER = "indent both alike, or this one deeper, if it belongs to the line above"
STRUCTURE = {
    "guests:\n  - match: b\n   timeout: 5s\n": (
        "3:4", "this line is indented by 3 spaces, those that it follows from line 2 on by 2 spaces", DEEPER,
    ),
    "defaults:\n    timeout: 5s\n  stop: [acpi]\n": (
        "3:3", "this line is indented by 2 spaces, those that it follows from line 1 on by 0 spaces", DEEPER,
    ),
    "guests:\n  - match: a\n  stop: [acpi]\n": (
        "3:3", "this line is none of the entries of the list that begins in line 2",
        "indent it deeper, if it belongs to the entry above; else less than the list",
    ),
    "guests:\n  -match: a\n  - match: b\n": (
        "2:3", "a '-' without a space behind it begins no entry of a list", "write '- match:'",
    ),
    "# Ünïcödé\nguests:\n  - match: a: b\n": (
        "3:13", "a second ':' stands in this line", "quote the value, if the ':' is a part of it",
    ),
    "guests:\n  - match:a\n\n    timeout: 5s\n": (
        "4:12", "this line goes on with what stands in line 2, and has a ':' of its own",
        "a key ends with a ':' and a space: is that so in line 2?",
    ),
    "defaults:\n  shell: \"ssh\nguests: []\n": (
        "2:10", 'the " that stands here is never closed', 'end the text with ", on this line',
    ),
    "defaults: {timeout: 5s\nguests: []\n": (
        "1:11", "the { that stands here is not closed, or a comma is missing before line 2, column 7", "end it with }",
    ),
    "defaults:\n  stop: [acpi, save\n": (
        "2:9", "the [ that stands here is not closed, or a comma is missing before line 3, column 1", "end it with ]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", STRUCTURE)
def test_what_is_broken_in_the_structure_is_told_where_it_began_with_what_helps(text: str) -> None:
    place, message, remedy = STRUCTURE[text]
    assert told(text) == f"config.yaml:{place}: not valid YAML: {message} → {remedy}"


@pytest.mark.parametrize("parser", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize(
    "text", ["shutdown:\n\tgrace: 1", "guests:\n- match: *", "guests:\n- match: @x", "a: *b", *STRUCTURE]
)
def test_both_parsers_of_yaml_are_put_into_the_same_words(
    monkeypatch: pytest.MonkeyPatch, parser: str, text: str
) -> None:
    usual = told(text)
    monkeypatch.setattr("lastcall.config.reader._Parser", getattr(yaml, parser))
    assert told(text).partition(": ")[2] == usual.partition(": ")[2]


@pytest.mark.parametrize("text", ["shutdown: {\n\tdeadline: 5min}", "shutdown:\n  deadline:\t5min\n"])
def test_a_tab_where_yaml_takes_one_is_no_mistake(text: str) -> None:
    assert is_valid(text)


def test_a_merge_key_is_one_mistake_that_says_so_and_a_quoted_one_is_a_key() -> None:
    told_of = "restore.<<: merge keys are not supported → write out what it adds"
    assert told("shutdown: &a {deadline: 5min}\nrestore:\n  <<: *a\n") == f"config.yaml:3:3: {told_of}"
    assert told("restore: {<<: {deadline: 5min}}") == f"config.yaml:1:11: {told_of}"
    assert "restore.<<: unknown key" in told('restore: {"<<": {}}')


@pytest.mark.parametrize("number", ["9" * 19, f"-{'9' * 400}"])
def test_a_number_of_too_many_digits_is_told_how_many_there_may_be(number: str) -> None:
    assert "defaults.order: should be a whole number of at most 18 digits, not " in told(
        f"defaults: {{order: {number}}}"
    )
    assert is_valid(f"defaults: {{order: {'9' * 18}}}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("shutdown:\n  deadline: 5min\n  deadline: 6min\n", "3:3: shutdown.deadline: given twice; first at line 2"),
        ("guests:\n- match: a\n- match: b\n  order: 1\n  order: 2\n",
         "5:3: guests[1].order: given twice; first at line 4"),
        ("shutdown: {by_reason: {power: {grace: 1, grace: 2}}}",
         "1:42: shutdown.by_reason.power.grace: given twice; first at line 1"),
        ("runs: {}\nruns: {}\n", "2:1: runs: given twice; first at line 1"),
    ],
)  # fmt: skip
def test_a_key_that_is_given_twice_is_named_with_its_path(text: str, line: str) -> None:
    assert told(text) == f"config.yaml:{line}"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("shutdown: {by_reason: {powr: {deadline: 9s}}}", "power"),
        ("defaults: {manage: wach}", "watch"),
        ("defaults: {paused: resum}", "resume"),
        ("guests: [{match: {state: runing}}]", "running"),
        ("hooks: {on_failure: abrot}", "abort"),
    ],
)
def test_of_the_words_that_may_stand_somewhere_the_nearest_is_guessed(text: str, meant: str) -> None:
    assert told(text).endswith(f"; did you mean {meant!r}?")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('hooks: {environment: {"B=": x}}', "1:23: hooks.environment.B=: should be the name of a variable"),
        ('hooks: {environment: {"": x}}', "1:23: hooks.environment.'': should be the name of a variable"),
        (
            "fleet_lock: {url: 'https://a.b', group: a b}",
            "1:41: fleet_lock.group: should be up to 255 letters of ASCII",
        ),
        ("fleet_lock: {url: 'https://a.b', id: ä}", "1:38: fleet_lock.id: should be up to 255 characters of ASCII"),
    ],
)
def test_how_a_text_is_spelt_is_told_in_words_and_by_no_pattern(text: str, line: str) -> None:
    assert told(text).startswith(f"config.yaml:{line}")
    assert "pattern" not in told(text)


@pytest.mark.parametrize(
    "given", ["0", "70000", "-1", "db:0", "db:70000", "'db:'", "db:x", "x", "'[::1]'", "true", "3.5"]
)
def test_a_port_that_nobody_can_listen_on_is_refused(given: str) -> None:
    assert ": defaults.ready.tcp: should be a port, from 1 to 65535, or host:port, not " in told(
        f"defaults: {{ready: {{tcp: {given}}}}}"
    )


@pytest.mark.parametrize("given", ["1", "65535", "'22'", "db:22", "':22'", "'[::1]:22'", "'::1:22'", "null"])
def test_a_port_is_taken_alone_or_behind_a_host(given: str) -> None:
    assert is_valid(f"defaults: {{ready: {{tcp: {given}}}}}")


@pytest.mark.parametrize(
    "text",
    [
        "guests: [{match: ''}]", "guests: [{match: {name: ''}}]", "guests: [{match: {uuid: ''}}]",
        "guests: [{match: {uri: ''}}]", "defaults: {depends_on: ['']}", "defaults: {depends_on: {name: ''}}",
    ],
)  # fmt: skip
def test_a_match_of_nothing_which_nobody_is_called_is_refused(text: str) -> None:
    assert 'is empty, which no guest has; "*" matches every guest' in told(text)


@pytest.mark.parametrize("given", ["x", "a/b", "./x", "~/x", "''"])
@pytest.mark.parametrize("key", ["state", "run", "hooks"])
def test_a_path_that_depends_on_the_folder_of_whoever_reads_it_is_refused(key: str, given: str) -> None:
    assert f": paths.{key}: should be an absolute path, from / on" in told(f"paths: {{{key}: {given}}}")
    assert is_valid(f"paths: {{{key}: /srv/x}}")


def test_the_certificates_of_a_fleet_lock_have_an_absolute_path_too() -> None:
    assert "fleet_lock.ca: should be an absolute path" in told("fleet_lock: {url: 'https://a.b', ca: x.pem}")


@pytest.mark.parametrize(
    "text",
    [
        "defaults: {commands: ['']}", "defaults: {commands: ['  ']}", "defaults: {commands: [{run: []}]}",
        "defaults: {commands: [{run: ['']}]}", "defaults: {commands: {on_guest_started: [{run: ''}]}}",
        "defaults: {ready: {command: ' '}}",
    ],
)  # fmt: skip
def test_an_empty_command_is_refused(text: str) -> None:
    assert "an empty command " in told(text)


@pytest.mark.parametrize("number", ["1", "0", "1.0", "0.0"])
@pytest.mark.parametrize(("key", "word"), [("manage", "watch"), ("restore", "always")])
def test_a_number_is_neither_true_nor_false_beside_a_word_either(key: str, word: str, number: str) -> None:
    assert f"defaults.{key}: should be true, false or {word!r}, not {number}" in told(f"defaults: {{{key}: {number}}}")
    assert all(is_valid(f"defaults: {{{key}: {given}}}") for given in ("true", "false", word))


def test_the_same_connection_twice_is_no_mistake_as_it_is_opened_once() -> None:
    assert is_valid("connections: [qemu:///system, qemu:///system]")


def remedy_for(path: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load.read(path)
    (problem,) = caught.value.problems
    return problem.remedy


def test_of_a_file_that_is_missing_one_that_is_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lastcall.config.files.DEFAULT_FILE", tmp_path / "usual" / "config.yaml")
    missing = tmp_path / "conifg.yaml"
    assert remedy_for(missing) == f"`lastcall config sample` prints one that can be kept as {missing}"
    assert remedy_for(tmp_path / "nowhere" / "x.yaml").endswith(f"the folder {tmp_path}/nowhere is not")
    (tmp_path / "usual").mkdir()
    (tmp_path / "usual" / "config.yaml").write_text("# all as it is\n")
    assert remedy_for(missing) == f"name a file that is there, such as {tmp_path}/usual/config.yaml"
    (tmp_path / "config.yaml").write_text("# all as it is\n")
    assert remedy_for(missing) == f"did you mean {tmp_path}/config.yaml?"


def test_a_file_that_is_no_utf_8_is_to_be_saved_as_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"# \xfcber\n")
    assert remedy_for(file) == "save it as UTF-8"
    file.write_bytes(codecs.BOM_UTF16_LE + "# über\n".encode("utf-16-le"))
    assert remedy_for(file) == "save it as UTF-8, it looks like UTF-16"
