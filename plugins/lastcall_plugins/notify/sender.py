"""The process that sends. Each address has a thread, so that one that hangs or fails costs the others nothing.

It leaves by `os._exit` when its time is over, whatever a thread waits for: `getaddrinfo` cannot be interrupted.
"""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lastcall import LastcallError, SecretText, masked, visible
from lastcall.options import Secret
from lastcall_plugins.notify.addresses import addresses_of
from lastcall_plugins.notify.apprise_door import INSTALL, UNKNOWN, deliver, is_installed, is_understood
from lastcall_plugins.notify.messages import Message, Unsent, Waiting
from lastcall_plugins.notify.mqtt import publish_state

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds between two attempts, doubled each time


def main(job: Mapping[str, Any]) -> NoReturn:
    """Do one job, as `sending.start` writes it."""
    with contextlib.suppress(OSError):
        os.nice(10)  # guests are about to stop
    # The last thing that runs, whatever becomes of the rest.
    timer = threading.Timer(job["limit"], os._exit, [1])
    timer.daemon = True
    timer.start()
    try:
        Sender(job).work()
    except Exception as error:  # noqa: BLE001  a process without anybody who would see a traceback
        say("the sender", f"{type(error).__name__}: {error}")
    os._exit(0)


def say(place: str, why: str) -> None:
    """Tell what came of one: nothing in `why` is that it was taken."""
    line = json.dumps({"place": place, "why": masked(visible(why))[:300]})
    with contextlib.suppress(OSError):  # who has started us may have gone
        os.write(1, f"{line}\n".encode())


class Sender:
    """One job: who is to be told, and what waits."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._ends = time.monotonic() + job["limit"]
        self._again: bool = job["again"]
        self._look: bool = job["look"]
        self._folder = Path(job["folder"])
        self._unsent = Unsent(self._folder, job["keep"])
        self._once = Message(**job["once"]) if job["once"] else None
        self._mqtt: Mapping[str, Any] | None = job["mqtt"]
        self._references: Sequence[str] = job["urls"]

    def work(self) -> None:
        """Tell everybody; returns when all are told, or nothing more is tried."""
        threads: list[threading.Thread] = []
        addresses, failed = addresses_of(map(Secret, self._references))
        for one in addresses:
            one.hide()
        for error in failed if not self._look else ():
            say("plugins.notify.urls", str(error))
        if addresses and not (self._once or self._look):
            with self._alone("all"):
                self._unsent.share_out(one.known_as for one in addresses)
        if addresses and not is_installed():
            say("plugins.notify.urls", f"apprise is not installed: {INSTALL}")
            self._keep_why([one.known_as for one in addresses], f"apprise is not installed: {INSTALL}")
            addresses = []
        if self._mqtt is not None and not self._look:
            threads.append(self._thread(self._tell_broker, self._mqtt))
        threads += [self._thread(self._tell, one.known_as, one.place, one.url) for one in addresses]
        for thread in threads:
            thread.join()

    def _thread(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread

    def _tell(self, known_as: str, place: str, url: SecretText) -> None:
        if self._look:
            say(place, "" if is_understood(url) else UNKNOWN)
            return
        if self._once:
            say(place, deliver(url, self._once))
            return
        # Another sender may be at it, of an earlier hook of this run: what it has sent is not sent again.
        with self._alone(known_as):
            self._until_done(lambda: self._round(known_as, place, url))

    def _round(self, known_as: str, place: str, url: SecretText) -> bool:
        """Try each once; whether all are gone. One that is refused does not keep those behind it."""
        done = True
        for one in self._unsent.of(known_as):
            why = masked(visible(deliver(url, one.message.late())))
            say(place, why)
            self._note(one, why)
            done = done and not why
        return done

    def _note(self, one: Waiting, why: str) -> None:
        with contextlib.suppress(LastcallError):
            if why:
                self._unsent.failed(one, why)
            else:
                one.file.remove()

    def _keep_why(self, targets: Sequence[str], why: str) -> None:
        for target in targets:
            for one in self._unsent.of(target):
                self._note(one, why)

    def _tell_broker(self, settings: Mapping[str, Any]) -> None:
        place = f"mqtt {settings['host']}"

        def attempt() -> bool:
            why = publish_state(settings, self._folder, self._left(), forced=self._once is not None)
            if why is not None:
                say(place, why)
            return not why

        with self._alone("mqtt"):
            self._until_done(attempt)

    def _until_done(self, attempt: Callable[[], bool]) -> None:
        pause = _FIRST_PAUSE
        while not attempt() and self._again and self._left() > pause:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _left(self) -> float:
        return max(0.1, self._ends - time.monotonic())

    @contextlib.contextmanager
    def _alone(self, what: str):
        """Only one process at a time; the lock goes with it."""
        descriptor = os.open(
            self._folder / f".lock-{what}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
