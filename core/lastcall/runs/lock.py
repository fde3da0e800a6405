"""One run at a time: who holds the lock, and how a host stop gets past a run that is under way."""

import contextlib
import fcntl
import json
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from lastcall.api.guests import Reason, RunKind
from lastcall.errors import NoPermission, RunLocked
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.reading import open_plain, read_text, require_plain
from lastcall.persistence.files import PRIVATE, SMALL, is_locked, public_folder
from lastcall.persistence.mailbox import Answer, Mailbox, Request
from lastcall.runs.meanwhile.holder import Holder, has_open, signal_holder
from lastcall.runs.meanwhile.joined_run import Inherited, JoinedRun
from lastcall.timing.budget import STEP

ANSWER_TIME = 5.0  # seconds for the holder to answer, of long deadlines; one that does not hangs, and is killed
NAMING_TIME = 1.0  # seconds for the holder to write its name
_LARGEST_PROCESS = 1 << 22  # PID_MAX_LIMIT of the kernel
_VOLUNTARY = frozenset(reason.value for reason in Reason if reason.voluntary)
POLL = 0.05  # seconds between two tries to take the lock
TICK = 1.0  # seconds between two words that a joined run goes on


class RunLock:
    """A lock on `<paths.run>/lock` that ends with the process, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._mail = Mailbox(folder)
        self._descriptor: int | None = None

    def take(self, holder: Holder) -> None:
        """Take the lock; raises RunLocked (naming who holds it), NoPermission or OSError."""
        try:
            public_folder(self.path.parent)
            descriptor = self._open()
        except PermissionError:
            raise NoPermission(
                f"no permission to write {self.path}", "run as root, or set paths.run and paths.state"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RunLocked(f"another run is under way: {self.holder() or '?'}", "wait for it, or end it") from None
        self._sign(descriptor, holder)
        self._descriptor = descriptor

    def _sign(self, descriptor: int, holder: Holder) -> None:
        try:
            # Between these two the lock has a holder without a name, for whom _known_holder waits.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        except OSError as error:
            os.close(descriptor)
            error.filename = str(self.path)
            raise

    def _open(self) -> int:
        # A flock belongs to the open file. Inherited by a hook's background process it would outlive this run.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        # For its owner alone: whoever can open it, if only to read, can hold it and block every run by hand.
        descriptor = os.open(self.path, flags, PRIVATE)
        try:
            require_plain(self.path, os.fstat(descriptor))
            os.fchmod(descriptor, PRIVATE)  # whatever the umask was, and who made it
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def take_over(
        self,
        holder: Holder,
        *,
        ends: float,
        until: float,
        say: Callable[[str], None],
        own: float | None = None,
        goes_on: Callable[[float], None] = lambda _: None,
    ) -> Inherited:
        """Get the lock in any case: a host stop does not wait for others.

        `ends` is its deadline, `own` that without what was announced, `until` the latest moment to have the lock; all
        on the monotonic clock. A restore is ended. A shutdown is joined: it learns that the host stops and when, and
        this run goes on with what it leaves; `goes_on` is called with its end again and again while it is waited for,
        which is as long as it may take by all that it hears meanwhile. One that does not answer is killed. Each step
        takes a share of what is left. Raises what `take` raises when even that does not help.
        """
        found = self._known_holder(_at_most(NAMING_TIME, until))
        # Nobody who can be believed: older locks could be held by any user. He is waited for a moment, and then a
        # host stop goes on without the lock.
        if found is None:
            self._wait(holder, _answer_time(until))
            return Inherited(None, ends)
        if found.kind == "shutdown":
            say(f"joins the run that is under way: {found}")
            answer = self._ask(found, Request(holder.reason, ends, own=own), _answer_time(until))
            if answer:
                say(f"the run that is under way answers: {answer.message}")
            if answer or self._is_free():
                joined = JoinedRun(found, self._end_of(found), ends, ends - until)
                outlasted = self._outlast(joined, holder, say, goes_on)
                return Inherited(answer if outlasted and answer and answer.accepted else None, joined.own_end)
        else:
            say(f"ends the run that is under way: {found}")
            if self._ended(found, holder, until, say):
                return Inherited(None, ends)
        say(f"kills the run that does not answer: {found}")
        signal_holder(found, signal.SIGKILL)
        self._wait(holder, _answer_time(until))
        return Inherited(None, ends)

    def holder(self) -> Holder | None:
        """Who holds the lock, as far as the file says."""
        try:
            found = decoded(Holder, from_json(read_text(self.path, SMALL)))
        except (OSError, ValueError):
            return None
        # A signal to process -1 goes to everybody.
        return found if 0 < found.process <= _LARGEST_PROCESS else None

    def _known_holder(self, patience: float) -> Holder | None:
        """Who really holds the lock; one that has just taken it may not have written its name yet."""
        until = time.monotonic() + patience
        while (found := self._real_holder()) is None and time.monotonic() < until:
            time.sleep(POLL)
        return found

    def _real_holder(self) -> Holder | None:
        """Who has written its name and has the file open: a number that was written earlier may be another's by now."""
        found = self.holder()
        return found if found and has_open(found, self.path) else None

    def heed(self, answer: Callable[[Request], Answer | None]) -> None:
        """For the run that holds the lock: answer what another process wants, if one does; None = not yet."""
        found = self._mail.request()
        said = answer(found[0]) if found else None
        if found and said:
            self._mail.reply(found[1], said)

    def become(self, reason: Reason, ends: float | None) -> None:
        """For the run that holds the lock: write down that its reason is another one by now, which decides what is told
        to it, or its end, which decides for how long it is waited for."""
        before = self.holder()
        if self._descriptor is None or before is None:
            return
        text = json.dumps(asdict(replace(before, reason=reason.value, ends=ends))).encode()
        with contextlib.suppress(OSError):
            # In one write, and never shorter than it was: whoever reads it meanwhile finds a holder.
            os.pwrite(self._descriptor, text.ljust(os.fstat(self._descriptor).st_size), 0)

    def tell(self, request: Request) -> Answer | None:
        """Tell a host stop that is under way, or of the power a run that sheds guests, or brings them back; None where
        there is none. Any other run is left alone: whoever stops guests by hand, or for a drill, means it whatever the
        mains do.
        """
        found = self.under_way()
        if found is None or not _concerns(request, found):
            return None
        answer = self._ask(found, request, ANSWER_TIME)
        return answer or (None if self._is_free() else Answer(accepted=False, message="nothing; it may hang"))

    def call_off(self) -> tuple[Holder, Answer] | None:
        """Tell a run that sheds guests to ask nobody else; who it is, and what it answers. None where there is none."""
        found = self.under_way()
        if found is None or not found.sheds:
            return None
        answer = self._ask(found, Request(Reason.SHED.value, mains="back"), ANSWER_TIME)
        return found, answer or Answer(accepted=False, message="nothing; it may hang")

    def outlast(self, found: Holder) -> None:
        """Wait until a run is over, or has become another one."""
        # By who has it open, and not by trying the lock: a host stop that wants it just then would not get it.
        while (now := self._real_holder()) and now.is_as(found):
            time.sleep(POLL)

    def under_way(self) -> Holder | None:
        """The run that holds the lock by now; None where nobody does."""
        return None if self._is_free() else self._real_holder()

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_free(self) -> bool:
        """Whether nobody holds the lock, whatever the process table says: who died is listed until he is waited for."""
        try:
            descriptor = open_plain(self.path)
        except OSError:
            return True
        return not is_locked(descriptor)

    def _ask(self, found: Holder, request: Request, patience: float) -> Answer | None:
        """Ask a run for something; None where it did not answer in these seconds, or is gone."""
        self._mail.post(request)
        signal_holder(found, signal.SIGUSR1)
        until = time.monotonic() + patience
        while not self._mail.is_read and time.monotonic() < until and not self._is_free():
            time.sleep(POLL)
        if self._mail.is_read:
            return self._mail.answer() or Answer(accepted=True, message="it heard")
        self._mail.take_back()
        return None

    def _outlast(
        self, joined: JoinedRun, holder: Holder, say: Callable[[str], None], goes_on: Callable[[float], None]
    ) -> bool:
        """Wait for the joined run to end, as it has our deadline; returns whether it did so by itself."""
        told = -math.inf
        while True:
            with contextlib.suppress(RunLocked):
                self.take(holder)
                return True
            joined.heed(self._end_of(joined.holder))
            now = time.monotonic()
            if now >= joined.patience:
                break
            if now >= told + TICK:
                told = now
                goes_on(joined.own_end)
            time.sleep(POLL)
        say(f"kills the run that is not over by its deadline: {joined.holder}")
        signal_holder(joined.holder, signal.SIGKILL)
        self._wait(holder, _answer_time(joined.own_end))
        return False

    def _end_of(self, found: Holder) -> float | None:
        """When a run has to be over, by what it has written down; None where it has not."""
        now = self.holder()
        return now.ends if now and now.process == found.process else None

    def _ended(self, found: Holder, holder: Holder, until: float, say: Callable[[str], None]) -> bool:
        """Tell it to end: a restore starts nobody else, and waits for nobody. Returns whether it ended."""
        for again in (False, True):
            if again or found.kind != RunKind.RESTORE.value:
                signal_holder(found, signal.SIGTERM)
            elif answer := self._ask(found, Request(holder.reason), _answer_time(until) / 2):
                say(f"the run that is under way answers: {answer.message}")
            else:
                continue
            try:
                self._wait(holder, _answer_time(until) / 2)
            except RunLocked:
                continue
            return True
        return False

    def _wait(self, holder: Holder, patience: float) -> None:
        """Take the lock within these seconds; raises what `take` raises."""
        until = time.monotonic() + patience
        # Polled, as flock waits for ever or not at all.
        while True:
            try:
                return self.take(holder)
            except RunLocked:
                if time.monotonic() >= until:
                    raise
                time.sleep(POLL)


def _concerns(request: Request, found: Holder) -> bool:
    """Whether a run has to hear it."""
    sheds = found.reason == Reason.SHED.value
    if found.kind == RunKind.RESTORE.value:
        # Whoever is started on a battery that is low is stopped in a moment; of any other he is meant to run on it.
        return sheds and request.is_about_power and not request.mains
    return found.kind == RunKind.SHUTDOWN.value and (
        found.reason not in _VOLUNTARY or (sheds and request.is_about_power)
    )


def _answer_time(until: float) -> float:
    return _at_most(ANSWER_TIME, until)


def _at_most(seconds: float, until: float) -> float:
    """So many seconds, and no more than a step's share of what is left until then."""
    return min(seconds, STEP.of(max(0.0, until - time.monotonic())))
