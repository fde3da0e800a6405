"""`lastcall plugins`: what is loaded, in which order it fires, what could not be loaded and why; `new` writes one."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import click

from lastcall.api.command_line import CommandLine
from lastcall.cli.commands.new_plugin import new_plugin
from lastcall.cli.commands.plugins_trace import trace_command
from lastcall.cli.documents.findings import PluginFacts, PluginsDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import SuggestingGroup, json_option
from lastcall.cli.outlet import say
from lastcall.cli.rehearsal import Rehearsal, with_plugins
from lastcall.config.files import config_file
from lastcall.config.load import read
from lastcall.errors import ExitCode, LastcallError, Severity, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import FACT, NAME, REST, Cell, Column, Row, in_columns, paragraph
from lastcall.formats.layout.screen import Screen, Tone
from lastcall.formats.visible_text import visible
from lastcall.hooks.discovery import Plugins
from lastcall.hooks.isolation.outside_runs import ask_box
from lastcall.hooks.order import RESTORE_HOOKS
from lastcall.hooks.registry import Implementation, Registry
from lastcall.hooks.sources import Origin, Source
from lastcall.hooks.tracing.onlooker import onlooker
from lastcall.report.text import problem_lines, trace_lines
from lastcall.runs.loading import load_anyway
from lastcall.threads.box import Box

REGISTER_TIMEOUT = 5.0  # seconds
_ORIGINS: Mapping[Origin, Literal["bundled", "package", "dropin"]] = {
    Origin.BUNDLED: "bundled", Origin.PACKAGE: "package", Origin.DROPIN: "dropin",
}  # fmt: skip


@click.group(
    "plugins",
    cls=SuggestingGroup,
    invoke_without_command=True,
    short_help="Show what is loaded and when it fires; write and trace plugins.",
)
@json_option(PluginsDocument)
@click.pass_context
def plugins_command(ctx: click.Context, *, as_json: bool) -> int:
    """Show every plugin, the firing order of every hook, and what could not be loaded and why.

    Exit code 1 when something could not be loaded.
    """
    if ctx.invoked_subcommand is None:
        return _show(ctx.obj, as_json=as_json)
    if as_json:
        raise UsageError("--json is for the list of plugins", f"lastcall plugins {ctx.invoked_subcommand} --help")
    return ExitCode.OK  # not the last word: the subcommand's own code is


plugins_command.add_command(new_plugin)
plugins_command.add_command(trace_command)


def _show(invocation: Invocation, *, as_json: bool) -> int:
    # What it shows is by no more than a part of the configuration; a file with errors is not to look like a good one.
    plugins = load_anyway(invocation.config, lambda line: click.echo(visible(line), err=True)).plugins
    click.echo(to_json(_facts(plugins), indent=1) if as_json else "\n".join(_lines(plugins, invocation.screen())))
    errors = any(problem.severity is Severity.ERROR for problem in plugins.registry.problems)
    return ExitCode.NOT_AS_PLANNED if errors else ExitCode.OK


def _facts(plugins: Plugins) -> PluginsDocument:
    registry = plugins.registry
    return PluginsDocument(
        plugins=tuple(_plugin(registry, one) for one in registry.sources),
        blocked=tuple(source.name for source in registry.blocked),
        hooks={hook: tuple(one.plugin for one in registry.implementations(hook)) for hook in registry.hook_names()},
        stop_methods={name: source.name for name, (source, _) in sorted(plugins.methods.items())},
        guest_shells={name: source.name for name, (source, _) in sorted(plugins.shells.items())},
        problems=(*registry.problems, *registry.stray_names()),
    )


def _lines(plugins: Plugins, screen: Screen) -> Iterator[str]:
    facts = _facts(plugins)
    rows: list[Row] = [(one.name, one.origin, _where(one)) for one in facts.plugins]
    rows += [(name, "", Cell("blocked by hooks.block", Tone.WARNING)) for name in facts.blocked]
    yield screen.paint("plugins", Tone.HEADING)
    yield from in_columns(rows, (NAME, FACT, REST), screen, 2)
    yield screen.paint("firing order", Tone.HEADING)
    fired = {hook: ", ".join(names) for hook, names in facts.hooks.items() if names}
    mirrored = {
        hook: "  (mirrored, as it belongs to the restore)" for hook in RESTORE_HOOKS if "," in fired.get(hook, "")
    }
    hooks = [(f"{hook}:", f"{names}{mirrored.get(hook, '')}") for hook, names in fired.items()]
    yield from in_columns(hooks, (Column(gap=1), REST), screen, 2)
    unused = [hook for hook in facts.hooks if hook not in fired]
    text = f"nobody implements: {', '.join(unused)}" if unused else "every hook has an implementation"
    yield from paragraph(text, screen, 2, tone=Tone.ASIDE)
    offered = ", ".join(f"{name} ({owner})" for name, owner in facts.stop_methods.items())
    yield from paragraph(f"stop methods: {offered}", screen)
    yield from chain.from_iterable(problem_lines(problem, screen) for problem in facts.problems)


def _plugin(registry: Registry, source: Source) -> PluginFacts:
    occasions = registry.occasions(source)
    return PluginFacts(
        name=source.name, origin=_ORIGINS[source.origin], where=source.where, reasons=occasions.words or None,
        rehearses=occasions.rehearses, meant_for=occasions.meant_for(),
    )  # fmt: skip


def _where(one: PluginFacts) -> str:
    said = [] if one.where == one.origin else [one.where]
    said += [one.meant_for] if one.meant_for else []
    return "  ".join([*said, *([] if one.rehearses else ["not in rehearsals"])])


def register_plugin_commands(
    group: click.Group, config: Path | None, *, verbose: bool = False
) -> tuple[dict[str, Implementation], list[LastcallError]]:
    """Let plugins add their commands to the group; one that fails is reported and the others are added.

    Returns whose command each name is, and what failed. Raises ConfigInvalid where the configuration cannot be read, or
    is a file with errors that somebody has named.
    """
    _, named = config_file(config)
    document = read(config)
    plugins = Plugins(document.bootstrap)
    if named:
        plugins.settings(document)
    behind = partial(with_plugins, document, plugins)
    return add_commands(group, plugins, lambda plugin: Rehearsal(plugin, behind), verbose=verbose)


def add_commands(
    group: click.Group, plugins: Plugins, command_line: Callable[[str], CommandLine], *, verbose: bool = False
) -> tuple[dict[str, Implementation], list[LastcallError]]:
    """The same for plugins that are loaded; `command_line` makes what the commands of a plugin are handed."""
    owners, failed, box = dict[str, Implementation](), list[LastcallError](), Box()
    for one in plugins.registry.implementations("register_commands"):
        # One that fails halfway may have added some commands, or taken the name of another plugin's.
        known = dict(group.commands)
        looked_at = onlooker().loading(one.hook, one.plugin)
        try:
            work = partial(_register, one, group, known, command_line(one.plugin))
            ask_box(
                box, one.position.source.called, one.own, looked_at.watching(work, {"group": group}), REGISTER_TIMEOUT
            )
            looked_at.ended()
        except LastcallError as error:  # that plugin's failure only
            looked_at.ended(f"failed: {error}", failed=True)
            group.commands = known
            failed.append(error)
            trace = trace_lines(error.trace) if verbose else ()
            say(f"lastcall: {_missing(one, error)}", *trace)
        owners |= {name: one for name, command in group.commands.items() if known.get(name) is not command}
    box.close()
    return owners, failed


def _missing(one: Implementation, error: LastcallError) -> str:
    what, head = f"the commands of {one.plugin} are missing: ", f"{one.position.source.called} failed: "
    said = str(error)
    return f"{head}{what}{said.removeprefix(head)}"


def _register(
    one: Implementation, group: click.Group, known: Mapping[str, click.Command], command_line: CommandLine
) -> None:
    """Let a plugin add its commands, and those be handed the guests and options behind the command line."""
    one.function(**dict.fromkeys(one.argnames, group))
    for name, command in group.commands.items():
        if known.get(name) is not command:
            # As a setting of its context: its subcommands inherit it, and a test can hand over guests of its own.
            command.context_settings = {**command.context_settings, "obj": command_line}
