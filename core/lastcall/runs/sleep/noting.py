"""Whom a sleep may touch is noted before, and is on the list of guests as well where it is to be saved; who is not
touched in the end is taken off both again.
"""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lastcall.api.guests import Key, Outcome
from lastcall.errors import in_words
from lastcall.persistence.power.sleepers import Answer, Sleeper
from lastcall.runs.bookkeeping import Bookkeeping
from lastcall.runs.sleep.sleeping_guests import SleepingGuests

if TYPE_CHECKING:
    from lastcall.persistence.waiting.entry import Entry

_AWAKE = frozenset({Outcome.LEFT, Outcome.SKIPPED})
_ASLEEP = frozenset({Outcome.PAUSED, Outcome.SAVED})


class Noting:
    """What is on disk of those that one run (by its id) is to pause or save."""

    def __init__(self, run: str, books: Bookkeeping, sleeping: SleepingGuests) -> None:
        self._run, self._books, self._sleeping = run, books, sleeping
        self._noted_before: dict[Key, Sleeper] = {}
        self._listed: set[Key] = set()
        self._listed_before: dict[Key, Entry] = {}

    async def begin(self, sleepers: Sequence[Sleeper]) -> Mapping[Key, str]:
        """Note them; returns why some could not be, who had better be left alone: what is cut off must not leave a
        guest of which nobody knows."""
        sleeping, keys = self._sleeping, [one.key for one in sleepers]
        try:
            await sleeping.recall()  # whom an earlier sleep has left paused stays known
        except (OSError, TimeoutError) as error:
            return _refused(keys, sleeping.where, error)
        # Who runs has done with an earlier sleep, but for those whose request may still have its effect.
        self._noted_before = {key: one for key, one in sleeping.known.items() if one.answer == "missing"}
        sleeping.known |= {one.key: one for one in sleepers}
        try:
            await sleeping.keep()
        except (OSError, TimeoutError) as error:
            await self._forget(keys)
            return _refused(keys, sleeping.where, error)
        saved = [one for one in sleepers if one.how == "save"]
        if not saved:
            return {}
        refused = await self._list(saved)
        if refused:
            await self._forget(refused)
        return refused

    async def end(self, outcomes: Mapping[Key, Outcome]) -> None:
        """Whoever runs on is noted no longer; of the others it is noted whether they are sure to sleep."""
        answers: dict[Key, Answer] = {
            key: "given" if outcome in _ASLEEP else "missing"
            for key, outcome in outcomes.items()
            if outcome not in _AWAKE
        }
        for key, answer in answers.items():
            self._sleeping.known[key] = replace(self._sleeping.known[key], answer=answer)
        awake = outcomes.keys() - answers.keys()
        await self._forget(awake)
        if awake & self._listed:
            self._take_off(awake & self._listed)
            await self._books.keep()

    async def _list(self, sleepers: Sequence[Sleeper]) -> Mapping[Key, str]:
        """Put those that are to be saved on the list of guests: a host that never wakes brings them back at its next
        boot. Returns why, where that cannot be written."""
        state, keys = self._books.state, [one.key for one in sleepers]
        self._listed_before = {key: state.entries[key] for key in keys if key in state.entries}
        guests = [one.guest for one in sleepers]
        state.add(guests, run=self._run, boot_id=self._books.boot_id, cause="host", due=True)
        try:
            await self._books.write(state.snapshot())
        except OSError as error:
            self._take_off(keys)
            return _refused(keys, str(state.path), error)
        self._listed.update(keys)
        return {}

    def _take_off(self, keys: Collection[Key]) -> None:
        """Have the list as it was before: who waited on it, as a run was cut off, say, waits on as it did."""
        self._books.drop(keys)
        self._books.state.entries |= {key: self._listed_before[key] for key in keys if key in self._listed_before}

    async def _forget(self, keys: Collection[Key]) -> None:
        for key in keys:
            self._sleeping.known.pop(key, None)
        self._sleeping.known |= {key: self._noted_before[key] for key in keys if key in self._noted_before}
        with contextlib.suppress(OSError, TimeoutError):  # who runs is left alone, though it is noted
            await self._sleeping.keep()


def _refused(keys: Collection[Key], where: str, error: Exception) -> Mapping[Key, str]:
    return dict.fromkeys(keys, f"it cannot be noted in {where}: {in_words(error)}")
