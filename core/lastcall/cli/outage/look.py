"""What holds for the host at a moment of an outage, by what was said and what the UPSes answer."""

import math
from collections.abc import Callable, Mapping, Sequence

from lastcall.api.power import PowerPolicy, PowerWord, Supply
from lastcall.cli.outage.ports import OutageQuestions
from lastcall.errors import LastcallError
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.persistence.power.board import PowerBoard, SaidWord
from lastcall.planning.power.runtime import believed_runtime
from lastcall.planning.power.state import HOST, with_answers, word_of


@value(frozen=True)
class PowerLook:
    """`word` holds since `since`, as seen at `at` (monotonic clock). `charge` in per cent and `runtime` in seconds, as
    far as there are any that can be believed.
    """

    at: float
    word: PowerWord
    since: float
    charge: float | None = None
    runtime: float | None = None

    @property
    def figures(self) -> tuple[int | None, int | None]:
        """What has to change for somebody to be due who was not: whole per cent and minutes."""
        charge = None if self.charge is None else int(self.charge)
        return charge, None if self.runtime is None else int(self.runtime // 60)

    def __str__(self) -> str:
        word = {PowerWord.LINE: "on the mains", PowerWord.BATTERY: "on battery", PowerWord.LOW: "battery low"}
        charge = "" if self.charge is None else f", {self.charge:.0f} %"
        runtime = "" if self.runtime is None else f", {format_duration(round(self.runtime))} are counted on"
        return f"{word[self.word]} for {format_duration(round(self.at - self.since))}{charge}{runtime}"


class PowerLooks:
    """Looks, again and again. What changes in the answers of a UPS is noted as if somebody had said it: a word that got
    lost is made good, and who is killed and started again knows since when it is so.
    """

    def __init__(self, questions: OutageQuestions, board: PowerBoard, clock: Callable[[], float]) -> None:
        self._questions, self._board, self._clock = questions, board, clock
        self._supplies: Sequence[Supply] = ()
        self._answers = dict[str, PowerWord]()  # of each UPS, the last one
        self._last: PowerLook | None = None
        self._gone = -math.inf  # the last moment at which the mains were not known to be there
        self.trouble = ""

    async def look(self, policy: PowerPolicy) -> PowerLook:
        """What holds now. `trouble`: why that cannot be noted, if so."""
        supplies = await self._questions.supplies()
        self._supplies, self.trouble = supplies, self._note(supplies)
        said = self._board.read()
        word, since = self.judge(said, policy)
        now = self._clock()
        # A note that was lost, or that begins anew, must not make mains of a minute ago out of those of an hour ago.
        if word is not PowerWord.LINE or (not said and self._last is None):
            self._gone = now
        believed = believed_runtime(supplies, policy)
        runtime = believed.seconds if believed.answered else None
        since = min(now, max(since, self._gone) if word is PowerWord.LINE else since)
        self._last = PowerLook(now, word, since, _charge(supplies, policy), runtime)
        return self._last

    def judge(self, said: Mapping[str, SaidWord], policy: PowerPolicy) -> tuple[PowerWord, float]:
        """The host's word by what was said, and what UPSes have answered last; and since when."""
        return word_of(with_answers(said, self._supplies), policy)

    def _note(self, supplies: Sequence[Supply]) -> str:
        said = self._board.read()
        try:
            for one in supplies:
                before = self._answers.get(one.name)
                # The first answer is no news beside what was said: who tries out an outage by a word wants to see one.
                is_news = before is not one.word if before else not {one.name, HOST} & said.keys()
                if one.word and is_news:
                    self._board.say(one.word, one.name)
                if one.word:
                    self._answers[one.name] = one.word
        except LastcallError as error:
            return str(error)
        return ""


def _charge(supplies: Sequence[Supply], policy: PowerPolicy) -> float | None:
    """That of the UPS whose end leaves too few, as the runtime is."""
    charges = sorted((one.charge for one in supplies if one.charge is not None), reverse=True)
    needed = max(1, policy.supplies)
    return charges[needed - 1] if len(charges) >= needed else None
