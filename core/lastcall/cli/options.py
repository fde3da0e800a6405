"""Options and output that several subcommands share."""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import click

from lastcall.api.guests import Reason
from lastcall.formats.durations import parse_duration

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


class DurationType(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  generic from click 8.4 on only
    """A duration such as 90s or 5min, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; a wrong one is a usage error."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def reason_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--reason`: why; everything but manual is a host stop."""
    reasons = [reason.value for reason in Reason if reason is not Reason.BOOT]
    text = "Why. Everything but manual is a host stop: it goes through, and takes the last resort."
    return click.option(
        "--reason", type=click.Choice(reasons), default=Reason.MANUAL.value, show_default=True, help=text
    )(function)


@contextmanager
def only_output(*, wanted: bool) -> Generator[None]:
    """Keep standard output for the result: what plugins and the programs they start print goes to standard error."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    # The descriptor and not only sys.stdout: programs that a hook starts inherit it, and would write into the JSON.
    ours = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(ours, 1)
        os.close(ours)
