"""The man page, made of what the commands say of themselves."""

import re
from collections.abc import Iterator

import click

from lastcall.cli.group import cli
from lastcall.formats.version import __version__

FILES = {
    "/etc/lastcall/config.yaml, /etc/lastcall/conf.d/*.yaml": "The configuration; all of it has defaults.",
    "/etc/lastcall/hooks.d/": "Drop-ins: Python modules, and programs in folders named like the hook.",
    "/var/lib/lastcall/": "The list of guests to bring back, and the logs of runs.",
    "/usr/share/doc/lastcall/": "The documentation, and examples.",
}


def man_page(date: str) -> str:
    """lastcall(1), as of a date such as 2026-11-26."""
    return "\n".join(_page(date)) + "\n"


def _page(date: str) -> Iterator[str]:
    yield f'.TH LASTCALL 1 "{date}" "lastcall {__version__}" "User Commands"'
    yield ".SH NAME"
    yield "lastcall \\- shuts the guests of a libvirt host down with it, and brings them back"
    yield ".SH SYNOPSIS"
    yield ".B lastcall"
    yield "[OPTIONS] COMMAND [ARGS]..."
    yield ".SH DESCRIPTION"
    yield from _paragraphs(cli.help or "")
    yield ".SH OPTIONS"
    yield from _options(click.Context(cli, info_name="lastcall"))
    yield ".SH COMMANDS"
    yield from _commands(cli, click.Context(cli, info_name="lastcall"))
    yield ".SH FILES"
    for name, text in FILES.items():
        yield from (".TP", f".I {_escaped(name)}", _escaped(text))
    yield ".SH SEE ALSO"
    yield from (".BR virsh (1),", ".BR systemd.service (5)")


def _commands(group: click.Group, above: click.Context) -> Iterator[str]:
    """A section for each command, also of those below other commands."""
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        if command is None or command.hidden:
            continue
        context = click.Context(command, parent=above, info_name=name)
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        yield f'.SS "{_escaped(usage)}"'
        yield from _paragraphs(command.help or "")
        yield from _options(context)
        if isinstance(command, click.Group):
            yield from _commands(command, context)


def _options(context: click.Context) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record:
            yield from (".TP", f".B {_escaped(record[0])}", _escaped(record[1]) or "\\&")


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        yield ".PP"
        yield _escaped(" ".join(paragraph.replace("\b", "").split()))


def _escaped(text: str) -> str:
    """A line for troff: what it would take for a request, or for typography, is a plain character."""
    plain = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("`", "\\(ga")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
