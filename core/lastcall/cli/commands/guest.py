"""`lastcall guest`: the settings that a guest carries in its own domain XML."""

import asyncio
from collections.abc import Callable

import click

from lastcall.api.guests import RunKind
from lastcall.checks.names import KnownNames
from lastcall.cli.documents.configuration import MetadataDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import SuggestingGroup, json_option
from lastcall.config.metadata import NAMESPACE, PREFIX, read_metadata, render
from lastcall.errors import ExitCode, LastcallError, Severity, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.visible_text import page
from lastcall.presence.lookup import find_guest
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.loading import load
from lastcall.runs.request import RunRequest

JUDGING = 5.0  # seconds for what is given, which is milliseconds


@click.group("guest", cls=SuggestingGroup, short_help="Write the settings that a guest carries in its own metadata.")
def guest_command() -> None:
    """Write the settings that a guest carries in its own metadata; `lastcall config guest` shows what counts."""


@guest_command.command("set")
@click.argument("name", metavar="GUEST")
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@json_option(MetadataDocument)
@click.pass_obj
def set_(invocation: Invocation, name: str, settings: tuple[str, ...], *, as_json: bool) -> int:
    """Set keys in the guest's metadata; values are written as in the configuration file.

    For example `lastcall guest set db-1 depends_on=storage timeout=5min`. Keys of plugins that run commands cannot be
    set so. Rules of the configuration file win over metadata.
    """
    given: dict[str, str] = {}
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign:
            raise UsageError(f"{setting!r} is not KEY=VALUE", "for example timeout=5min")
        given[key.strip()] = value.strip()
    return _change(invocation, name, lambda texts: {**texts, **given}, as_json=as_json)


@guest_command.command("unset")
@click.argument("name", metavar="GUEST")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@json_option(MetadataDocument)
@click.pass_obj
def unset(invocation: Invocation, name: str, keys: tuple[str, ...], *, as_json: bool) -> int:
    """Take keys out of the guest's metadata."""
    return _change(
        invocation, name, lambda texts: {key: text for key, text in texts.items() if key not in keys}, as_json=as_json
    )


def _change(
    invocation: Invocation, name: str, change: Callable[[dict[str, str]], dict[str, str]], *, as_json: bool
) -> int:
    loaded = load(invocation.config)
    loop = asyncio.new_event_loop()
    parts = assemble(loaded, RunRequest(kind=RunKind.SHUTDOWN, rehearsal=True), loop)
    written = loop.run_until_complete(_write(parts, KnownNames(loaded.plugins), name, change))
    text = page(f"{key}: {text}" for key, text in written.items()) or "no settings in its metadata"
    click.echo(to_json(MetadataDocument(guest=name, settings=written), indent=1) if as_json else text)
    return ExitCode.OK


async def _write(
    parts: Parts, names: KnownNames, name: str, change: Callable[[dict[str, str]], dict[str, str]]
) -> dict[str, str]:
    guest = await find_guest(parts.inventory, parts.stream, name)
    before = dict(parts.inventory.facts[guest.key].metadata)
    after = change(before)
    # Only what changes is judged: a key that is left from a plugin of yesterday must not block all others.
    changed = {key: text for key, text in after.items() if before.get(key) != text}
    model = type(parts.settings.defaults)
    try:  # plugins have a say in what is right for their keys
        policy, problems = await parts.workers.call(lambda: read_metadata(model, guest, changed), timeout=JUDGING)
    except TimeoutError:
        raise LastcallError(f"a plugin does not come to an end with {', '.join(changed)}") from None
    if policy:
        problems += [one for one in names.unknown_of(policy, guest.name) if one.severity is Severity.ERROR]
    if problems:
        raise UsageError(
            "; ".join(problem.message.removesuffix("; it is not used") for problem in problems), problems[0].remedy
        )
    await parts.hypervisor.write_metadata(guest, PREFIX, NAMESPACE, render(after) if after else None)
    return after
