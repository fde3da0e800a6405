"""The subcommands, by click: they load when they are named, and plugins only for names that the core does not have."""

import contextlib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastcall.cli.commands import COMMANDS, SECTIONS
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import SuggestingGroup
from lastcall.cli.terminal.screens import WISHES, Wish, wished
from lastcall.errors import ConfigInvalid, ExitCode, LastcallError
from lastcall.formats.version import __version__
from lastcall.threads.standard_output import OutputLost, lent

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from lastcall.cli.completion.candidates import NextWords
    from lastcall.hooks.registry import Implementation
    from lastcall.threads.own_code import CodeLine

_ASKED = "lastcall.plugins_asked"
_WHOLE = 100  # characters of what is said of a command; click cuts it at 45, within a sentence
COMPLETION_TIME = 5.0  # seconds; nobody waits longer for a key


class _Group(SuggestingGroup):
    """Loads a command's module when it is named, and plugins only for names that the core does not have."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._owners = dict[str, "Implementation"]()
        self._failed = list[LastcallError]()

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; what one of a plugin raises that it does not mean to is that plugin's failure."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, LastcallError, BrokenPipeError, OutputLost):
            raise
        except (Exception, SystemExit) as error:
            owner = self._owners.get(ctx.invoked_subcommand or "")
            if owner is None:
                raise
            return _ended(owner, error, verbose=ctx.obj.verbose)

    def owner_of(self, frames: "Sequence[CodeLine]") -> "Implementation | None":
        """The plugin in whose code one of these frames is, of those that add commands."""
        return next((one for one in self._owners.values() if one.own.last_of(frames)), None)

    def list_commands(self, ctx: click.Context) -> list[str]:
        with contextlib.suppress(ConfigInvalid):  # help is for whoever has a broken configuration, too
            self._ask_plugins(ctx)
        return [*COMMANDS, *sorted(self.commands)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write them, sorted by what they are for."""
        others = [name for name in self.list_commands(ctx) if name not in COMMANDS]
        for title, names in {**SECTIONS, "Of plugins": others}.items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, command.get_short_help_str(_WHOLE)) for name, command in found if command]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # The core first: a plugin that registers a `shutdown` of its own must not come between a host and its guests.
        if cmd_name in COMMANDS:
            return getattr(importlib.import_module(f"lastcall.cli.commands.{cmd_name}"), f"{cmd_name}_command")
        self._ask_plugins(ctx)
        if cmd_name not in self.commands and self._failed and not ctx.resilient_parsing:
            # It may well be one of theirs: that there is no such command is not for us to say.
            raise LastcallError(f"no command is called {cmd_name!r}, and some plugins' could not be loaded")
        if cmd_name in self.commands:
            ctx.with_resource(lent())  # now that everything is loaded: what it and its programs print is its answer
        return self.commands.get(cmd_name)

    def _ask_plugins(self, ctx: click.Context) -> None:
        from lastcall.cli.commands.plugins import register_plugin_commands

        if _ASKED in ctx.meta:  # help asks again for each of their names
            return
        ctx.meta[_ASKED] = True
        verbose = bool(ctx.params.get("verbose"))
        self._owners, self._failed = register_plugin_commands(self, ctx.params.get("config"), verbose=verbose)


def _ended(owner: "Implementation", error: Exception | SystemExit, *, verbose: bool) -> Any:
    """A plugin's command left by an exit, whose code is its own, or failed."""
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        return error.code or ExitCode.OK
    from lastcall.hooks.isolation.outside_runs import plugin_failed

    failed = plugin_failed(owner.position.source.called, owner.own, error)
    failed.trace = failed.trace if verbose else ""
    raise failed from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    # Judged when it is read: one that cannot be is an invalid configuration (6), not a mistake in the call (2).
    type=click.Path(path_type=Path, readable=False),
    is_eager=True,  # before --help, which lists the commands of the plugins that it names
    metavar="FILE",
    help="Read this file instead of /etc/lastcall/config.yaml.",
)
@click.option(
    "--color",
    type=click.Choice(WISHES),
    default="auto",
    help="Colour what is printed: auto is on a terminal, as NO_COLOR and FORCE_COLOR say.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show every request and every hook call, and names whole.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.version_option(__version__, "--version", prog_name="lastcall", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, color: Wish, *, verbose: bool, quiet: bool) -> None:
    """Give the guests of a libvirt host their last call before it closes, and bring them back when it opens.

    Start with `lastcall demo` (touches nothing), `lastcall check` and `lastcall plan`.

    Exit codes: 0 all as planned, 1 some guest or hook was not, 2 usage, 3 not on duty (status),
    4 no permission, 5 another run is under way, 6 the configuration is invalid, 70 a bug,
    75 guests wait, and `restore --from-unit` is begun again.
    """
    ctx.color = wished(color)  # for what plugins' commands print: click itself knows of terminals only
    ctx.obj = replace(ctx.obj or Invocation(), config=config, verbose=verbose, quiet=quiet, color=color)


def _in_our_words(error: click.ClickException) -> click.ClickException:
    """Of `lastcall plan -v`, which many write, say where the option belongs."""
    if isinstance(error, click.NoSuchOption) and error.ctx:
        name = error.option_name
        if any(name in option.opts for option in cli.params):
            program, _, command = error.ctx.command_path.partition(" ")
            return click.UsageError(f"{name} comes before the command: {program} {name} {command}", error.ctx)
    return error


def find_others(words: Sequence[str], last: str, invocation: Invocation) -> "NextWords":
    """What plugins add to the commands, by click. Raises LastcallError."""
    from click.shell_completion import ShellComplete

    from lastcall.cli.completion.candidates import NextWords

    shell = ShellComplete(cli, {"obj": invocation}, "lastcall", "")
    found = _completions(lambda: shell.get_completions(list(words), last))
    names = {str(one.value): one.help or "" for one in found if one.type == "plain"}
    return NextWords(names=names, files=any(one.type in {"file", "dir"} for one in found))


def _completions(make: "Callable[[], list[CompletionItem]]") -> "list[CompletionItem]":
    """Raises LastcallError; of a plugin's value that is completed by code of its own, too."""
    from lastcall.hooks.isolation.outside_runs import plugin_failed
    from lastcall.threads.answers import WorkerExit
    from lastcall.threads.box import Box
    from lastcall.threads.own_code import OwnCode, Standpoint, frames_of

    standpoint = Standpoint()

    def work() -> "list[CompletionItem]":
        with standpoint:
            return make()

    try:
        return Box().call(work, timeout=COMPLETION_TIME)
    except Exception as caught:  # noqa: BLE001  whatever it is, a shell wants to go on
        late = isinstance(caught, TimeoutError)
        error = TimeoutError(f"no answer within {COMPLETION_TIME:.0f} s") if late else caught
        frames = standpoint.stack() or (error.frames if isinstance(error, WorkerExit) else frames_of(error))
        assert isinstance(cli, _Group)  # noqa: S101  it is made so below
        owner = cli.owner_of(frames)
        called, own = (owner.position.source.called, owner.own) if owner else ("completion", OwnCode(None))
        raise plugin_failed(called, own, error, frames) from None


def run_command(arguments: Sequence[str], invocation: Invocation) -> int:
    """Run the subcommand and return its exit code; raises what it raises, but for errors of usage."""
    try:
        # Standalone, click leaves by SystemExit, past the error boundary of main() and its way around hung threads.
        code: Any = cli.main(args=list(arguments), prog_name="lastcall", standalone_mode=False, obj=invocation)
        return code if isinstance(code, int) else ExitCode.OK
    except click.ClickException as error:
        if {"check", "--brief"} <= {*arguments}:  # to a monitoring system the code for a wrong usage is an alarm's
            from lastcall.cli.commands.check_brief import tell_unknown

            return tell_unknown(error.format_message())
        _in_our_words(error).show()
        return ExitCode.USAGE
    # click makes an Abort of every Ctrl-C; main() answers it with what a shell expects, 130.
    except click.Abort:
        raise KeyboardInterrupt from None
