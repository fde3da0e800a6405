"""Guest keys: those of the core, of bundled plugins and of others never collide, today and later."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

import lastcall
from lastcall import PluginOptions, Run
from lastcall.api.guest_keys import BEGINNINGS, KEPT, is_kept
from lastcall.config.guest_settings import GuestPolicy, GuestRule, LadderStep
from lastcall.config.load import parse
from lastcall.config.settings import Bootstrap
from lastcall.hooks.discovery import Plugins
from lastcall.options import Options
from lastcall.testing.memory import FakeGuest, run_shutdown
from support import by_name

PAGE = Path(__file__).parents[3] / "docs" / "authors" / "options.md"
BUNDLED = {"commands", "databases", "ready", "ssh"}  # that had a guest key before names were kept


class Own(Options):
    size: int = 1


class Plugin:
    """A plugin with options, and a hook that tells whether it fires."""

    def __init__(self, *, settings: bool = False, guest: bool = False) -> None:
        self._options = PluginOptions(settings=Own if settings else None, guest=Own if guest else None)

    @lastcall.hookimpl
    def plugin_options(self) -> PluginOptions:
        return self._options

    @lastcall.hookimpl
    def pre_shutdown(self, run: Run) -> None:
        run.evidence(fired=True)


# `power` is the name of a bundled plugin: nobody else gets as far with it.
@pytest.mark.parametrize("name", [*sorted(KEPT - {"migrate", "power"}), *(f"{start}thing" for start in BEGINNINGS)])
def test_a_plugin_with_a_guest_key_that_is_kept_is_refused_when_it_is_loaded(name: str) -> None:
    plugins = Plugins(Bootstrap(), {name: Plugin(settings=True, guest=True), "fine": Plugin(guest=True)})
    (problem,) = plugins.registry.problems
    assert problem.where == f"{name} (given)"
    assert problem.message == f"{name!r} is kept for a guest key of lastcall itself"
    assert "rename the plugin" in problem.remedy
    listening = {one.plugin for one in plugins.registry.implementations("pre_shutdown")}
    assert listening & {name, "fine"} == {"fine"}
    assert plugins.options.keys() >= {"fine"}
    assert name not in plugins.options


def test_what_is_set_for_one_that_is_refused_stays_unread_and_costs_nobody_the_configuration(tmp_path: Path) -> None:
    config = "plugins: {stop_vms: {size: 2}}\nguests: [{match: a, stop_vms: {size: 3}, order: 4}]"
    plugins = {"stop_vms": Plugin(settings=True, guest=True)}
    report = run_shutdown(tmp_path, [FakeGuest("a")], plugins=plugins, config=config)
    assert by_name(report, "a").outcome == "stopped"
    assert "is kept for a guest key" in report.problems[0].message
    assert not report.hooks


@pytest.mark.parametrize("name", ["order", "stop", "priority", "stop_vms", "guest_list"])
def test_a_plugin_without_a_guest_key_may_be_called_so(name: str) -> None:
    plugins = Plugins(Bootstrap(), {name: Plugin(settings=True)})
    assert not plugins.registry.problems
    settings = parse(f"plugins: {{{name}: {{size: 2}}}}").settings(plugins.vocabulary)
    assert getattr(settings.plugins, name) == Own(size=2)


@pytest.mark.parametrize("name", ["stopper", "restorer", "bmc", "my_order", "ordered", "start", "guests"])
def test_whatever_is_not_kept_may_have_a_guest_key(name: str) -> None:
    plugins = Plugins(Bootstrap(), {name: Plugin(guest=True)})
    assert not plugins.registry.problems
    assert parse(f"guests: [{{match: a, {name}: {{size: 3}}}}]").settings(plugins.vocabulary)


def test_every_guest_key_of_the_core_is_kept() -> None:
    assert not [name for name in ("match", *GuestPolicy.model_fields) if not is_kept(name)]


def test_every_later_guest_key_of_a_bundled_plugin_is_kept() -> None:
    declared = {name for name, options in Plugins(Bootstrap(), bundled_only=True).options.items() if options.guest}
    assert not [name for name in declared - BUNDLED if not is_kept(name)]
    assert declared >= BUNDLED


def test_the_page_for_authors_has_exactly_the_names_that_are_kept() -> None:
    section = PAGE.read_text().split("## Names of guest keys")[1].split("\n#")[0]
    rows = section.split("\n\n")[2].split("\n- ")
    names, beginnings = (set(re.findall(r"`(\w+)`", row)) for row in rows)
    assert names == KEPT
    assert beginnings == set(BEGINNINGS)


@pytest.mark.parametrize(("model", "ours"), [(GuestRule, set[str]()), (LadderStep, {"chosen", "expects"})])
def test_our_models_take_no_further_names_from_plugins(model: type[BaseModel], ours: set[str]) -> None:
    public = {name for name in dir(model) if re.fullmatch("[a-z][a-z0-9_]*", name)}
    assert public - set(dir(BaseModel)) - model.model_fields.keys() == ours
