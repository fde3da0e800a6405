"""The lock of this host: asked for at its server, and remembered before that, so that it is given back in any case."""

import contextlib
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

from lastcall.config.sections.fleet_lock import FleetLockSettings
from lastcall.config.settings import Settings
from lastcall.errors import LastcallError, UsageError
from lastcall.persistence.fleet.held_lock import HeldLock, HeldLockFile
from lastcall.persistence.refusals import refusals_told
from lastcall.runs.fleet.host_id import host_id
from lastcall.runs.fleet.lock_server import LockRefused, LockServer, LockUnanswered


class HostLock:
    """Takes it and gives it back. Everything blocks, for the server's timeout at most, and raises LastcallError."""

    def __init__(self, settings: FleetLockSettings, folder: Path, name: Callable[[], str] = host_id) -> None:
        self._settings = settings
        self.url, self.group = settings.url, settings.group
        self._file = HeldLockFile(folder)
        self._name = name

    @classmethod
    def of(cls, settings: Settings) -> "HostLock":
        """The one that is configured; raises UsageError where none is."""
        if settings.fleet_lock is None:
            remedy = "set it to the URL of a server of the FleetLock protocol"
            raise UsageError("no lock server is configured: fleet_lock.url is missing", remedy)
        return cls(settings.fleet_lock, settings.paths.state)

    @property
    def name(self) -> str:
        """What this host is called at the server."""
        return self._settings.id or self._name()

    @property
    def held(self) -> HeldLock | None:
        """The lock, as far as is remembered."""
        return self._file.read()

    def take(self) -> HeldLock:
        """Take it; raises LockRefused where others have it, and LockUnanswered."""
        before, asked = self._file.read(), HeldLock.asked_for(self.url, self.group, self.name)
        if before and _place(before) != _place(asked):
            remedy = "`lastcall lock release` gives that one back"
            raise LastcallError(f"this host holds the lock {before.group} of {before.url} as {before.id}", remedy)
        with self._kept():
            # First: a host that loses its power as the answer comes would hold a lock of which it knows nothing.
            self._file.write(before or asked)
        try:
            self._server(asked).take(asked.id)
        except LockRefused:
            with self._kept():
                self._file.remove()
            raise
        except LockUnanswered as error:
            if before is None:
                self._give_back_what_may_be(asked, error)
            raise
        held = replace(asked, sure=True)
        with self._kept():
            self._file.write(held)
        return held

    def give_back(self) -> HeldLock:
        """Give back what is held, or may be; raises LockRefused, LockUnanswered."""
        try:
            held = self._file.read()
        except LastcallError:  # to give back what is not held does no harm
            held = None
        held = held or HeldLock.asked_for(self.url, self.group, self.name)
        self._server(held).give_back(held.id)
        with self._kept():
            self._file.remove()
        return held

    def give_back_for(self, name: str) -> HeldLock:
        """Give back what another host holds, which cannot do it; raises as above."""
        asked = HeldLock.asked_for(self.url, self.group, name)
        self._server(asked).give_back(asked.id)
        return asked

    def _give_back_what_may_be(self, asked: HeldLock, why: LockUnanswered) -> None:
        """Nobody may take what a slow server has given us after all for a host that is about to reboot."""
        with contextlib.suppress(LastcallError), self._kept():
            if why.asked:
                self._server(asked).give_back(asked.id)
            self._file.remove()

    def _server(self, of: HeldLock) -> LockServer:
        # Where it was taken, whatever the configuration says by now.
        return LockServer(url=of.url, group=of.group, timeout=self._settings.timeout, ca=self._settings.ca)

    @contextlib.contextmanager
    def _kept(self) -> Generator[None]:
        with refusals_told(self._file.path):
            yield


def _place(lock: HeldLock) -> tuple[str, str, str]:
    return lock.url, lock.group, lock.id
