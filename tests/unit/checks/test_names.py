"""Names of what plugins provide: each that nothing has is told with its place, unless what could have it is missing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Guest
from lastcall.checks.names import KnownNames
from lastcall.config.load import parse
from lastcall.config.metadata import read_metadata
from lastcall.config.policies import Policies
from lastcall.errors import Problem, Severity
from lastcall.hooks.discovery import Plugins
from lastcall.planning.plan import Circumstances, make_plan

MISSPELT = """\
defaults:
  stop: [acpii, {safe: {timeout: 5min}}, agent]
  last_resort: destory
  shell: agnt
guests:
  - match: a
    stop: [{ssh: {timeout: 3}}, {shh: {}}]
    last_resort: [save, destroi]
    shell: [ssh, shh]
hooks:
  block: [databse]
  first: [ready, raedy]
  last: [nothing_like_it]
  plugins: {comands: {timeout: 5s}}
"""


def unknown(text: str, given: dict[str, object] | None = None) -> Sequence[Problem]:
    document = parse(text, "c.yaml")
    return [problem for _, problem in KnownNames(Plugins(document.bootstrap, given)).unknown_in(document.node)]


def lines(problems: Sequence[Problem]) -> list[str]:
    return [f"{problem.where}: {problem.message}" for problem in problems]


def test_every_name_that_nothing_has_is_told_with_its_place_and_the_nearest_there_is() -> None:
    method, shell = "no plugin provides the stop method", "no plugin provides the guest shell"
    assert lines(unknown(MISSPELT)) == [
        f"c.yaml:2:10: defaults.stop[0]: {method} 'acpii'; did you mean 'acpi'?",
        f"c.yaml:2:18: defaults.stop[1].safe: {method} 'safe'; did you mean 'save'?",
        f"c.yaml:3:16: defaults.last_resort: {method} 'destory'; did you mean 'destroy'?",
        f"c.yaml:4:10: defaults.shell: {shell} 'agnt'; did you mean 'agent'?",
        f"c.yaml:7:34: guests[0].stop[1].shh: {method} 'shh'; did you mean 'ssh'?",
        f"c.yaml:8:25: guests[0].last_resort[1]: {method} 'destroi'; did you mean 'destroy'?",
        f"c.yaml:9:18: guests[0].shell[1]: {shell} 'shh'; did you mean 'ssh'?",
        "c.yaml:11:11: hooks.block[0]: no plugin is called 'databse'; did you mean 'databases'?",
        "c.yaml:12:18: hooks.first[1]: no plugin is called 'raedy'; did you mean 'ready'?",
        "c.yaml:13:10: hooks.last[0]: no plugin is called 'nothing_like_it'",
        "c.yaml:14:13: hooks.plugins.comands: no plugin is called 'comands'; did you mean 'commands'?",
    ]
    assert all(problem.severity is Severity.ERROR and problem.remedy for problem in unknown(MISSPELT))


@pytest.mark.parametrize(
    "text",
    [
        "# nothing",
        "defaults: {stop: [], last_resort: leave, shell: []}",
        "defaults: {stop: [agent, acpi, ssh, save, destroy, signal], last_resort: save, shell: [agent, ssh]}",
        "hooks: {block: [ssh], first: [ready, on_guest_stop/10-first.sh], last: [ssh]}",
        "defaults: 5\nguests: {match: a}\nhooks: [5]",
        "defaults: {stop: 5, shell: {a: b, c: d}}\nguests: [5, {stop: [5, [a], {}, {a: 1, b: 2}]}]",
        "hooks: {first: {a: b}, plugins: [a]}",
    ],
)
def test_what_is_there_is_no_problem_and_what_has_the_wrong_form_is_told_by_others(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "hooks.d"
    (folder / "on_guest_stop").mkdir(parents=True, mode=0o755)
    (folder / "on_guest_stop" / "10-first.sh").write_text("#!/bin/sh\n")
    (folder / "on_guest_stop" / "10-first.sh").chmod(0o755)
    assert unknown(f"{text}\npaths: {{hooks: {folder}}}") == []


def test_who_writes_leave_into_a_ladder_is_told_where_it_belongs_and_not_to_save_the_guest() -> None:
    (problem,) = unknown("defaults: {stop: [acpi, leave]}")
    assert problem.message == "defaults.stop[1]: no plugin provides the stop method 'leave'"
    document = parse("defaults: {stop: [acpi, leave]}")
    plugins = Plugins(document.bootstrap)
    guest, policies = Guest(uri="qemu:///system", uuid="u", name="db"), Policies(plugins.settings(document))
    methods = {name: method for name, (_, method) in plugins.methods.items()}
    (planned,) = make_plan([guest], policies, Circumstances(methods=methods)).problems
    assert planned.message == "no plugin provides the stop method 'leave'; the step is skipped"
    for one in (problem, planned):
        assert one.remedy.startswith("`last_resort: leave`, beside `stop`")


@pytest.mark.parametrize("word", ["none", "nothing", "leaf"])
def test_leave_is_among_what_a_last_resort_may_be(word: str) -> None:
    (problem,) = unknown(f"defaults: {{last_resort: {word}}}")
    assert problem.remedy == "last resorts there are: acpi, agent, destroy, leave, migrate, save, signal, ssh"


def test_a_method_of_a_plugin_that_is_blocked_is_told_as_that() -> None:
    (problem,) = unknown("hooks: {block: [ssh]}\ndefaults: {stop: [ssh]}")
    assert problem.message.endswith("'ssh'; the plugin of that name is blocked by hooks.block")


class _Fails:
    @lastcall.hookimpl
    def stop_methods(self) -> Any:
        raise ValueError("not today")


def test_where_a_plugin_cannot_say_what_it_offers_no_name_is_called_wrong() -> None:
    problems = unknown("defaults: {stop: [push], shell: [agnt]}\nhooks: {first: [pull]}", {"pusher": _Fails()})
    why = "pusher could not be loaded"
    assert [(problem.severity, problem.message) for problem in problems] == [
        (Severity.WARNING, f"defaults.stop[0]: nobody knows whether a plugin provides the stop method 'push': {why}"),
        (Severity.WARNING, f"defaults.shell[0]: nobody knows whether a plugin provides the guest shell 'agnt': {why}"),
        (Severity.ERROR, "hooks.first[0]: no plugin is called 'pull'"),
    ]


@pytest.mark.parametrize("open_to_all", ["10-pusher.py", ""], ids=["the file", "the folder"])
def test_what_is_not_run_for_its_mode_may_have_names_and_sections_all_the_same(
    tmp_path: Path, open_to_all: str
) -> None:
    folder = tmp_path / "hooks.d"
    folder.mkdir(mode=0o755)
    (folder / "10-pusher.py").write_text("raise SystemExit")
    (folder / open_to_all).chmod(0o777)
    text = (
        f"paths: {{hooks: {folder}}}\nplugins: {{pusher: {{any: thing}}}}\n"
        "guests: [{match: a, pusher: 5, stop: [push]}]\nhooks: {first: [pusher]}"
    )
    assert [(one.severity, one.what) for one in unknown(text)] == [(Severity.WARNING, "ladder")]
    document = parse(text)
    plugins = Plugins(document.bootstrap)
    assert any("is writable by group or others" in problem.message for problem in plugins.registry.problems)
    assert document.settings(plugins.vocabulary).guests[0].match.name == "a"


def test_what_metadata_and_plugins_say_of_a_guest_is_looked_through_as_well() -> None:
    guest, other = (Guest(uri="u", uuid=name, name=name) for name in ("web", "other"))
    plugins = Plugins(parse("# nothing").bootstrap)
    settings = parse("guests: [{match: other, stop: [acpii]}]").settings(plugins.vocabulary)
    policies, model = Policies(settings), type(settings.defaults)
    policy, problems = read_metadata(model, guest, {"stop": "[acpii, save]", "last_resort": "destory", "timeout": "5s"})
    assert policy
    assert problems == []
    policies.learn(guest, "metadata", policy)
    policies.learn(guest, "inventory", model.model_validate({"shell": ["agnt"]}))
    found = KnownNames(plugins).unknown_to([guest, other], policies)
    assert lines(list(found)) == [
        "web: metadata: stop[0]: no plugin provides the stop method 'acpii'; did you mean 'acpi'?",
        "web: metadata: last_resort[0]: no plugin provides the stop method 'destory'; did you mean 'destroy'?",
        "web: inventory: shell: no plugin provides the guest shell 'agnt'; did you mean 'agent'?",
    ]
