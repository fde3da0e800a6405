"""One guest's migration to another host: libvirt's native one, over a connection to that host which is ours."""

import math
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, cast
from xml.etree import ElementTree as ET

import libvirt

from lastcall.api.guests import Guest, host_of
from lastcall.api.run import Convergence, DiskMove
from lastcall.errors import ConnectionLost, DomainBusy, HypervisorError
from lastcall.formats.values import value
from lastcall.hypervisor.call_limits.open_call import Need
from lastcall.hypervisor.connection import Connection
from lastcall.hypervisor.libvirt_errors import translated
from lastcall.hypervisor.moving.far_host import FarHost, named, reach
from lastcall.hypervisor.moving.immovable import immovable, own_mounts
from lastcall.hypervisor.moving.moves import Moves
from lastcall.hypervisor.ports import Call
from lastcall.hypervisor.starting.needs import is_here
from lastcall.threads.answers import Raised, Returned, outcome_of, unwrap

REACHING, REACHING_PART = 10.0, 0.25  # seconds, and the part of its time, in which a host has to answer
STEP = 1.0  # seconds between two looks at the time: what was given up must not begin post-copy
POSTCOPY_PART = 0.5  # of its time, after which the memory that is not yet there follows its guest
# From then on the guest runs there and its memory is here: it cannot be ended, and has to be over before plugs are
# pulled.
POSTCOPY_ROOM = 30.0  # seconds before the last resort
_UNSAFE = 81


@value(kw_only=True)
class MoveWish:
    """How a guest is to be moved. `bandwidth`: MiB/s, 0 = no limit; `timeout`: seconds that it is meant to take."""

    bandwidth: int = 0
    disks: DiskMove = "shared"
    converge: Convergence = "none"
    timeout: float = math.inf

    @property
    def flags(self) -> int:
        """libvirt's flags for it."""
        # Never peer-to-peer: with a libvirtd that froze over there it held the guest's job, to abort it had no effect,
        # and the guest could not be asked any more.
        flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_CHANGE_PROTECTION | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
        flags |= {"copy": libvirt.VIR_MIGRATE_NON_SHARED_DISK, "unsafe": libvirt.VIR_MIGRATE_UNSAFE}.get(self.disks, 0)
        ways = {"throttle": libvirt.VIR_MIGRATE_AUTO_CONVERGE, "postcopy": libvirt.VIR_MIGRATE_POSTCOPY}
        return flags | ways.get(self.converge, 0)

    @property
    def parameters(self) -> dict[str, int]:
        """libvirt's parameters for it."""
        return {libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: self.bandwidth} if self.bandwidth else {}


class GuestMove:
    """Moves one guest. Everything here may block, as long as its call lasts; `sent` is called as it sets out."""

    def __init__(
        self, connection: Connection, guest: Guest, call: Call, moves: Moves, sent: Callable[[], None] | None
    ) -> None:
        self._connection, self._guest, self._call, self._moves = connection, guest, call, moves
        self._sent = sent
        self._set_out_at = math.inf  # monotonic clock; a worker of its own sets it

    def immovable(self, disks: DiskMove) -> str:
        """Say why it cannot be moved, or nothing; no host is asked for that."""
        with self._domain("quick") as (domain, _):
            tree = ET.fromstring(domain.XMLDesc(0))  # noqa: S314  written by libvirt
            snapshots = domain.snapshotNum()
        if snapshots:
            return f"it has {snapshots} snapshots, with which libvirt moves nobody"
        return immovable(tree, disks, own_mounts() if is_here(self._guest.uri) else None)

    def move(self, to: Sequence[str], wish: MoveWish) -> str:
        """Move it to the first of these hosts that answers and has the memory; returns its URI, once it runs there.

        Raises HypervisorError, or CallExpired when its time is over: then it may still be under way.
        """
        with self._domain("quick") as (domain, _):
            memory, refused = int(domain.info()[1]) << 10, list[HypervisorError]()
        for uri in to:
            self._moves.take(uri, self._guest.key, memory, self._call.remaining)
            try:
                far = self._reach(uri, memory, wish)
            except HypervisorError as error:
                self._moves.give_back(uri, self._guest.key)
                refused.append(error)
                continue
            except BaseException:
                self._moves.give_back(uri, self._guest.key)
                raise
            self._go(far, wish)
            return uri
        if len(refused) == 1:
            raise refused[0]
        raise HypervisorError("; ".join(map(str, refused)) or "no host is named that it could be moved to")

    @contextmanager
    def _domain(self, need: Need) -> Generator[tuple[libvirt.virDomain, libvirt.virConnect]]:
        """The domain, on a lane of this host. Raises HypervisorError for libvirt's errors inside."""
        with self._connection.lanes.borrow(need, self._guest.uuid, timeout=self._call.remaining()) as lane:
            self._call.remaining()  # what was given up meanwhile must not set out after all
            with translated(lane.connection):
                yield lane.connection.lookupByUUIDString(self._guest.uuid), lane.connection

    def _reach(self, uri: str, memory: int, wish: MoveWish) -> FarHost:
        """Raises HypervisorError where that host does not answer, or is none for this guest."""
        silence = self._moves.silence(uri)
        if silence:
            raise silence
        try:
            far = reach(uri, within=min(REACHING, REACHING_PART * min(self._call.remaining(), wish.timeout)))
        except HypervisorError as error:
            self._moves.note_silence(uri, error)
            raise
        why = self._why_not(far, memory)
        if why:
            far.close()
            raise HypervisorError(why)
        return far

    def _why_not(self, far: FarHost, memory: int) -> str:
        if far.name == self._connection.host:
            return f"{host_of(far.uri)} is this host, by the name that both have ({far.name})"
        room = far.free - self._moves.promised(far.uri, self._guest.key)
        if room < memory:
            return f"{host_of(far.uri)} has {room >> 20} MiB of memory left, and it needs {memory >> 20} MiB"
        return ""

    def _go(self, far: FarHost, wish: MoveWish) -> None:
        """Have a thread of its own move it; what begins post-copy, or is given up, must not wait for that."""
        answers: SimpleQueue[Returned[None] | Raised] = SimpleQueue()

        def travel() -> None:
            try:
                answers.put(outcome_of(lambda: self._migrate(far, wish)))
            finally:
                self._moves.give_back(far.uri, self._guest.key)
                far.close()

        threading.Thread(target=travel, name="lastcall-move", daemon=True).start()
        wants_postcopy = wish.converge == "postcopy"
        while True:
            try:
                answer = answers.get(timeout=min(STEP, self._call.remaining()))
            except Empty:
                self._call.remaining()  # it was given up: nobody begins post-copy of what is being aborted
            else:
                return unwrap(answer)
            if wants_postcopy and time.monotonic() >= self._set_out_at + wish.timeout * POSTCOPY_PART:
                wants_postcopy = self._call.to_last_resort() >= POSTCOPY_ROOM and not self._begin_postcopy()

    def _migrate(self, far: FarHost, wish: MoveWish) -> None:
        key = self._guest.key
        with self._domain("blocking") as (domain, here):
            flags = wish.flags
            if domain.isPersistent():
                # Defined in one place only, an autostart of either host can never run it twice.
                flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
            self._call.remaining()
            self._moves.begin(key, far.uri)
            self._set_out_at = time.monotonic()
            if self._sent:
                self._sent()
            try:
                with translated(here):
                    cast("Any", domain).migrate3(far.connection, wish.parameters, flags)
            except ConnectionLost:
                raise  # nobody knows where it is
            except HypervisorError as error:
                self._moves.fail(key)
                raise _told(far.uri, error) from None

    def _begin_postcopy(self) -> bool:
        """Returns whether it has begun; before the first of its memory is there libvirt refuses."""
        try:
            with self._domain("quick") as (domain, _):
                domain.migrateStartPostCopy(0)
        except HypervisorError:
            return False
        return True


def _told(uri: str, error: HypervisorError) -> HypervisorError:
    """What a migration has failed with, as the guest's refusal: which of the two hosts it came from is not known, and
    that it does not know the guest, say, means nothing here."""
    if isinstance(error, DomainBusy):
        return named(uri, error)
    remedy = "`storage: unsafe` where both hosts have its disks at the same path, or `storage: copy`"
    return HypervisorError(f"{host_of(uri)}: {error}", remedy if error.code == _UNSAFE else error.remedy, error.code)
