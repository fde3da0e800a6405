"""One run at a time: who holds the lock, and how a host stop gets past a run that is under way."""

import contextlib
import fcntl
import json
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
from lastcall.formats.values import value
from lastcall.persistence.files import PRIVATE, SMALL, public_folder
from lastcall.persistence.mailbox import Answer, Mailbox, Request
from lastcall.timing.budget import STEP

ANSWER_TIME = 5.0  # seconds for the holder to answer, of long deadlines; one that does not hangs, and is killed
NAMING_TIME = 1.0  # seconds for the holder to write its name
_LARGEST_PROCESS = 1 << 22  # PID_MAX_LIMIT of the kernel
_VOLUNTARY = frozenset(reason.value for reason in Reason if reason.voluntary)
POLL = 0.05  # seconds between two tries to take the lock


@value
class Holder:
    """Who holds the lock. `kind` and `reason` as in the report."""

    kind: str
    reason: str
    process: int

    def __str__(self) -> str:
        return f"{self.kind} ({self.reason}), process {self.process}"


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

    def take_over(self, holder: Holder, *, ends: float, until: float, say: Callable[[str], None]) -> Answer | None:
        """Get the lock in any case: a host stop does not wait for others. Returns what a run answered that became ours,
        and came to its end.

        `ends` is its deadline, `until` the latest moment to have the lock; both on the monotonic clock. A restore is
        ended. A shutdown is joined: it learns that the host stops and when, and this run goes on with what it leaves.
        One that does not answer is killed. Each step takes a share of what is left. Raises what `take` raises when even
        that does not help.
        """
        found = self._known_holder(_at_most(NAMING_TIME, until))
        # Nobody who can be believed: older locks could be held by any user. He is waited for a moment, and then a
        # host stop goes on without the lock.
        if found is None:
            self._wait(holder, _answer_time(until))
            return None
        if found.kind == "shutdown":
            say(f"joins the run that is under way: {found}")
            answer = self._ask(found, Request(holder.reason, ends), _answer_time(until))
            if answer:
                say(f"the run that is under way answers: {answer.message}")
            if answer or self._is_free():
                outlasted = self._outlast(found, holder, ends, until, say)
                return answer if outlasted and answer and answer.accepted else None
        else:
            say(f"ends the run that is under way: {found}")
            if self._ended(found, holder, until):
                return None
        say(f"kills the run that does not answer: {found}")
        _send(found, signal.SIGKILL)
        self._wait(holder, _answer_time(until))
        return None

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
        return found if found and _has_open(found, self.path) else None

    def heed(self, answer: Callable[[Request], Answer | None]) -> None:
        """For the run that holds the lock: answer what another process wants, if one does; None = not yet."""
        found = self._mail.request()
        said = answer(found[0]) if found else None
        if found and said:
            self._mail.reply(found[1], said)

    def become(self, reason: Reason) -> None:
        """For the run that holds the lock: write down that its reason is another one by now, which decides what is told
        to it."""
        before = self.holder()
        if self._descriptor is None or before is None or before.reason == reason.value:
            return
        text = json.dumps(asdict(replace(before, reason=reason.value))).encode()
        with contextlib.suppress(OSError):
            # In one write, and never shorter than it was: whoever reads it meanwhile finds a holder.
            os.pwrite(self._descriptor, text.ljust(os.fstat(self._descriptor).st_size), 0)

    def tell(self, request: Request) -> Answer | None:
        """Tell a host stop that is under way, or of the power a run that sheds guests; None where there is none. Any
        other run is left alone: whoever stops guests by hand, or for a drill, means it whatever the mains do.
        """
        found = None if self._is_free() else self._real_holder()
        if found is None or found.kind != "shutdown" or not _concerns(request, found.reason):
            return None
        answer = self._ask(found, request, ANSWER_TIME)
        return answer or (None if self._is_free() else Answer(accepted=False, message="nothing; it may hang"))

    def call_off(self) -> tuple[Holder, Answer] | None:
        """Tell a run that sheds guests to ask nobody else; who it is, and what it answers. None where there is none."""
        found = None if self._is_free() else self._real_holder()
        if found is None or (found.kind, found.reason) != (RunKind.SHUTDOWN.value, Reason.SHED.value):
            return None
        answer = self._ask(found, Request(Reason.SHED.value, power=True), ANSWER_TIME)
        return found, answer or Answer(accepted=False, message="nothing; it may hang")

    def outlast(self, found: Holder) -> None:
        """Wait until a run is over, or has become another one."""
        # By who has it open, and not by trying the lock: a host stop that wants it just then would not get it.
        while self._real_holder() == found:
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
        try:
            # Shared: two who ask at the same time must not take each other for a run.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _ask(self, found: Holder, request: Request, patience: float) -> Answer | None:
        """Ask a shutdown for something; None where it did not answer in these seconds, or is gone."""
        self._mail.post(request)
        _send(found, signal.SIGUSR1)
        until = time.monotonic() + patience
        while not self._mail.is_read and time.monotonic() < until and not self._is_free():
            time.sleep(POLL)
        if self._mail.is_read:
            return self._mail.answer() or Answer(accepted=True, message="it heard")
        self._mail.take_back()
        return None

    def _outlast(self, found: Holder, holder: Holder, ends: float, until: float, say: Callable[[str], None]) -> bool:
        """Wait for the joined run to end, as it has our deadline; returns whether it did so by itself."""
        try:
            self._wait(holder, until - time.monotonic())
        except RunLocked:
            say(f"kills the run that is not over by its deadline: {found}")
            _send(found, signal.SIGKILL)
            self._wait(holder, _answer_time(ends))
            return False
        return True

    def _ended(self, found: Holder, holder: Holder, until: float) -> bool:
        """Tell a restore to start nobody else, then to stop waiting; returns whether it ended."""
        for _ in range(2):
            _send(found, signal.SIGTERM)
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


def _concerns(request: Request, reason: str) -> bool:
    """Whether a shutdown for this reason has to hear it."""
    return reason not in _VOLUNTARY or (reason == Reason.SHED.value and request.is_about_power)


def _answer_time(until: float) -> float:
    return _at_most(ANSWER_TIME, until)


def _at_most(seconds: float, until: float) -> float:
    """So many seconds, and no more than a step's share of what is left until then."""
    return min(seconds, STEP.of(max(0.0, until - time.monotonic())))


def _has_open(found: Holder, path: Path) -> bool:
    """Whether it has the file open. One that lives and may not be looked into, as from a sandbox, is believed."""
    if not _alive(found):
        return False
    try:
        lock = path.stat()
        return any(_is_same(link, lock) for link in Path(f"/proc/{found.process}/fd").iterdir())
    except OSError:
        return True


def _is_same(link: Path, lock: os.stat_result) -> bool:
    """Raises PermissionError where that may not be known."""
    try:
        return os.path.samestat(link.stat(), lock)
    except FileNotFoundError:
        return False  # closed meanwhile


def _send(found: Holder, number: signal.Signals) -> None:
    try:
        os.kill(found.process, number)
    except (ProcessLookupError, PermissionError):
        return  # it is gone, which is as good, or not ours, and then it does not answer


def _alive(found: Holder) -> bool:
    try:
        os.kill(found.process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _is_zombie(found)


def _is_zombie(found: Holder) -> bool:
    """Whether it has died and its parent has not noticed: it has a number, and nothing else any more."""
    try:
        facts = Path(f"/proc/{found.process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return facts.rpartition(")")[2].split()[:1] in (["Z"], ["X"])
