"""Readers of what concerns this host among others: the lock that it holds, maintenance, and a lock server's errors."""

from fuzz.kept_files import kept
from lastcall.persistence.fleet.held_lock import HeldLock, HeldLockFile, lock_words
from lastcall.persistence.fleet.maintenance import Maintenance, MaintenanceFile
from lastcall.runs.fleet.lock_server import error_of


def read_held_lock(data: bytes) -> HeldLock | None:
    return HeldLockFile(kept("fleet-lock.json", data)).read()


def is_a_lock_or_none(found: HeldLock | None) -> None:
    if found is not None:
        assert found.is_of_this_boot in {True, False}
        assert found.url in lock_words(found)


def read_maintenance(data: bytes) -> Maintenance | None:
    return MaintenanceFile(kept("maintenance.json", data)).read()


def is_maintenance(found: Maintenance | None) -> None:
    """Whatever stands there, it lasts."""
    assert found is not None
    assert "in maintenance since" in found.words


def read_server_error(data: bytes) -> str:
    return error_of(data)


def is_short(found: str) -> None:
    assert len(found) < 1000
