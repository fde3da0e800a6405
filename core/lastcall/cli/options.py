"""Arguments, options and output that several subcommands share."""

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import click

from lastcall.api.guests import Reason
from lastcall.cli.invocation import Invocation
from lastcall.formats.nearest import did_you_mean
from lastcall.formats.quantities import parse_duration
from lastcall.persistence.waiting.entry import Cause

if TYPE_CHECKING:
    from lastcall.planning.selection import Criterion, Selection

CAUSES: Sequence[Cause] = get_args(Cause)


def json_option(document: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--json`, and beside it `--schema`, which prints the JSON Schema of the document that `--json` prints."""

    def show(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
        if asked and not ctx.resilient_parsing:
            from lastcall.cli.documents.schema import schema_of

            words = ctx.command_path.partition(" ")[2]
            click.echo(json.dumps(schema_of(document, f"lastcall {words} --json"), indent=1))
            ctx.exit()

    text = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
    # Eager: whoever asks what a document looks like has no guest to name yet.
    schema = click.option(
        "--schema", is_flag=True, is_eager=True, expose_value=False, callback=show,
        help="Print the JSON Schema of what --json prints.",
    )  # fmt: skip
    return lambda function: text(schema(function))


class SuggestingGroup(click.Group):
    """Commands, one of which may be misspelt."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; of one that is not there, say which was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchOption:
            raise
        except click.UsageError:  # of click 8.4 on it has suggestions of its own, which do not know all commands
            ctx.fail(f"no command is called {args[0]!r}{did_you_mean(args[0], self.list_commands(ctx))}")


class DurationType(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  generic from click 8.4 on only
    """A duration such as 90s or 5min, as seconds; `some`: none at all would leave no time for anything."""

    name = "duration"

    def __init__(self, *, some: bool = False) -> None:
        self._some = some

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; a wrong one is a usage error."""
        try:
            seconds: Any = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self._some and seconds <= 0:
            self.fail(f"{value} leaves no time for anything; give the time that there is, such as 4min", param, ctx)
        return seconds


class CriterionType(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  generic from click 8.4 on only
    """`KEY=VALUE` of `--match`."""

    name = "criterion"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; a wrong one is a usage error."""
        from lastcall.planning.selection import Criterion  # here: most commands are about nobody

        try:
            return Criterion.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def selection_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """`[GUEST]...` and `--match`: together the guests that are meant, which the command gets as `chosen`."""
    text = "Only guests that match; keys as in a rule's `match`: name, uuid, uri, state. May be given more than once."

    @click.argument("guests", nargs=-1, metavar="[GUEST]...")
    @click.option("--match", "criteria", type=CriterionType(), multiple=True, metavar="KEY=VALUE", help=text)
    @functools.wraps(function)
    def with_selection(*args: Any, guests: Sequence[str], criteria: "Sequence[Criterion]", **options: Any) -> Any:
        from lastcall.planning.selection import Selection

        return function(*args, chosen=Selection(guests, criteria), **options)

    return with_selection


def listed_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """`selection_arguments`, and `--cause`, for who chooses among the guests that are to be restored."""
    text = "Only those that were stopped as the `host` did, by `hand`, or `shed`. May be given more than once."

    @click.option("--cause", "causes", type=click.Choice(CAUSES), multiple=True, help=text)
    @functools.wraps(function)
    def with_causes(*args: Any, chosen: "Selection", causes: Sequence[Cause], **options: Any) -> Any:
        from lastcall.planning.selection import Selection

        return function(*args, chosen=Selection(chosen.words, chosen.criteria, causes), **options)

    return selection_arguments(with_causes)


def reason_option(default: Reason | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--reason`: why; everything but manual is a host stop. None: the command decides by what else it is given, and
    plans what sheds guests as well.
    """
    others = {Reason.BOOT, Reason.DRILL, Reason.SLEEP, *({Reason.SHED} if default else ())}
    reasons = [reason.value for reason in Reason if reason not in others]
    but = "manual" if default else "manual and shed"
    text = f"Why. Everything but {but} is a host stop: it goes through, and takes the last resort."
    return click.option(
        "--reason", type=click.Choice(reasons), default=default and default.value, show_default=True, help=text
    )


def occasion_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--reason` of what fires hooks alone: for which run, of all that there are."""
    reasons = [reason.value for reason in Reason]
    text = "As in a run for this reason: what is meant for other runs is not called."
    option = click.option(
        "--reason", type=click.Choice(reasons), default=Reason.MANUAL.value, show_default=True, help=text
    )
    return option(function)


def confirmed(invocation: Invocation, question: str) -> Invocation:
    """Ask on the terminal: whoever is not sure, or presses Ctrl-C, ends the program."""
    with invocation.signals.let_go():
        click.confirm(question, abort=True, err=True)
    # The run has all of its time, however long the answer took: without this, a guest was forced off unasked.
    return replace(invocation, started=time.monotonic())
