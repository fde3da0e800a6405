"""What `lock` prints."""

from lastcall.formats.values import value
from lastcall.persistence.fleet.held_lock import HeldLock


@value(kw_only=True)
class LockDocument:
    """The lock that this host holds from now on, null = none; and by which name it asks whom.

    The protocol has no question who holds it: this is what is remembered here. `given_back`: what this call has.
    """

    version: int = 1
    url: str
    group: str
    id: str
    held: HeldLock | None
    given_back: HeldLock | None = None
