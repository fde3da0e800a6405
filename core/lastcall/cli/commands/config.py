"""`lastcall config`: check, show, guest, schema, sample, import."""

import asyncio
import json
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click

from lastcall.api.guests import RunKind
from lastcall.checks.names import KnownNames
from lastcall.checks.passed_over_files import passed_over_files
from lastcall.cli.documents.configuration import (
    ConfigCheckDocument,
    ConfigurationDocument,
    GuestSettingsDocument,
    ImportDocument,
    SettingFacts,
)
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import SuggestingGroup, json_option
from lastcall.cli.outlet import say
from lastcall.cli.progress import tell_trace, trace_sinks
from lastcall.config.compose import settings_schema
from lastcall.config.files import config_file
from lastcall.config.load import read
from lastcall.config.nodes import MISTAKES
from lastcall.errors import ConfigInvalid, ExitCode, Problem, Severity, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import paragraph
from lastcall.formats.layout.screen import Tone
from lastcall.formats.reading import Unreadable, read_text
from lastcall.formats.visible_text import visible
from lastcall.hooks.discovery import Plugins
from lastcall.hooks.isolation.plugin_models import PluginModels
from lastcall.report.text import problem_lines
from lastcall.runs.loading import Loaded, load
from lastcall.threads.standard_output import ERROR


@click.group("config", cls=SuggestingGroup, short_help="Check, show and import the configuration.")
def config_command() -> None:
    """Look at the configuration."""


@config_command.command("check")
@json_option(ConfigCheckDocument)
@click.pass_obj
def check_config(invocation: Invocation, *, as_json: bool) -> int:
    """Validate the configuration, plugin sections included; shows every error at once.

    Names of stop methods, guest shells and plugins that nothing has are errors, too; a run goes without those. Exit
    code 6 when there is an error.
    """
    files, found = tuple[str, ...](), list[Problem]()
    try:
        document = read(invocation.config)
        files = tuple(map(str, document.files))
        plugins = Plugins(document.bootstrap)
        names = list(islice(KnownNames(plugins).unknown_in(document.node), MISTAKES))
        errors = [located for located in names if located[1].severity is Severity.ERROR]
        found += (*plugins.registry.problems, *(one for _, one in names if one.severity is not Severity.ERROR))
        found += passed_over_files(config_file(invocation.config)[0])
        if not as_json:
            _say_problems(invocation, found)
        plugins.settings(document, errors)
    except ConfigInvalid as error:
        if not as_json:
            raise
        facts = ConfigCheckDocument(valid=False, files=files, problems=(*found, *error.problems))
        click.echo(to_json(facts, indent=1))
        return error.exit_code
    facts = ConfigCheckDocument(valid=True, files=files, problems=tuple(found))
    text = visible("valid: " + (", ".join(files) or "no file, built-in defaults"))
    click.echo(to_json(facts, indent=1) if as_json else text)
    return ExitCode.OK


@config_command.command("show")
@json_option(ConfigurationDocument)
@click.pass_obj
def show_config(invocation: Invocation, *, as_json: bool) -> int:
    """Print the configuration in force, defaults included."""
    loaded = load(invocation.config)
    models = PluginModels(loaded.plugins.registry)
    shown = models.perform(partial(_shown, loaded))
    whole = {"version": 1, **shown}
    click.echo(json.dumps(whole, indent=1) if as_json else _yaml(shown).rstrip())
    return _missing(models, invocation)


def _shown(loaded: Loaded, without: frozenset[str]) -> dict[str, Any]:
    """All settings, but for what these plugins have a say in."""
    return loaded.settings.model_dump(
        mode="json",
        exclude={
            "plugins": set(without),
            "defaults": _left_out(loaded.plugins, without),
            "guests": {"__all__": _left_out(loaded.plugins, without)},
        },
    )


def _left_out(plugins: Plugins, without: frozenset[str]) -> dict[str, Any]:
    """The keys of a guest's settings that are these plugins', their steps of ladders too, as pydantic wants them."""
    steps = {name for name, (source, _) in plugins.methods.items() if source.name in without}
    in_ladder = {"__all__": dict.fromkeys(steps, True)} if steps else {}
    ladders = {"stop": in_ladder, "last_resort": in_ladder} if steps else {}
    return {**dict.fromkeys(without, True), **ladders}


def _missing(models: PluginModels, invocation: Invocation) -> ExitCode:
    """Say what could not be shown, and why."""
    for error in models.failed.values():
        say(f"lastcall: {error}")
        tell_trace(error, invocation)
    return ExitCode.NOT_AS_PLANNED if models.failed else ExitCode.OK


@config_command.command("guest")
@click.argument("name", metavar="GUEST")
@json_option(GuestSettingsDocument)
@click.pass_obj
def guest(invocation: Invocation, name: str, *, as_json: bool) -> int:
    """Show every setting of a guest, and where each comes from: default, configuration, metadata, plugin or rule.

    Exit code 1 when a plugin has failed to say what it knows of it.
    """
    rows, problems, code = _settings_of(invocation, name)
    # What is shown is not all that was to be known.
    failed = any(one.what == "plugin" and one.severity is Severity.ERROR for one in problems)
    code = ExitCode.NOT_AS_PLANNED if failed else code
    if as_json:
        facts: dict[str, SettingFacts] = {key: {"value": value, "from": source} for key, value, source in rows}
        click.echo(to_json(GuestSettingsDocument(guest=name, settings=facts, problems=problems), indent=1))
        return code
    screen = invocation.screen()
    for key, value, source in rows:
        text = _yaml(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
        click.echo("\n".join(paragraph(f"{text}  ({source})", screen, sign=f"{key}:", tone=Tone.HEADING)))
    _say_problems(invocation, problems)
    return code


def _say_problems(invocation: Invocation, problems: Iterable[Problem]) -> None:
    for problem in problems:
        click.echo("\n".join(problem_lines(problem, invocation.screen(ERROR))), err=True)


def _yaml(shown: object, **options: Any) -> str:
    """As YAML, in which names are read as they are written, and what hides in a text is escaped."""
    import yaml

    dump: Any = partial(yaml.safe_dump, shown, sort_keys=False, **options)
    text = dump(allow_unicode=True)
    return text if text.replace("\n", "").isprintable() else dump()


def _settings_of(invocation: Invocation, name: str) -> tuple[list[tuple[str, Any, str]], tuple[Problem, ...], ExitCode]:
    """Rows of key, value and source; what plugins failed in; and the exit code, where some could not be shown."""
    from lastcall.presence.lookup import find_guest
    from lastcall.runs.assembly.parts import assemble
    from lastcall.runs.request import RunRequest

    loaded = load(invocation.config)
    loop = asyncio.new_event_loop()
    request = RunRequest(kind=RunKind.SHUTDOWN, rehearsal=True, sinks=trace_sinks(invocation))
    parts = assemble(loaded, request, loop)
    guest = loop.run_until_complete(find_guest(parts.inventory, parts.stream, name))
    sources = dict.fromkeys(loaded.settings.defaults.model_fields_set, "defaults")
    for layer in parts.policies.layers(guest):
        sources |= dict.fromkeys(layer.policy.model_fields_set, layer.called)
    policy, models = parts.policies.of(guest), PluginModels(loaded.plugins.registry)
    shown = models.perform(lambda without: policy.model_dump(mode="json", exclude=_left_out(loaded.plugins, without)))
    rows = [(key, value, sources.get(key, "built-in")) for key, value in shown.items()]
    return rows, parts.stream.story.report().problems, _missing(models, invocation)


@config_command.command("schema")
@click.pass_obj
def schema(invocation: Invocation) -> int:
    """Print the JSON Schema of the configuration with the loaded plugins, for editors."""
    plugins = load(invocation.config).plugins
    models = PluginModels(plugins.registry)
    found = models.perform(lambda without: settings_schema(plugins.vocabulary_without(without)))
    click.echo(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **found}, indent=1))
    return _missing(models, invocation)


@config_command.command("sample")
def sample() -> int:
    """Print a commented configuration to start from; it says what the built-in defaults say."""
    from lastcall.installation.sample import SAMPLE

    click.echo(SAMPLE.rstrip())
    return ExitCode.OK


@config_command.command("import")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False), metavar="[FILE]")
@json_option(ImportDocument)
def import_(file: Path | None, *, as_json: bool) -> int:
    """Print libvirt-guests' settings (by default those of this host) as our configuration.

    The file is read, never run. What could not be read stands in a comment, and on standard error; exit code 1 then.
    """
    from lastcall.imports import libvirt_guests

    found = file or libvirt_guests.find_file()
    if found is None:
        raise UsageError("this host has no settings of libvirt-guests", "name the file")
    try:
        text = read_text(found, libvirt_guests.LARGEST, errors="replace")
        settings = libvirt_guests.read_settings(text, libvirt_guests.distribution_defaults())
    except OSError as error:
        remedy = error.remedy if isinstance(error, Unreadable) else ""
        raise UsageError(f"{found} cannot be read: {(error.strerror or str(error)).lower()}", remedy) from None
    text = libvirt_guests.as_yaml(settings, str(found))
    if as_json:
        import yaml

        facts = ImportDocument(
            file=str(found), configuration=yaml.safe_load(text) or {}, notes=tuple(settings.notes),
            unread=tuple(settings.told(found)),
        )  # fmt: skip
        click.echo(to_json(facts, indent=1))
    else:
        click.echo(text.rstrip())
        for line in (*(f"note: {note}" for note in settings.notes), *settings.told(found)):
            click.echo(visible(line), err=True)
    return ExitCode.NOT_AS_PLANNED if settings.unread else ExitCode.OK
