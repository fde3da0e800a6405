"""What comes of a word about the power: it is noted, told to the next host stop and to a run under way, and an outage
is seen through.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from lastcall.api.guests import Reason
from lastcall.api.power import PowerPolicy, PowerWord
from lastcall.cli.documents.state import PowerDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.power.answers import PowerAnswers
from lastcall.cli.power.line import SpokenWord
from lastcall.config.files import config_file
from lastcall.config.paths import Places
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.persistence.announcement import POWER_WORD, Announcement, NoticeBoard, announce
from lastcall.persistence.boot_stamp import BootStamp
from lastcall.persistence.mailbox import Request
from lastcall.persistence.power.board import PowerBoard, SaidWord
from lastcall.persistence.refusals import refusals_told
from lastcall.planning.power.runtime import believed_runtime
from lastcall.planning.power.state import with_answers, word_of
from lastcall.runs.lock import RunLock
from lastcall.runs.shedding.shed_guests import shed_guests
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed, booted
from lastcall.systemd.units import OUTAGE

MAINS_BACK = Request("", mains="back")
MAINS_GONE = Request("", mains="gone")


def note_word(invocation: Invocation, spoken: SpokenWord) -> PowerDocument:
    """Do all that; raises NoPermission where it cannot be noted."""

    def ask() -> PowerAnswers:
        from lastcall.cli.power.asking import ask_plugins  # here: the other words have no time for plugins

        return ask_plugins(invocation.config)

    def watch() -> str:
        return _start_watch(invocation)

    return WordNoting(invocation.places(), spoken, ask, watch).note()


@value
class WordNoting:
    """One word, said here and now. `ask` asks the plugins; `watch` has an outage seen through, and returns why that is
    not done, if so.
    """

    places: Places
    spoken: SpokenWord
    ask: Callable[[], PowerAnswers]
    watch: Callable[[], str]

    def note(self) -> PowerDocument:
        """Note it, and do what comes of it. Raises NoPermission."""
        match self.spoken.word:
            case PowerWord.LOW:
                return self._low()
            case PowerWord.BATTERY:
                return self._battery()
            case PowerWord.LINE:
                return self._line()

    def _low(self) -> PowerDocument:
        """The battery is almost empty: the next host stop has as much time as is believed."""
        news, said = self._say()
        board = NoticeBoard(self.places.run)
        # At once, and before anybody is asked: the UPS daemon may call poweroff in the next moment.
        if board.read() is None and word_of(said, PowerPolicy())[0] is PowerWord.LOW:
            board.put(_announced(PowerAnswers()))
        answers = self.ask()
        host = word_of(with_answers(said, answers.supplies), answers.policy)[0]
        _log(f"{self.spoken}: {_believed(answers)}")
        if host is not PowerWord.LOW:
            back = self._take_back()
            return self._document(news=news, host=host, taken_back=back, believed=_believed(answers))
        made = _announced(answers)
        board.put(made)
        told = self._tell(Request(made.reason, made.ends, announced=True))
        return self._document(news=news, host=host, announced=made, believed=_believed(answers), answer=told)

    def _battery(self) -> PowerDocument:
        """The mains are gone: somebody sees the outage through."""
        news, said = self._say()
        host = word_of(said, PowerPolicy())[0]
        # Only one that is about the power can have turned round; to a reboot, say, it is no reason to hurry.
        holder = RunLock(self.places.run).under_way()
        concerned = holder is not None and holder.reason in {Reason.POWER.value, Reason.SHED.value}
        told = self._tell(MAINS_GONE) if concerned and host is not PowerWord.LINE else None
        return self._watched(self._document(news=news, host=host, answer=told))

    def _line(self) -> PowerDocument:
        """The mains are back: what was announced for want of them counts no more, and who was shed comes back."""
        news, said = self._say()
        host, believed = PowerWord.LINE, None
        if any(one.word != PowerWord.LINE.value for one in said.values()):
            answers = self.ask()  # whether the host can live by those that are there, only the site knows
            host, believed = word_of(with_answers(said, answers.supplies), answers.policy)[0], answers.problem or None
        back = host is not PowerWord.LOW and self._take_back()
        told = self._tell(MAINS_BACK) if host is PowerWord.LINE else None
        found = self._document(news=news, host=host, believed=believed, taken_back=back, answer=told)
        # Who cannot read the list will say what is wrong with it.
        left_to_do = told is not None or host is not PowerWord.LINE or shed_guests(self.places.state) != []
        return self._watched(found) if left_to_do else found

    def _say(self) -> tuple[bool, Mapping[str, SaidWord]]:
        board = PowerBoard(self.places.run)
        return board.say(self.spoken.word, self.spoken.supply), board.read()

    def _take_back(self) -> bool:
        """Take back what the word `low` has announced; what a person has said is his."""
        board = NoticeBoard(self.places.run)
        made = board.read()
        return made is not None and made.by == POWER_WORD and board.cancel()

    def _tell(self, request: Request) -> str | None:
        lock = RunLock(self.places.run)
        with refusals_told(lock.path):
            told = lock.tell(request)
        return told.message if told else None

    def _watched(self, found: PowerDocument) -> PowerDocument:
        if BootStamp(self.places.run).left:
            return found  # the host stops: nobody is shed any more, and nobody starts
        problem = self.watch()
        return replace(found, watched=not problem, problems=(*found.problems, *([problem] if problem else ())))

    def _document(
        self,
        *,
        news: bool,
        host: PowerWord,
        announced: Announcement | None = None,
        believed: str | None = None,
        taken_back: bool = False,
        answer: str | None = None,
    ) -> PowerDocument:
        return PowerDocument(
            word=self.spoken.word, supply=self.spoken.supply, news=news, host=host, announced=announced,
            believed=believed, taken_back=taken_back, answer=answer,
        )  # fmt: skip


def _log(line: str) -> None:
    from lastcall.systemd.journal import Journal

    journal = Journal.find()
    if journal:
        journal.say(line)


def _start_watch(invocation: Invocation) -> str:
    if config_file(invocation.config)[1] or os.geteuid() != 0 or not booted():
        return "no unit watches the outage for this call: `lastcall power watch` does, as long as it runs"
    try:
        Systemctl().ask("start", "--no-block", OUTAGE)
    except SystemctlFailed as error:
        return f"{OUTAGE} cannot be started, and nobody watches the outage: {error}"
    return ""


def _announced(answers: PowerAnswers) -> Announcement:
    believed = believed_runtime(answers.supplies, answers.policy)
    return announce(Reason.POWER, believed.seconds, by=POWER_WORD)


def _believed(answers: PowerAnswers) -> str:
    found = believed_runtime(answers.supplies, answers.policy)
    if answers.problem:
        return f"{answers.problem}: {format_duration(found.seconds)} are counted on"
    return found.words
