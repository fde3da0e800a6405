"""How things stand with the power: what was said of it, and what the UPSes answer now."""

import time

from lastcall.api.power import PowerPolicy, PowerWord
from lastcall.formats.values import value
from lastcall.hooks.power.supplies import PowerQuestions
from lastcall.persistence.power.board import PowerBoard
from lastcall.persistence.power.outage import OutageFile
from lastcall.planning.power.runtime import believed_runtime
from lastcall.planning.power.stages import BatteryState
from lastcall.planning.power.state import charge_of_host, with_answers, word_of


@value(kw_only=True)
class Outage:
    """What holds for the host, since when (monotonic clock), what is known of its battery, and what the site wants.

    `began`: since when the mains have not held for as long as the site wants; what was done since then counts for it.
    """

    word: PowerWord
    since: float
    began: float
    power: BatteryState
    policy: PowerPolicy

    @property
    def lasts(self) -> bool:
        """Whether a battery carries the host."""
        return self.word is not PowerWord.LINE


async def look_at_outage(board: PowerBoard, file: OutageFile, questions: PowerQuestions) -> Outage:
    """Read what was said and noted, and ask the UPSes; those that do not answer say nothing of their battery."""
    policy = await questions.policy()
    supplies = await questions.supplies()
    word, since = word_of(with_answers(board.read(), supplies), policy)
    # What is assumed where nobody answers is for a host that goes down: it would shed guests at once.
    believed = believed_runtime(supplies, policy)
    power = BatteryState(
        seconds=max(0.0, time.monotonic() - since), charge=charge_of_host(supplies, policy),
        runtime=believed.seconds if believed.answered else None,
    )  # fmt: skip
    noted = file.began(time.monotonic())
    began = since if noted is None else min(since, noted)
    return Outage(word=word, since=since, began=began, power=power, policy=policy)
