"""Which configuration a run lives by: the file, a file that somebody named, the last good one, or the defaults."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lastcall import Reason, RunKind
from lastcall.config.load import parse
from lastcall.config.paths import find_places
from lastcall.config.settings import Bootstrap
from lastcall.errors import ConfigInvalid, Severity
from lastcall.hooks.discovery import Plugins
from lastcall.persistence.last_good import LastGood
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.assembly.parts import assemble
from lastcall.runs.assembly.stories import build_restore, build_shutdown
from lastcall.runs.loading import Loaded, load
from lastcall.runs.request import RunRequest
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_shutdown
from lastcall.testing.memory.clock import VirtualLoop
from lastcall.testing.memory.workers import InlineWorkers

GOOD = "connections: ['lxc:///system']\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 8)}]" for before, after in zip("abcdefg", "bcdefgh", strict=True)
)
BROKEN: dict[str, Callable[[Path], object]] = {
    "a misspelt key": lambda path: path.write_text("shutdown: {deadlin: 5}"),
    "no YAML": lambda path: path.write_text("connections: ["),
    "an empty file": lambda path: path.write_text(""),
    "a bracket": lambda path: path.write_text('"a[b]": 1'),
    "6000 digits": lambda path: path.write_text(f"defaults: {{order: {'9' * 6000}}}"),
    "an alias bomb": lambda path: path.write_text(BOMB),
    "brackets": lambda path: path.write_text("[" * 10_000),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\0"),
    "a folder": Path.mkdir,
}
MISSING: dict[str, Callable[[Path], object]] = {"no file": lambda _: None}
# Composing the models fails over it, whatever the file says.
POISON = """
import lastcall
from lastcall.options import Options
class Meta(type(Options)):
    def __or__(self, other):
        raise {error}
class Poison(Options, metaclass=Meta):
    pass
@lastcall.hookimpl
def plugin_options():
    return lastcall.PluginOptions(guest=Poison)
"""


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the default configuration file is, which is not there yet."""
    path = tmp_path / "etc" / "config.yaml"
    path.parent.mkdir()
    monkeypatch.setattr("lastcall.config.files.DEFAULT_FILE", path)
    return path


@pytest.fixture
def kept(tmp_path: Path) -> LastGood:
    """Where the last good configuration is kept, which is not there yet."""
    return LastGood(tmp_path / "last-good.json")


def uris(loaded: Loaded) -> list[str]:
    return [connection.uri for connection in loaded.settings.connections]


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN.keys())
def test_a_host_stop_goes_on_with_the_last_good_configuration_whatever_is_wrong_with_the_file(
    default: Path, kept: LastGood, make: Callable[[Path], object]
) -> None:
    make(default)
    loaded = load(None, Reason.POWEROFF, kept)
    assert (loaded.origin, uris(loaded)) == ("defaults", ["qemu:///system"])
    assert loaded.problems[0].severity is Severity.ERROR
    assert loaded.problems[0].where.startswith(str(default))
    kept.remember({default: GOOD})
    loaded = load(None, Reason.POWEROFF, kept)
    assert (loaded.origin, uris(loaded), loaded.keep) == ("last_good", ["lxc:///system"], None)
    assert loaded.problems[0].where.startswith(str(default))
    with pytest.raises(ConfigInvalid):
        load(None, Reason.MANUAL, kept)


@pytest.mark.parametrize("make", [*BROKEN.values(), *MISSING.values()], ids=[*BROKEN, *MISSING])
def test_a_file_that_somebody_named_is_never_replaced_by_another(
    default: Path, kept: LastGood, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    default.write_text(GOOD)
    kept.remember({default: GOOD})
    named = tmp_path / "lab.yaml"
    make(named)
    for reason in Reason:
        with pytest.raises(ConfigInvalid) as caught:
            load(named, reason, kept)
        assert all(problem.where.startswith(str(named)) for problem in caught.value.problems)


def test_the_environment_names_a_file_as_the_command_line_does(
    default: Path, kept: LastGood, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default.write_text(GOOD)
    monkeypatch.setenv("LASTCALL_CONFIG", str(tmp_path / "missing.yaml"))
    with pytest.raises(ConfigInvalid, match=r"missing\.yaml: cannot be read: no such file"):
        load(None, Reason.POWEROFF, kept)


@pytest.mark.parametrize("error", ["RuntimeError('poison')", "RecursionError", "MemoryError", "SystemExit(3)"])
def test_what_a_plugin_does_to_the_loading_costs_a_host_stop_that_plugin_alone(
    default: Path, kept: LastGood, tmp_path: Path, error: str
) -> None:
    hooks = tmp_path / "hooks.d"
    hooks.mkdir(mode=0o755)
    (hooks / "10-poison.py").write_text(POISON.format(error=error))
    text = f"connections: ['lxc:///system']\npaths: {{hooks: {hooks}}}\nguests: [{{match: a, poison: {{}}}}]\n"
    default.write_text(text)
    kept.remember({default: text})
    loaded = load(None, Reason.POWEROFF, kept)
    assert (loaded.origin, uris(loaded)) == ("last_good", ["lxc:///system"])
    assert {"acpi", "agent", "destroy"} <= loaded.plugins.methods.keys()
    (problem,) = loaded.problems
    assert problem.message.startswith(f"cannot be used: {error.partition('(')[0]}")


@pytest.mark.parametrize(
    "content",
    ["nonsense", "{}", "[]", "5", '{"files": 5}', '{"files": {"a": 5}}', '{"files": {"a": "gone: 1"}}', "[" * 100_000,
     '{"version": 1, "files": {"a": "\\ud800"}}', '{"files": {"a": "connections: [\\"a\\\\0b\\"]"}}', ""]
)  # fmt: skip
def test_a_last_good_configuration_that_nobody_understands_leaves_the_defaults(
    default: Path, kept: LastGood, content: str
) -> None:
    default.write_text("shutdown: 5")
    kept.path.write_text(content)
    loaded = load(None, Reason.POWER, kept)
    assert (loaded.origin, [problem.message for problem in loaded.problems]) == (
        "defaults", ["shutdown: should be a mapping, not 5; did you mean shutdown: {deadline: 5}?"]
    )  # fmt: skip


def test_the_places_are_asked_for_before_anything_else_and_never_fail(
    default: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default.write_text(GOOD)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("lastcall.config.files.merged", fail)
    assert find_places() is None


def test_what_is_kept_is_what_was_read_also_where_the_file_has_changed_since(
    default: Path, kept: LastGood, tmp_path: Path
) -> None:
    default.write_text(f"{GOOD}paths: {{state: {tmp_path}/state}}\n")
    (default.parent / "conf.d").mkdir()
    (default.parent / "conf.d" / "10.yaml").write_text("shutdown: {parallel: 3}\n")
    loaded = load(None, last_good=kept)
    default.write_text("half of an edi")
    assert not kept.path.exists(), "that it is valid does not make it good"
    assert loaded.keep
    loaded.keep()
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state" / "deadline").read_text() == "600\n", "for the script that stands in for lastcall"
    fallen_back = load(None, Reason.POWER, kept)
    assert (uris(fallen_back), fallen_back.settings.shutdown.parallel) == (["lxc:///system"], 3)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("shutdown: {deadline: 15min}", 900),
        ("shutdown: {deadline: none}", 600),
        ("shutdown: {deadline: 15min, by_reason: {poweroff: {deadline: 20min}}}", 1200),
    ],
)
def test_the_deadline_that_a_configuration_gives_a_host_stop_is_noted_with_it(
    default: Path, kept: LastGood, tmp_path: Path, text: str, seconds: int
) -> None:
    default.write_text(f"{text}\npaths: {{state: {tmp_path}/state}}\n")
    loaded = load(None, last_good=kept)
    assert loaded.keep
    loaded.keep()
    assert (tmp_path / "state" / "deadline").read_text() == f"{seconds}\n"


def test_what_is_tried_out_by_name_or_by_users_is_not_what_the_host_lives_by(
    default: Path, kept: LastGood, monkeypatch: pytest.MonkeyPatch
) -> None:
    default.write_text(GOOD)
    assert load(default, last_good=kept).keep is None
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert load(None, last_good=kept).keep is None


def test_no_file_is_nothing_to_keep(default: Path, kept: LastGood) -> None:
    assert not default.exists()
    loaded = load(None, last_good=kept)
    assert (loaded.origin, loaded.keep) == ("defaults", None)


CONNECTIONS = "connections: [{uri: 'fake:///a', reconnect: 1s}, 'fake:///b']\n"


@pytest.mark.parametrize("kind", RunKind)
@pytest.mark.parametrize(
    ("dead", "times"), [([], 1), (["fake:///a"], 1), (["fake:///b"], 1), (["fake:///a", "fake:///b"], 0)]
)
def test_a_configuration_is_good_once_one_of_its_connections_was_opened(
    tmp_path: Path, dead: list[str], times: int, kind: RunKind
) -> None:
    assert kept_in_a_run(tmp_path, kind, dead) == times


def test_a_connection_that_only_the_list_of_guests_knows_says_nothing_of_the_configuration(tmp_path: Path) -> None:
    assert kept_in_a_run(tmp_path, RunKind.RESTORE, ["fake:///a", "fake:///b"], elsewhere="fake:///c") == 0


def test_a_connection_that_comes_late_makes_the_configuration_good_as_well(tmp_path: Path) -> None:
    def back(hypervisor: FakeHypervisor) -> None:
        hypervisor.open_up("fake:///a")

    dead = ["fake:///a", "fake:///b"]
    assert kept_in_a_run(tmp_path, RunKind.SHUTDOWN, dead, reason=Reason.POWER, after_5_seconds=back) == 1


def kept_in_a_run(
    folder: Path,
    kind: RunKind,
    dead: list[str],
    *,
    reason: Reason = Reason.MANUAL,
    elsewhere: str = "fake:///a",
    after_5_seconds: Callable[[FakeHypervisor], None] = lambda _: None,
) -> int:
    """How often a run has its configuration kept. It is about one guest, which a restore finds on the list."""
    times: list[str] = []
    guest = FakeGuest("one", uri=elsewhere)
    if kind is RunKind.RESTORE:
        run_shutdown(folder, [guest])
    document = parse(f"{CONNECTIONS}paths: {{state: {folder}, run: {folder}}}\nshutdown: {{deadline: 60s}}\n")
    plugins = Plugins(Bootstrap())
    loaded = Loaded(document.settings(plugins.vocabulary), plugins, "file", document)
    loaded = replace(loaded, keep=lambda: times.append("kept"))
    with closing(VirtualLoop()) as loop:
        hypervisor = FakeHypervisor([guest], loop, dead=dead)
        outside = Outside(InlineWorkers(), hypervisor, lambda log, _ends: log.take)
        parts = assemble(loaded, RunRequest(kind=kind, reason=reason, started=0.0), loop, outside)
        parts.books.state.load()
        loop.call_later(5, after_5_seconds, hypervisor)
        build = build_shutdown if kind is RunKind.SHUTDOWN else build_restore
        loop.run_until_complete(build(parts).execute())
    return len(times)


@pytest.mark.parametrize("given", ["[]", "{}", "null"])
def test_a_host_stop_without_any_connection_is_by_the_last_good_one_or_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    config, kept = tmp_path / "config.yaml", LastGood(tmp_path / "last-good.json")
    config.write_text(f"connections: {given}\n")
    monkeypatch.setattr("lastcall.config.files.DEFAULT_FILE", config)
    kept.remember({config: config.read_text()})  # by a lastcall that took it
    loaded = load(None, Reason.POWEROFF, kept)
    assert (loaded.origin, len(loaded.settings.connections)) == ("defaults", 1)
    kept.remember({config: "connections: ['test:///default']\n"})
    loaded = load(None, Reason.POWEROFF, kept)
    assert (loaded.origin, [one.uri for one in loaded.settings.connections]) == ("last_good", ["test:///default"])
    assert "at least one URI" in loaded.problems[0].message
