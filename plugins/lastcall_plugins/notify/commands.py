"""`lastcall notify`: try whether messages arrive, and send those that wait."""

import time
from collections.abc import Sequence
from functools import partial

import click

from lastcall import CommandLine, LastcallError, Run, visible
from lastcall_plugins.notify import apprise_door
from lastcall_plugins.notify.addresses import addresses_of
from lastcall_plugins.notify.messages import Message, Unsent
from lastcall_plugins.notify.sending import Sent, outcomes, start
from lastcall_plugins.notify.settings import NotifySettings

_MARGIN = 10.0  # seconds beyond those of the sender, which ends by itself
_TEST = "This is a test of lastcall. Nothing was stopped, and nothing is wrong."


@click.group()
def notify() -> None:
    """Messages to people elsewhere."""


@notify.command()
@click.option("--within", default=20.0, show_default=True, type=click.FloatRange(1, 600), help="Seconds for it.")
@click.pass_obj
def test(command_line: CommandLine, *, within: float) -> int:
    """Send a test message now, to every address, and say what came of each."""
    return _told(*command_line.once(partial(_test, within=within), timeout=within + _MARGIN))


@notify.command()
@click.option("--within", default="60s", show_default=True, help="How long to try, such as 10min.")
@click.pass_obj
def flush(command_line: CommandLine, *, within: str) -> int:
    """Send the messages that could not be sent yet."""
    seconds = _seconds(within)
    return _told(*command_line.once(partial(_flush, within=seconds), timeout=seconds + _MARGIN))


def _test(run: Run, within: float) -> tuple[list[Sent], list[str]]:
    settings = _settings(run)
    message = Message(title="lastcall: a test", body=_TEST, written=time.time())
    sent = outcomes(start(run, settings, limit=within, once=message), within + 1)
    # Who has not answered has said nothing.
    missing = [one.place for one in addresses_of(settings.urls)[0]] if apprise_door.is_installed() else []
    missing += [f"mqtt {settings.mqtt.host}"] if settings.mqtt else []
    silent = set(missing) - {one.place for one in sent}
    return sent, [f"{place}: no answer within {within:g} s" for place in sorted(silent)]


def _flush(run: Run, within: float) -> tuple[list[Sent], list[str]]:
    settings = _settings(run)
    sent = outcomes(start(run, settings, limit=within, again=True), within + 1)
    waiting = Unsent(run.folder, settings.keep).everything()
    # Of several attempts the last one counts; what was taken in between is said by itself.
    last = [
        one for at, one in enumerate(sent) if not one.why or all(one.place != more.place for more in sent[at + 1 :])
    ]
    return last, [f"{len(waiting)} messages still wait"] if waiting else []


def _settings(run: Run) -> NotifySettings:
    settings = run.options(NotifySettings)
    if not settings.urls and settings.mqtt is None:
        raise LastcallError("nobody is to be told: plugins.notify.urls is not set", "see docs/notify.md")
    return settings


def _told(sent: Sequence[Sent], lacking: Sequence[str]) -> int:
    for one in sent:
        click.echo(visible(f"✗ {one.place}: {one.why}" if one.why else f"✓ {one.place}"), err=bool(one.why))
    for line in lacking:
        click.echo(visible(f"✗ {line}"), err=True)
    if not sent and not lacking:
        click.echo("nothing waits")
    return int(bool(lacking) or any(one.why for one in sent))


def _seconds(text: str) -> float:
    """A duration as in the configuration."""
    from pydantic import TypeAdapter, ValidationError

    from lastcall.options import Duration

    try:
        return TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        raise click.BadParameter("not a duration; write one such as 90s or 10min", param_hint="--within") from None
