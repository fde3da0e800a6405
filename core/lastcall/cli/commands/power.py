"""`lastcall power`: say what is with the power, as UPS daemons do; and watch an outage."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from lastcall.api.power import PowerWord
from lastcall.cli.documents.state import PowerDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import SuggestingGroup, json_option
from lastcall.cli.power.line import SpokenWord, known_word, supply_name
from lastcall.errors import ExitCode
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import paragraph
from lastcall.formats.layout.screen import Screen
from lastcall.formats.quantities import format_duration

_HOST = {PowerWord.LINE: "on the mains", PowerWord.BATTERY: "on battery", PowerWord.LOW: "on a battery that is low"}


class _WordGroup(SuggestingGroup):
    """Of a word that is none it is said which there are."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            try:
                known_word(args[0])
            except ValueError as error:
                ctx.fail(str(error))
        return super().resolve_command(ctx, args)


class _SupplyType(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  generic from click 8.4 on only
    """The name of a UPS."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Judge it; what is no name is a usage error."""
        try:
            return supply_name(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group("power", cls=_WordGroup, short_help="Say what is with the power, as UPS daemons do.")
def power_command() -> None:
    """Say what is with the power: on the mains, on battery, battery low. The last word of each UPS counts.

    For whoever is told by a UPS, such as NOTIFYCMD of NUT or the scripts of apcupsd. It never powers the host off, and
    to say the same again changes nothing. Root's word is noted at once; anybody else's goes through a socket, which
    `lastcall install --power-group GROUP` makes for the members of a group.
    """


def _word_command(function: Callable[..., int]) -> Callable[..., int]:
    supply = click.option(
        "--ups", "supply", type=_SupplyType(), metavar="NAME",
        help="Which UPS says so, as NUT names it (ups@localhost); for hosts that have several.",
    )  # fmt: skip
    return supply(json_option(PowerDocument)(click.pass_obj(function)))


@power_command.command("line", short_help="The mains are there.")
@_word_command
def line(invocation: Invocation, supply: str | None, *, as_json: bool) -> int:
    """The mains are there.

    What `lastcall power low` has announced is taken back, a run under way is told, and guests that were shed come back
    once the mains have held for `return_after`.
    """
    return _say(invocation, SpokenWord(PowerWord.LINE, supply or ""), as_json=as_json)


@power_command.command("battery", short_help="A battery carries the host.")
@_word_command
def battery(invocation: Invocation, supply: str | None, *, as_json: bool) -> int:
    """A battery carries the host.

    From now on guests are shed as their key `shed` says, by lastcall-outage.service.
    """
    return _say(invocation, SpokenWord(PowerWord.BATTERY, supply or ""), as_json=as_json)


@power_command.command("low", short_help="The battery is almost empty.")
@_word_command
def low(invocation: Invocation, supply: str | None, *, as_json: bool) -> int:
    """The battery is almost empty: the host is about to be powered off, by somebody else.

    The next host stop is told that it is for the power, and how long the battery lasts, as far as UPSes are believed.
    They are asked for 5 seconds at most; 90 seconds are counted on where none answers.
    """
    return _say(invocation, SpokenWord(PowerWord.LOW, supply or ""), as_json=as_json)


@power_command.command("watch", short_help="Watch an outage; for its unit.")
@click.pass_obj
def watch(invocation: Invocation) -> int:
    """Watch an outage until it is over: shed guests that are due, and bring them back once the mains have held.

    The unit lastcall-outage.service runs this.
    """
    from lastcall.cli.outage.watching import watch_outage

    return watch_outage(invocation)


@power_command.command("answer", short_help="Answer a word on the socket; for its unit.")
@click.pass_obj
def answer_word(invocation: Invocation) -> int:
    """Heed the one line that comes through standard input, which is a connection to the socket. Its unit runs this."""
    from lastcall.cli.power.door import answer_peer

    return answer_peer(invocation)


def _say(invocation: Invocation, spoken: SpokenWord, *, as_json: bool) -> int:
    found = _noted(invocation, spoken)
    click.echo(to_json(found, indent=1) if as_json else "\n".join(_lines(found, invocation.screen())))
    return ExitCode.NOT_AS_PLANNED if found.problems else ExitCode.OK


def _noted(invocation: Invocation, spoken: SpokenWord) -> PowerDocument:
    folder = invocation.places().run
    # Who runs lastcall for himself, with folders of his own, needs no door.
    if not _may_write(folder):
        from lastcall.cli.power.speaker import speak

        return speak(folder, spoken)
    from lastcall.cli.power.noting import note_word

    return note_word(invocation, spoken)


def _may_write(folder: Path) -> bool:
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return os.geteuid() == 0 or os.access(there, os.W_OK)


def _lines(found: PowerDocument, screen: Screen) -> Iterator[str]:
    for line in _told(found):
        yield from paragraph(line, screen)


def _told(found: PowerDocument) -> Iterator[str]:
    said = f"{found.supply or 'power'}: {found.word.value}{'' if found.news else ', as before'}"
    yield said if found.host is found.word else f"{said}; the host is {_HOST[found.host]}"
    left = found.announced and found.announced.left()
    if left is not None:
        yield f"announced: the next host stop is for power, over within {format_duration(round(left))} from now"
    if found.believed:
        yield found.believed
    if found.taken_back:
        yield "what was announced is taken back"
    if found.answer is not None:
        yield f"the run that is under way answers: {found.answer}"
    yield from found.problems
