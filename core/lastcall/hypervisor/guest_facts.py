"""What planning has to know of a guest beyond its state; read from libvirt at no cost to the guest."""

from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from lastcall.formats.values import value


class Condition(Enum):
    """Whether a guest can be asked to stop, and what stands in the way."""

    FREE = "free"
    HELD = "paused by a user, a watchdog or a snapshot"
    IO_ERROR = "paused by an I/O error"
    ARRIVING = "it is migrating here"


class OtherJob(Enum):
    """What somebody else has begun to do with a guest, and what keeps it from being stopped while it lasts."""

    MIGRATION = "a migration"
    SAVE = "a save"
    START = "its start"
    SNAPSHOT = "a snapshot"
    DUMP = "a dump"
    BACKUP = "a backup"


@value(kw_only=True)
class GuestFacts:
    """What libvirt tells without asking the guest.

    `metadata`: our keys and their texts. `job`: what somebody else does with it. `unsaveable`: why it cannot be saved.
    `restarts`: on_poweroff=restart. `memory` in bytes.
    """

    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    condition: Condition = Condition.FREE
    job: OtherJob | None = None
    unsaveable: str = ""
    restarts: bool = False
    memory: int = 0
    autostart: bool = False


PLAIN = GuestFacts()
"""What a guest is taken for of which nothing more is known."""
