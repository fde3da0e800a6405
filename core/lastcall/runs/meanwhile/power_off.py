"""The power-off that a host stop ends in: a reboot where the site wants one, as the mains are back by then."""

from collections.abc import Callable
from typing import Protocol

from lastcall.api.guests import Reason
from lastcall.api.power import PowerPolicy, PowerWord
from lastcall.errors import LastcallError, Severity, in_words
from lastcall.persistence.power.board import PowerBoard
from lastcall.planning.power.state import word_of
from lastcall.records.stream import Stream
from lastcall.threads.workers import Workers
from lastcall.timing.terms import Terms

TELLING = 10.0  # seconds for systemd, which has five, and for the disk


class PolicyQuestion(Protocol):
    """What a site wants."""

    async def policy(self) -> PowerPolicy:
        """Answer it; never raises."""
        ...


class PowerOff:
    """`reboots` has systemd reboot the host at the end of its power-off instead; it blocks, and raises OSError and
    LastcallError. None where systemd has no part in the run.
    """

    def __init__(
        self,
        question: PolicyQuestion,
        board: PowerBoard,
        stream: Stream,
        workers: Workers,
        terms: Terms,
        reboots: Callable[[], None] | None,
    ) -> None:
        self._question, self._board = question, board
        self._stream, self._workers, self._terms = stream, workers, terms
        self._reboots = reboots

    async def settle(self) -> None:
        """As the last step of the run: mains that come back may go again. Whatever fails costs the reboot alone."""
        reboots, back = self._reboots, self._stream.story.mains_back
        if reboots is None or back is None or self._terms.reason is not Reason.POWEROFF:
            return
        policy = await self._question.policy()
        if policy.power_returns == "stay" or word_of(self._board.read(), policy)[0] is not PowerWord.LINE:
            return
        try:
            await self._workers.call(reboots, timeout=TELLING)
        except (OSError, TimeoutError, LastcallError) as error:
            told = f"the host powers off all the same, though its mains are back: {in_words(error)}"
            self._stream.problem("power", "power_returns", told, "turn it on by hand, or by its management board")
        else:
            told = "the host reboots instead of powering off, as its mains are back"
            self._stream.problem("power", "power_returns", told, severity=Severity.WARNING)
