"""A guest and the words for what it is doing and what became of it."""

from dataclasses import field
from enum import StrEnum
from typing import TypeAlias

from lastcall.formats.values import value

Key: TypeAlias = tuple[str, str]
"""What identifies a guest: (URI, UUID)."""


class RunKind(StrEnum):
    """Which of the two runs this is."""

    SHUTDOWN = "shutdown"
    RESTORE = "restore"


class Reason(StrEnum):
    """Why a run takes place. All but `MANUAL`, `BOOT`, `DRILL`, `SHED` and `SLEEP` are host stops, which always go
    through. `SLEEP`: the host sleeps, or has woken.
    """

    MANUAL = "manual"
    BOOT = "boot"
    DRILL = "drill"
    SHED = "shed"
    SLEEP = "sleep"
    POWEROFF = "poweroff"
    REBOOT = "reboot"
    HALT = "halt"
    KEXEC = "kexec"
    SOFT_REBOOT = "soft-reboot"
    POWER = "power"
    OTHER = "other"

    @property
    def voluntary(self) -> bool:
        """True where nothing forces the run: it may be refused, aborted, and forces no guest by itself."""
        return self in {Reason.MANUAL, Reason.BOOT, Reason.DRILL, Reason.SHED, Reason.SLEEP}


class GuestState(StrEnum):
    """The state of a guest in libvirt's view; `UNKNOWN` where libvirt could not be asked."""

    RUNNING = "running"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    CRASHED = "crashed"
    OFF = "off"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """What became of a guest. The first four end a shutdown, the next four a restore, the last four either.

    `PAUSED`: for as long as the host sleeps. `MOVED`: to another host, or back from there.
    """

    STOPPED = "stopped"
    SAVED = "saved"
    FORCED = "forced"
    LEFT = "left"
    STARTED = "started"
    RESUMED = "resumed"
    PRESENT = "present"
    UNREADY = "unready"
    PAUSED = "paused"
    MOVED = "moved"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Ended(StrEnum):
    """How libvirt says that a guest ended (the detail of its lifecycle event or of its state)."""

    SHUTDOWN = "shutdown"
    DESTROYED = "destroyed"
    CRASHED = "crashed"
    MIGRATED = "migrated"
    SAVED = "saved"
    FAILED = "failed"
    VANISHED = "vanished"


def host_of(uri: str) -> str:
    """The host that a connection leads to, by its URI; the URI itself, where that names none."""
    place = uri.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]
    name = place.partition("]")[0].removeprefix("[") if place.startswith("[") else place.partition(":")[0]
    return name or uri


class _Keyed:
    """Keeps a guest's key, once made: what a run knows of 5000 guests is found by ten keys of each."""

    __slots__ = ("_key",)
    _key: Key


@value(frozen=True, kw_only=True)
class Guest(_Keyed):
    """One libvirt domain on one connection; two are equal when URI and UUID are. `state` is that at planning."""

    uri: str
    uuid: str
    name: str = field(compare=False)
    driver: str = field(compare=False, default="QEMU")
    persistent: bool = field(compare=False, default=True)
    state: GuestState = field(compare=False, default=GuestState.RUNNING)

    @property
    def key(self) -> Key:
        """What identifies the guest: (URI, UUID)."""
        try:
            return self._key
        except AttributeError:
            key = (self.uri, self.uuid)
            object.__setattr__(self, "_key", key)
            return key

    @property
    def file_name(self) -> str:
        """What to call a file about this guest: its UUID, and twelve digits that stand for its connection.

        Not its name, which anybody may choose and which may lead elsewhere; nor its UUID alone, which whoever defines
        guests on another daemon may choose.
        """
        import hashlib  # here: hardly any run keeps files about guests

        return f"{self.uuid}-{hashlib.sha256(self.uri.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"
