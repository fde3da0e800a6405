"""The configuration: every mistake with its place, no surprise of YAML, plugins' own sections."""

import json
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from lastcall import Guest, GuestState, PluginOptions, Reason, RunKind, StopMethod
from lastcall.config import load
from lastcall.config.compose import Vocabulary
from lastcall.config.policies import Policies
from lastcall.config.settings import Bootstrap, Settings
from lastcall.errors import ConfigInvalid
from lastcall.hooks.discovery import Plugins
from lastcall.installation.sample import SAMPLE
from lastcall.options import Duration, Options, StepOptions
from lastcall.planning.plan import Circumstances, make_plan
from support import run_lastcall


class _SshSettings(Options):
    user: str = "root"
    timeout: Duration = 10.0


class _SshGuest(Options):
    port: int = Field(default=22, ge=1)


class _PushOptions(StepOptions):
    hard: bool = False


class _Push(StopMethod[_PushOptions]):
    name = "push"
    options = _PushOptions

    def request(self, call: Any) -> None:
        """Nothing."""


WORDS = Vocabulary({"ssh": PluginOptions(settings=_SshSettings, guest=_SshGuest)}, {"push": _Push()})


def settings(text: str, words: Vocabulary = WORDS) -> Settings:
    return load.parse(text, "config.yaml").settings(words)


def errors(text: str, words: Vocabulary = WORDS) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        settings(text, words)
    return str(caught.value).splitlines()


TEN_MISTAKES = """\
connections: [qemu:///system, {uri: 3}]
shutdown:
  deadlin: 10min
  reserve: true
  parallel: "4"
hooks:
  timeout: 1:30
defaults:
  restore: on
guests:
  - match: "db-*"
    timeout: 3 fortnights
  - matsch: "x*"
  - match: "y*"
    match: "z*"
    ssh: {port: 0}
"""


def test_ten_mistakes_are_ten_errors_each_with_its_line_and_column() -> None:
    found = errors(TEN_MISTAKES)
    places = [line.split(": ", 1)[0] for line in found]
    assert places == [
        "config.yaml:1:37", "config.yaml:3:3", "config.yaml:4:12", "config.yaml:5:13", "config.yaml:7:12",
        "config.yaml:9:12", "config.yaml:12:14", "config.yaml:13:5", "config.yaml:15:5", "config.yaml:16:17",
    ]  # fmt: skip
    assert "did you mean 'deadline'?" in found[1]
    assert "did you mean 'match'?" in found[7]
    assert "given twice; first at line 14" in found[8]
    assert found[9].startswith("config.yaml:16:17: guests[2].ssh.port: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shutdown: {deadline: soon}", "'soon' is not a duration"),
        ("shutdown: {deadline: -5}", "not negative"),
        ("shutdown: {deadline: 0}", "greater than 0"),
        ("defaults: {restore: yes}", "should be true, false or 'always', not 'yes'"),
        ("restore: {attempts: 0755}", "should be a whole number, not '0755'"),
        ("restore: {attempts: 3.5}", "should be a whole number, not 3.5"),
        ("shutdown: 5", "shutdown: should be a mapping, not 5"),
        ("guests: {match: a}", "guests: should be a list, not a mapping"),
        ("defaults: {stop: [{push: {}, other: {}}]}", "one stop method"),
        ("defaults: {stop: [{push: {hart: true}}]}", "defaults.stop[0].push.hart: unknown key; did you mean 'hard'?"),
        ("defaults: {stop: [{push: {timeout: true}}]}", "defaults.stop[0].push.timeout: not a duration"),
        ("defaults: {last_resort: [leave, push]}", "'leave' ends a ladder: what stands behind it would never be tried"),
        ("defaults: {depends_on: {nam: x}}", "defaults.depends_on.nam: unknown key; did you mean 'name'?"),
        ("plugins: {sssh: {}}", "plugins.sssh: unknown key; did you mean 'ssh'?"),
        ("plugins: {ssh: {user: 5}}", "plugins.ssh.user: should be a text, not 5; quote it"),
        ("guests: [{match: {}}]", 'says nothing; "*" matches every guest'),
        ("guests: [{match: 5}]", "should be a name such as"),
        ("hooks: {on_failure: explode}", "should be 'continue', 'skip_guest' or 'abort', not 'explode'"),
        ("hooks: [a", "not valid YAML"),
        ("a: &x [*x]", "an alias (*) to something that contains it"),
        ("{[a]: b}", "a key has to be a word"),
        ("a: !!python/object:os.system {}", "unknown key"),
        ("- a", "should be a mapping of sections, not a list"),
        ("nonsense", "should be a mapping of sections, not a single value"),
        ("a: 1\n---\nb: 2", "a second YAML document"),
    ],
)
def test_a_mistake_is_named(text: str, message: str) -> None:
    assert any(message in line for line in errors(text)), errors(text)


def test_one_mistake_is_one_error() -> None:
    assert len(errors("guests: [{match: {nam: x}}]")) == 1
    assert len(errors("shutdown: {deadline: []}")) == 1


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("4min", 240), ("1h30m", 5400), ("45", 45), ("1.5s", 1.5), ("500ms", 0.5)]
)
def test_durations_read_as_people_write_them(written: str, seconds: float) -> None:
    assert settings(f"shutdown: {{deadline: {written}}}").shutdown.deadline == seconds


def test_none_is_no_deadline() -> None:
    assert settings("shutdown: {deadline: none}").shutdown.deadline is None


@pytest.mark.parametrize(
    ("text", "reason", "seconds"),
    [
        ("shutdown: {deadline: 5min}", Reason.POWER, 300),
        ("shutdown: {deadline: 5min, by_reason: {power: {deadline: 90}}}", Reason.POWER, 90),
        ("shutdown: {deadline: 5min, by_reason: {power: {deadline: 90}}}", Reason.REBOOT, 300),
        ("shutdown: {deadline: none}", Reason.MANUAL, math.inf),
        ("shutdown: {deadline: none}", Reason.POWER, 600),
        ("shutdown: {deadline: soon, nonsense: [}", Reason.POWER, 600),
        ("shutdown: {deadline: [1]}", Reason.POWER, 600),
        ("shutdown: 5", Reason.POWER, 600),
        ("# nothing", Reason.POWER, 600),
    ],
)
def test_the_deadline_is_known_before_the_rest_is_judged(text: str, reason: Reason, seconds: float) -> None:
    assert load.parse(text).deadline(RunKind.SHUTDOWN, reason) == seconds
    assert load.parse("restore: {deadline: 7s}").deadline(RunKind.RESTORE, reason) == 7


def test_a_file_of_comments_means_the_defaults_and_so_does_the_sample() -> None:
    assert settings("# all as it is").connections[0].uri == "qemu:///system"
    plugins = Plugins(Bootstrap())
    defaults = load.defaults().settings(plugins.vocabulary)
    assert load.parse(SAMPLE).settings(plugins.vocabulary).model_dump() == defaults.model_dump()


def test_every_matching_rule_applies_later_ones_win_by_whole_keys() -> None:
    found = settings(
        """\
defaults: {timeout: 10s, restore: false, stop: [push]}
guests:
  - {match: "db-*", timeout: 20s, ssh: {port: 2222}}
  - {match: {uri: "lxc:*"}, manage: false}
  - {match: {name: "*-1", state: paused}, stop: [{push: {hard: true}}]}
"""
    )
    running, paused = Guest(uri="qemu:///system", uuid="u", name="db-1"), GuestState.PAUSED
    policy: Any = Policies(found).of(running)
    assert (policy.timeout, policy.restore, policy.manage, policy.ssh.port) == (20, False, True, 2222)
    other: Any = Policies(found).of(Guest(uri="lxc:///system", uuid="u", name="db-1", state=paused))
    assert other.manage is False
    assert other.stop[0].chosen[1].hard is True


@pytest.mark.parametrize(
    ("written", "tried"),
    [("leave", []), ("[leave]", []), ("[]", []), ("push", ["push"]), ("[push, leave]", ["push"]),
     ("[{push: {hard: true}}, leave]", ["push"]), ("[pusch, leave]", []), ("[pusch, push, leave]", ["push"]),
     ("pusch", ["destroy"])],
)  # fmt: skip
def test_a_last_resort_that_ends_in_leave_pulls_no_plug(written: str, tried: list[str]) -> None:
    guest, policies = Guest(uri="u", uuid="u", name="g"), Policies(settings(f"defaults: {{last_resort: {written}}}"))
    plan = make_plan([guest], policies, Circumstances(methods={**WORDS.methods, "destroy": _Push()}))
    (planned,) = plan.guests
    assert [step.method for step in planned.last_resort] == tried
    assert not any("'leave'" in problem.message for problem in plan.problems)


def test_sections_of_a_plugin_that_could_not_be_loaded_stay_unread() -> None:
    words = Vocabulary(unread=frozenset({"broken"}))
    found = settings("plugins: {broken: {any: thing}}\nguests: [{match: a, broken: 5}]", words)
    assert found.guests[0].match.name == "a"


def test_conf_d_is_laid_over_the_file_in_order(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "config.yaml").write_text("shutdown: {deadline: 1min, parallel: 3}\nguests: [{match: a}]\n")
    (tmp_path / "conf.d" / "10-site.yaml").write_text("shutdown: {deadline: 2min}\nguests: [{match: b}]\n")
    (tmp_path / "conf.d" / "20-host.yaml").write_text("connections: ['lxc:///system']\nshutdwn: {}\n")
    document = load.read(tmp_path / "config.yaml")
    with pytest.raises(ConfigInvalid, match=r"20-host.yaml:2:1: shutdwn: unknown key; did you mean 'shutdown'"):
        document.settings(WORDS)
    (tmp_path / "conf.d" / "20-host.yaml").write_text("connections: ['lxc:///system']\n")
    found = load.read(tmp_path / "config.yaml").settings(WORDS)
    assert (found.shutdown.deadline, found.shutdown.parallel) == (120, 3)
    assert [rule.match.name for rule in found.guests] == ["a", "b"]
    assert [connection.uri for connection in found.connections] == ["lxc:///system"]


def test_the_schema_knows_plugins_methods_and_short_forms(tmp_path: Path) -> None:
    result = run_lastcall(tmp_path / "config.yaml", "config", "schema")
    assert result.returncode == 6, "a file that was named has to be there"
    (tmp_path / "config.yaml").write_text("# nothing")
    schema = json.loads(run_lastcall(tmp_path / "config.yaml", "config", "schema").stdout)
    text = json.dumps(schema)
    assert all(f'"{name}"' in text for name in ("acpi", "save", "destroy", "bypass_cache", "deadline"))
    assert schema["$defs"]["ConnectionSettings"]["anyOf"][0] == {"type": "string", "description": "a URI"}


def _linked(path: Path, target: str) -> None:
    path.symlink_to(target)


NO_CONFIGURATION: list[tuple[Callable[[Path], object], str]] = [
    (Path.mkdir, "is a directory"),
    (Path.touch, "is empty; remove it to use the built-in defaults"),
    (partial(Path.write_bytes, data=b"\xff\xfe\x00garbage"), "not a text file"),
    (partial(Path.write_text, data="\x00\x01"), "not valid YAML"),
    (partial(Path.write_text, data="{{{{"), "not valid YAML"),
    (
        partial(Path.write_text, data="[" * 5000),
        "not valid YAML|nested too deeply",
    ),  # libyaml 0.2.6 has a limit
    (partial(_linked, target="/nowhere"), "is a link"),
]


@pytest.mark.parametrize(("make", "message"), NO_CONFIGURATION)
def test_a_file_that_is_no_configuration_is_one_clear_line_and_exit_6(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "config.yaml"
    make(path)
    result = run_lastcall(path, "shutdown")
    assert result.returncode == 6
    lines = result.stderr.splitlines()
    assert lines[0].startswith(str(path))
    assert re.search(message, lines[0])
    assert "Traceback" not in result.stderr


def test_later_rules_win_whether_they_name_a_guest_or_match_a_glob() -> None:
    guest = Guest(uri="qemu:///system", uuid="u", name="db-1")
    for rules, timeout in (
        ("{match: 'db-*', timeout: 1s}, {match: db-1, timeout: 2s}", 2),
        ("{match: db-1, timeout: 2s}, {match: 'db-*', timeout: 1s}", 1),
    ):
        found = load.parse(f"guests: [{rules}]").settings(Vocabulary())
        assert Policies(found).of(guest).timeout == timeout


@pytest.mark.parametrize("named", ["/etc", "/tmp", "/dev/null"])
def test_nobody_is_told_to_move_away_what_was_named_by_mistake(named: str) -> None:
    done = run_lastcall(Path(named), "plan")
    assert done.returncode == 6
    assert f"{named}: cannot be read: is a " in done.stderr
    assert "→ a plain file is wanted here" in done.stderr
    assert "mv " not in done.stderr
