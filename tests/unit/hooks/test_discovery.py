"""What is found and loaded, whatever a distribution or a plugin is like: it costs itself, and nobody else anything."""

import importlib
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import PluginOptions, StopMethod
from lastcall.config.load import defaults, parse
from lastcall.config.settings import Bootstrap
from lastcall.hooks.discovery import Plugins
from lastcall.options import Options, StepOptions

BUNDLED = {"acpi", "agent", "destroy", "save", "signal", "ssh"}


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


@pytest.mark.parametrize("name", ["", "_x", "model_config", "copy", "chosen", "__class__", "a\nb"])
def test_a_method_with_a_name_that_no_model_can_have_costs_itself_only(name: str) -> None:
    plugins = Plugins(Bootstrap(), {"odd": _Offers(named(name), named("push"))})
    assert plugins.methods.keys() == BUNDLED | {"push"}
    assert f"{name!r} cannot be the name of a stop method" in plugins.registry.problems[0].message
    assert defaults().settings(plugins.vocabulary)


def test_an_offer_that_cannot_even_be_read_costs_itself_only() -> None:
    plugins = Plugins(Bootstrap(), {"odd": _Offers(_Odd(), named("push"))})
    assert plugins.methods.keys() == BUNDLED | {"push"}
    assert "what it offers cannot be read: RuntimeError: no words today" in plugins.registry.problems[0].message


@pytest.mark.parametrize("name", ["model_config", "copy", "overlaid"])
def test_a_plugin_with_a_name_that_no_section_can_have_costs_its_options_only(name: str) -> None:
    plugins = Plugins(Bootstrap(), {name: _Declares()})
    assert f"{name!r} cannot be the name of a section" in plugins.registry.problems[0].message
    text = f"plugins: {{{name}: {{size: 2}}}}\nguests: [{{match: a, {name}: {{size: 3}}}}]"
    assert parse(text).settings(plugins.vocabulary).guests[0].match.name == "a"
