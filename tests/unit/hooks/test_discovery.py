"""What is found and loaded, whatever a distribution or a plugin is like: it costs itself, and nobody else anything."""

import importlib
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import PluginOptions, StopMethod
from lastcall.config.load import defaults, parse
from lastcall.config.settings import Bootstrap
from lastcall.hooks.discovery import Plugins
from lastcall.hooks.sources import bundled_alone
from lastcall.options import Options, StepOptions

BUNDLED = {"acpi", "agent", "destroy", "migrate", "save", "signal", "ssh"}


def named(given: str) -> StopMethod[StepOptions]:
    class Named(StopMethod[StepOptions]):
        name = given
        options = StepOptions

        def request(self, call: Any) -> None:
            """Nothing."""

    return Named()


class _Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no words today")


class _Offers:
    def __init__(self, *offers: object) -> None:
        self._offers = offers

    @lastcall.hookimpl
    def stop_methods(self) -> Any:
        return self._offers


class _Own(Options):
    size: int = 1


class _Declares:
    @lastcall.hookimpl
    def plugin_options(self) -> PluginOptions:
        return PluginOptions(settings=_Own, guest=_Own)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("entry_points.txt", b"[lastcall]\nthis is no entry point\n"),
        ("entry_points.txt", b"\xff\xfe\x00"),
    ],
)
def test_a_distribution_whose_files_are_damaged_costs_its_own_plugins_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: bytes
) -> None:
    for name, points in (("broken", b""), ("fine", b"[lastcall]\npusher = pusher\n")):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_bytes(points)
    (tmp_path / "broken-1.0.dist-info" / file).write_bytes(content)
    (tmp_path / "pusher.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)  # pyright: ignore[reportUnknownMemberType]
    importlib.invalidate_caches()
    plugins = Plugins(Bootstrap())
    assert plugins.methods.keys() == BUNDLED
    assert "pusher" in {source.name for source in plugins.registry.sources}
    (problem,) = plugins.registry.problems
    assert problem.where.startswith("broken in ")
    assert "its entry points cannot be read" in problem.message


def installed(monkeypatch: pytest.MonkeyPatch, folder: Path, **entry_points: str) -> None:
    """Nothing but these distributions is on the path."""
    for name, points in entry_points.items():
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
    monkeypatch.setattr("sys.path", [str(folder), str(folder / "python311.zip")])


OURS = (
    "[console_scripts]\nlastcall = lastcall.cli.main:main\n\n[lastcall]\nacpi = lastcall_plugins.acpi\n\n[x]\na = b\n"
)


def test_where_nobody_else_offers_plugins_those_of_ours_are_found_without_asking_about_everything_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, tmp_path, lastcall=OURS, other="[console_scripts]\nlastcall-other = other:main\n")
    (tmp_path / "plain-1.0.egg-info").write_text("Name: plain\n")
    assert bundled_alone() == {"acpi": "lastcall_plugins.acpi"}


def test_what_is_found_so_is_what_the_library_finds() -> None:
    points = metadata.entry_points(group="lastcall")
    assert bundled_alone() == {point.name: point.value for point in points}


@pytest.mark.parametrize("others", [
    {"fence": "[lastcall]\nfence = fence\n"},
    {"lastcall_more": "[lastcall]\nacpi = lastcall_plugins.acpi\n"},
])  # fmt: skip
def test_where_somebody_else_offers_plugins_the_library_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: dict[str, str]
) -> None:
    installed(monkeypatch, tmp_path, lastcall=OURS, **others)
    assert bundled_alone() is None


def test_in_doubt_the_library_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, tmp_path / "none")
    assert bundled_alone() is None, "lastcall itself is not there"
    installed(monkeypatch, tmp_path / "odd", lastcall="[lastcall]\nthis is no entry point\n")
    assert bundled_alone() is None, "damaged"
    installed(monkeypatch, tmp_path / "two", lastcall=OURS, lastcall_old=OURS)
    assert bundled_alone() is None, "installed twice"
    installed(monkeypatch, tmp_path / "zipped", lastcall=OURS)
    archive = tmp_path / "more.whl"
    archive.write_text("")
    monkeypatch.setattr("sys.path", [*sys.path, str(archive)])
    assert bundled_alone() is None, "an archive on the path"
    installed(monkeypatch, tmp_path / "eggs", lastcall=OURS)
    (tmp_path / "eggs" / "fence-1.0.egg").mkdir()
    assert bundled_alone() is None, "an egg"


@pytest.mark.parametrize("name", ["", "_x", "model_config", "copy", "chosen", "__class__", "a\nb"])
def test_a_method_with_a_name_that_no_model_can_have_costs_itself_only(name: str) -> None:
    plugins = Plugins(Bootstrap(), {"odd": _Offers(named(name), named("push"))})
    assert plugins.methods.keys() == BUNDLED | {"push"}
    assert f"{name!r} cannot be the name of a stop method" in plugins.registry.problems[0].message
    assert defaults().settings(plugins.vocabulary)


def test_an_offer_that_cannot_even_be_read_costs_itself_only() -> None:
    plugins = Plugins(Bootstrap(), {"odd": _Offers(_Odd(), named("push"))})
    assert plugins.methods.keys() == BUNDLED | {"push"}
    assert "offers <_Odd>, which is no StopMethod with a name" in plugins.registry.problems[0].message


@pytest.mark.parametrize("name", ["model_config", "copy", "dict"])
def test_a_plugin_with_a_name_that_no_section_can_have_is_not_used_and_costs_nobody_else(name: str) -> None:
    plugins = Plugins(Bootstrap(), {name: _Declares()})
    assert f"{name!r} cannot be the name of a section" in plugins.registry.problems[0].message
    assert name not in {source.name for source in plugins.registry.sources}
    text = f"plugins: {{{name}: {{size: 2}}}}\nguests: [{{match: a, {name}: {{size: 3}}}}]"
    assert parse(text).settings(plugins.vocabulary).guests[0].match.name == "a"


class _Later:
    """A plugin that knows hooks of a later lastcall, and one that it has misspelt."""

    @lastcall.hookimpl(optionalhook=True)
    def on_host_asleep(self, run: Any, depth: int) -> None:
        """Nothing."""

    @lastcall.hookimpl(optionalhook=True, specname="on_guest_frozen")
    def chill(self, guest: Any) -> None:
        """Nothing."""

    @lastcall.hookimpl
    def on_guest_stpo(self, guest: Any) -> None:
        """Nothing."""

    @lastcall.hookimpl(optionalhook=True)
    def on_guest_stop(self, guest: Any) -> None:
        """Nothing."""

    @lastcall.hookimpl(optionalhook=True)
    def on_guest_started(self, guest: Any, depth: int) -> None:
        """Nothing."""


def test_a_hook_that_may_be_unknown_is_none_here_and_any_other_unknown_one_is_told() -> None:
    plugins = Plugins(Bootstrap(), {"later": _Later()})
    told = [problem.message.partition(";")[0] for problem in plugins.registry.problems]
    assert told == ["on_guest_started: unknown argument 'depth'", "on_guest_stpo: unknown hook"]
    assert "optionalhook=True" in plugins.registry.problems[1].remedy
    assert [one.plugin for one in plugins.registry.implementations("on_guest_stop")][-1] == "later"
