"""The watch of one outage: has guests shed while a battery carries, and brought back once the mains have held."""

import asyncio
import math
from collections.abc import Callable

from lastcall.api.power import PowerPolicy, PowerWord
from lastcall.cli.outage.due_next import DueNext, due_next
from lastcall.cli.outage.errand import Errand
from lastcall.cli.outage.look import PowerLook, PowerLooks
from lastcall.cli.outage.ports import OutageQuestions, WatchedHost
from lastcall.errors import ExitCode
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.power.board import PowerBoard
from lastcall.persistence.power.outage import OutageFile, OutageNote

LOOK = 2.0  # seconds between two looks
ASK = 15.0  # seconds after which it is asked again who is due, though no figure has changed: guests are started, too
SOON = 5.0  # seconds between two such questions, whatever changes
RETRY, LONGEST_RETRY = 10.0, 300.0  # seconds until a command is begun again that has not done all
SHED = ("shed", "--due", "--json")
RESTORE = ("restore", "--cause", "shed")


class OutageWatch:
    """`clock` is the monotonic one, which the board goes by; `say` tells the journal."""

    def __init__(
        self,
        questions: OutageQuestions,
        host: WatchedHost,
        board: PowerBoard,
        file: OutageFile,
        clock: Callable[[], float],
        say: Callable[[str], object],
    ) -> None:
        self._questions, self._host, self._board, self._file = questions, host, board, file
        self._clock, self._say = clock, say
        self._looks = PowerLooks(questions, board, clock)
        self._policy = PowerPolicy()
        self._wake = asyncio.Event()
        self._errand = Errand(host, self._wake.set)
        self._stopped = False
        self._began: float | None = None
        self._next, self._told_at = DueNext(), -math.inf
        self._figures: tuple[int | None, int | None] = None, None
        self._not_before = dict[tuple[str, ...], float]()  # by command, of one that has not done all
        self._pause = RETRY
        self._said = self._failure = ""

    def end(self) -> None:
        """Somebody wants the watch to end: it starts nobody else, and waits for who was started."""
        self._stopped = True
        self._wake.set()

    async def go(self) -> None:
        """Watch until the mains are back and nobody is left to be brought back, or the host goes down."""
        self._policy = await self._questions.policy()
        self._began = self._file.began(self._clock())  # of one that was killed
        while True:
            look = await self._looks.look(self._policy)
            self._began = self._outage_since(look)
            if self._stopped or await self._host.stops():
                break
            self._tell(look)
            self._hear()
            if await self._act(look):
                self._file.remove()
                self._say("the mains are back, and nobody is left to be brought back")
                return
            await self._note(look)
            await self._rest()
        # A shed run that a host stop has joined is that host stop: to tell it to end is for systemd.
        await self._errand.see_off(tell=self._stopped)

    def _outage_since(self, look: PowerLook) -> float | None:
        # Mains that come and go are one outage: else whoever is started by hand in it is shed each time that they go.
        if look.word is not PowerWord.LINE:
            return look.since if self._began is None else min(self._began, look.since)
        return self._began if look.at - look.since < self._policy.return_after else None

    async def _act(self, look: PowerLook) -> bool:
        """Do what there is to do; returns whether all is done."""
        if look.word is PowerWord.LINE:
            return await self._on_line(look)
        await self._on_battery(look)
        return False

    async def _on_battery(self, look: PowerLook) -> None:
        if self._errand.under_way:
            if self._errand.words == RESTORE:
                # Who waits until a guest is ready, for minutes, would keep others from being shed.
                self._errand.insist()
            return
        if self._policy.on_battery == "shed" and self._is_anybody_due(look):
            self._figures, self._told_at = look.figures, look.at
            await self._send(*SHED)

    def _is_anybody_due(self, look: PowerLook) -> bool:
        """Whether it is worth asking: it takes a second of a processor, on a battery."""
        since = look.at - self._told_at
        if look.at < self._not_before.get(SHED, -math.inf):
            return False
        return (
            (self._next.seconds is not None and since >= self._next.seconds)
            or since >= ASK
            or (since >= SOON and look.figures != self._figures)
        )

    async def _on_line(self, look: PowerLook) -> bool:
        if self._errand.under_way:
            if self._errand.words == SHED and not self._errand.is_told:
                heard = await self._host.tell_back()
                (self._errand.note_told if heard else self._errand.interrupt)()
            return False
        self._told_at, self._next = -math.inf, DueNext()
        if look.at - look.since < self._policy.return_after or await self._host.busy():
            return False
        names = await self._host.shed()
        if names and look.at >= self._not_before.get(RESTORE, -math.inf):
            await self._send(*RESTORE)
        if names or names is None:
            return False
        return self._board.close(lambda said: self._looks.judge(said, self._policy)[0] is PowerWord.LINE)

    async def _send(self, *words: str) -> None:
        try:
            await self._errand.send(*words)
        except OSError as error:
            self._put_off(words, f"cannot be started: {(error.strerror or str(error)).lower()}")

    def _hear(self) -> None:
        """What became of the command that was under way."""
        words, told, result = self._errand.words, self._errand.is_told, self._errand.result()
        if result is None:
            return
        code, output = result
        if words == SHED:
            # Who was told to end had not asked everybody: where the mains are gone again, that is made up for at once.
            self._next, self._told_at = due_next(output), -math.inf if told else self._clock()
        if code == ExitCode.OK or told:
            self._not_before, self._pause, self._failure = {}, RETRY, ""
        else:
            self._put_off(words, f"has ended with exit code {code}; it is begun again as long as somebody is left")

    def _put_off(self, words: tuple[str, ...], why: str) -> None:
        failure = f"lastcall {' '.join(words)} {why}"
        if failure != self._failure:
            self._say(failure)
        self._failure = failure
        # A guest that does not stop must not keep others from their stage; one that does not start has time.
        self._not_before[words] = self._clock() + (self._pause if words == RESTORE else RETRY)
        self._pause = min(2 * self._pause, LONGEST_RETRY)

    def _tell(self, look: PowerLook) -> None:
        """Say what has changed."""
        nobody = self._policy.on_battery == "nothing" and look.word is not PowerWord.LINE
        said = f"{look.word.value}{self._looks.trouble}"
        if said != self._said:
            self._said = said
            self._say(f"{look}{'; plugins.power.on_battery is nothing: nobody is shed' if nobody else ''}")
            if self._looks.trouble:
                self._say(self._looks.trouble)

    async def _note(self, look: PowerLook) -> None:
        line = look.word is PowerWord.LINE
        known = None if self._next.seconds is None else self._told_at + self._next.seconds
        self._file.keep(
            OutageNote(
                word=look.word, since=look.since, at=look.at, charge=look.charge, runtime=look.runtime,
                shed=tuple(await self._host.shed() or ()), next=self._next.guests, next_at=known,
                returns_at=look.since + self._policy.return_after if line else None,
                began=self._began, sheds=self._policy.on_battery == "shed", boot=boot_id(),
            )
        )  # fmt: skip

    async def _rest(self) -> None:
        """Wait for the next look, or for something that cannot wait."""
        try:
            async with asyncio.timeout(LOOK):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
