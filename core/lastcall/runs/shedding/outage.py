"""How things stand with the power: what was said of it, and what the UPSes answer now."""

import time

from lastcall.api.power import PowerPolicy, PowerWord
from lastcall.formats.values import value
from lastcall.hooks.power.supplies import PowerQuestions
from lastcall.persistence.power.board import PowerBoard
from lastcall.planning.power.runtime import believed_runtime
from lastcall.planning.power.stages import BatteryState
from lastcall.planning.power.state import charge_of_host, with_answers, word_of


@value(kw_only=True)
class Outage:
    """What holds for the host, since when (monotonic clock), what is known of its battery, and what the site wants."""

    word: PowerWord
    since: float
    power: BatteryState
    policy: PowerPolicy

    @property
    def lasts(self) -> bool:
        """Whether a battery carries the host."""
        return self.word is not PowerWord.LINE


async def look_at_outage(board: PowerBoard, questions: PowerQuestions) -> Outage:
    """Read what was said, and ask the UPSes; those that do not answer say nothing of their battery."""
    policy = await questions.policy()
    supplies = await questions.supplies()
    word, since = word_of(with_answers(board.read(), supplies), policy)
    # What is assumed where nobody answers is for a host that goes down: it would shed guests at once.
    believed = believed_runtime(supplies, policy)
    power = BatteryState(
        seconds=max(0.0, time.monotonic() - since), charge=charge_of_host(supplies, policy),
        runtime=believed.seconds if believed.answered else None,
    )  # fmt: skip
    return Outage(word=word, since=since, power=power, policy=policy)
