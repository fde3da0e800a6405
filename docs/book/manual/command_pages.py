"""Section 1: `lastcall`, and a page for each of its commands, with those below it."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

import click

from book.manual.roff import escaped, item, paragraphs, title
from lastcall.cli.commands import COMMANDS, SECTIONS
from lastcall.cli.commands.plugins import add_commands
from lastcall.cli.group import cli
from lastcall.cli.rehearsal import Rehearsal
from lastcall.config.settings import Bootstrap
from lastcall.formats.version import __version__
from lastcall.hooks.discovery import Plugins
from lastcall.runs.assembly.parts import Parts

_FILES = {
    "/etc/lastcall/config.yaml, /etc/lastcall/conf.d/*.yaml": "The configuration; all of it has defaults.",
    "/etc/lastcall/hooks.d/": "Drop-ins: Python modules, and programs in folders named like the hook.",
    "/var/lib/lastcall/": "The list of guests to bring back, and the logs of runs.",
    "/run/lastcall/": "Whether lastcall is on duty in this boot, and which run is under way.",
}
_ENVIRONMENT = {
    "LASTCALL_CONFIG": "The configuration file, where `--config` names none.",
    "LASTCALL_TRACE": "With 1, every hook call of a command is told on standard error.",
}
_MANUAL = "lastcall"


def command_pages(date: str) -> dict[str, str]:
    """The pages by the names of their files, as of a date such as 2026-11-27."""
    top = click.Context(cli, info_name="lastcall", help_option_names=["-h", "--help"])
    named = {name: command for name in COMMANDS if (command := cli.get_command(top, name))}
    commands = {**named, **_of_bundled_plugins()}
    pages = {"lastcall.1": _whole(_main_page(top, commands, date))}
    for name, command in commands.items():
        below = click.Context(command, parent=top, info_name=name)
        pages[f"lastcall-{name}.1"] = _whole(_command_page(below, name, date))
    return pages


def _of_bundled_plugins() -> dict[str, click.Command]:
    """What is added by the plugins that come with lastcall, and by no others that happen to be installed here."""
    group, plugins = click.Group(), Plugins(Bootstrap(), bundled_only=True)
    add_commands(group, plugins, lambda plugin: Rehearsal(plugin, _never))
    return dict(sorted(group.commands.items()))


def _never() -> AbstractContextManager[Parts]:
    raise NotImplementedError("nothing is called of the commands")


def _whole(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def _main_page(context: click.Context, commands: Mapping[str, click.Command], date: str) -> Iterator[str]:
    yield title("lastcall", 1, date, f"lastcall {__version__}", _MANUAL)
    yield from (".SH NAME", "lastcall \\- shuts the guests of a libvirt host down with it, and brings them back")
    yield from (".SH SYNOPSIS", ".B lastcall", escaped("[OPTIONS] COMMAND [ARGS]..."))
    yield ".SH DESCRIPTION"
    yield from paragraphs(context.command.help or "")
    yield ".SH OPTIONS"
    yield from _options(context)
    yield ".SH COMMANDS"
    others = [name for name in commands if name not in COMMANDS]
    for heading, names in {**SECTIONS, "Of plugins": others}.items():
        yield f'.SS "{escaped(heading)}"'
        for name in names:
            yield from (".TP", f".BR {escaped(f'lastcall-{name}')} (1)")
            yield from paragraphs(commands[name].get_short_help_str(200))
    for heading, texts in (("FILES", _FILES), ("ENVIRONMENT", _ENVIRONMENT)):
        yield f".SH {heading}"
        for name, text in texts.items():
            yield from item(name, text)
    yield from _see_also("lastcall-config (5)", "virsh (1)", "systemd.service (5)")


def _command_page(context: click.Context, name: str, date: str) -> Iterator[str]:
    command = context.command
    yield title(f"lastcall-{name}", 1, date, f"lastcall {__version__}", _MANUAL)
    said = command.get_short_help_str(200).rstrip(".")
    yield from (".SH NAME", f"{escaped(f'lastcall-{name}')} \\- {escaped(said[:1].lower() + said[1:])}")
    yield from (".SH SYNOPSIS", *_usage(context))
    yield ".SH DESCRIPTION"
    yield from paragraphs(command.help or "")
    yield ".SH OPTIONS"
    yield from _options(context)
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        yield from _below(command, context)
    yield from _see_also("lastcall (1)", "lastcall-config (5)")


def _below(group: click.Group, above: click.Context) -> Iterator[str]:
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        if command is None or command.hidden:
            continue
        context = click.Context(command, parent=above, info_name=name)
        yield f'.SS "{escaped(context.command_path)}"'
        yield from (*_usage(context), ".PP")
        yield from paragraphs(command.help or "")
        yield from _options(context)
        if isinstance(command, click.Group):
            yield from _below(command, context)


def _usage(context: click.Context) -> Iterator[str]:
    yield f".B {escaped(context.command_path)}"
    yield escaped(" ".join(context.command.collect_usage_pieces(context)))


def _options(context: click.Context) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record:
            yield from item(*record)


def _see_also(*names: str) -> Iterator[str]:
    yield ".SH SEE ALSO"
    for index, name in enumerate(names, 1):
        page, section = name.split()
        yield f".BR {escaped(page)} {section}{',' if index < len(names) else ''}"
    yield from (".PP", ".UR https://lastcall.dev", "The documentation as a whole", ".UE")
