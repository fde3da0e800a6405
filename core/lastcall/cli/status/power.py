"""The power, by what is kept of it: what holds, since when, what an outage has come to, and what comes next."""

import time
from pathlib import Path

from lastcall.api.power import PowerPolicy, PowerWord
from lastcall.cli.documents.status import PowerNow
from lastcall.formats.layout.folding import fold_names
from lastcall.formats.layout.screen import Screen
from lastcall.formats.quantities import format_duration
from lastcall.persistence.power.board import PowerBoard
from lastcall.persistence.power.outage import STALE, OutageFile
from lastcall.planning.power.state import word_of


def power_now(folder: Path) -> PowerNow | None:
    """What is kept in paths.run; None where the mains are there, and nobody is about to be brought back."""
    outage, now = OutageFile(folder).recall(), time.monotonic()
    watched = outage is not None and 0 <= now - outage.at < STALE
    if outage is None or not watched:
        # Of an outage that nobody watches the words are still there.
        said = PowerBoard(folder).read()
        word, since = word_of(said, PowerPolicy())
        if outage is None and (not said or word is PowerWord.LINE):
            return None
    else:
        word, since = outage.word, outage.since
    found = PowerNow(word=word, seconds=_since(now, since), watched=watched)
    if outage is None:
        return found
    return PowerNow(
        word=word,
        seconds=_since(now, since),
        watched=watched,
        sheds=outage.sheds,
        charge=outage.charge if watched else None,
        runtime=max(0.0, outage.runtime - (now - outage.at)) if watched and outage.runtime is not None else None,
        shed=outage.shed,
        next=outage.next,
        next_in=_until(now, outage.next_at),
        returns_in=_until(now, outage.returns_at),
    )


def power_words(power: PowerNow, screen: Screen) -> str:
    """The same in one line."""
    told = f"{'on the mains again' if power.word is PowerWord.LINE else 'on battery'} for {_rough(power.seconds)}"
    if power.word is PowerWord.LOW:
        told += ", which is low"
    if power.charge is not None:
        told += f", {power.charge:.0f} %"
    if power.runtime is not None and power.word is not PowerWord.LINE:
        told += f", about {_rough(power.runtime)} left"
    if power.shed:
        told += f"; shed: {fold_names(power.shed, screen)}"
    if power.word is PowerWord.LINE and power.shed:
        told += f"; back {_when(power.returns_in)}"
    if not power.sheds:
        told += "; nobody is shed, as plugins.power.on_battery says"
    elif power.next and power.word is not PowerWord.LINE:
        told += f"; next: {fold_names(power.next, screen)}" + (
            "" if power.next_in is None else f" {_when(power.next_in)}"
        )
    return told + ("" if power.watched else "; nobody watches it: `systemctl start lastcall-outage`")


def _when(seconds: float | None) -> str:
    return f"in {_rough(seconds)}" if seconds else "now"


def _rough(seconds: float) -> str:
    """To the minute, where there are several."""
    return format_duration(round(seconds / 60) * 60 if seconds >= 120 else round(seconds))


def _since(now: float, moment: float) -> float:
    return max(0.0, now - moment)


def _until(now: float, moment: float | None) -> float | None:
    return None if moment is None else max(0.0, moment - now)
