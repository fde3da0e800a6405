"""The subcommands, by click: they load when they are named, and plugins only for names that the core does not have."""

import contextlib
import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from lastcall.cli.invocation import Invocation
from lastcall.errors import ConfigInvalid, ExitCode
from lastcall.formats.version import __version__

COMMANDS = (
    "shutdown", "restore", "plan", "status", "report", "announce", "forget", "check", "plugins", "hook", "config",
    "guest", "install", "uninstall", "stamp", "demo",
)  # fmt: skip


class _Group(click.Group):
    """Loads a command's module when it is named, and plugins only for names that the core does not have."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        with contextlib.suppress(ConfigInvalid):  # help is for whoever has a broken configuration, too
            self._ask_plugins(ctx)
        return [*COMMANDS, *sorted(self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # The core first: a plugin that registers a `shutdown` of its own must not come between a host and its guests.
        if cmd_name in COMMANDS:
            return getattr(importlib.import_module(f"lastcall.cli.commands.{cmd_name}"), f"{cmd_name}_command")
        self._ask_plugins(ctx)
        return self.commands.get(cmd_name)

    def _ask_plugins(self, ctx: click.Context) -> None:
        from lastcall.cli.commands.plugins import register_plugin_commands

        register_plugin_commands(self, ctx.params.get("config"))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    # Judged when it is read: one that cannot be is an invalid configuration (6), not a mistake in the call (2).
    type=click.Path(path_type=Path, readable=False),
    is_eager=True,  # before --help, which lists the commands of the plugins that it names
    metavar="FILE",
    help="Read this file instead of /etc/lastcall/config.yaml.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show every request and every hook call.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.version_option(__version__, "--version", prog_name="lastcall", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, *, verbose: bool, quiet: bool) -> None:
    """Give the guests of a libvirt host their last call before it closes, and bring them back when it opens.

    Start with `lastcall demo` (touches nothing), `lastcall check` and `lastcall plan`.

    Exit codes: 0 all as planned, 1 some guest or hook was not, 2 usage, 3 not on duty (status),
    4 no permission, 5 another run is under way, 6 the configuration is invalid, 70 a bug.
    """
    ctx.obj = replace(ctx.obj or Invocation(), config=config, verbose=verbose, quiet=quiet)


def run_command(arguments: Sequence[str], invocation: Invocation) -> int:
    """Run the subcommand and return its exit code; raises what it raises, but for errors of usage."""
    try:
        # Standalone, click leaves by SystemExit, past the error boundary of main() and its way around hung threads.
        code: Any = cli.main(args=list(arguments), prog_name="lastcall", standalone_mode=False, obj=invocation)
        return code if isinstance(code, int) else ExitCode.OK
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    # click makes an Abort of every Ctrl-C; main() answers it with what a shell expects, 130.
    except click.Abort:
        raise KeyboardInterrupt from None
