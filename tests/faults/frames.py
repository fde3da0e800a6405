"""libvirt's RPC messages as they go over its socket: a length (bytes, with itself), six numbers, the rest in XDR."""

import asyncio
import struct
from dataclasses import dataclass
from enum import Enum, IntEnum

_HEADER = struct.Struct(">IIiiIi")  # program, version, procedure, kind, serial, status
_LENGTH = struct.Struct(">I")
_LONGEST = 33_554_432  # bytes, twice what libvirt allows: anything longer is no message of its
_OUR_DOMAIN, _LEVEL = 7, 2  # VIR_FROM_RPC and VIR_ERR_ERROR
REMOTE = 0x20008086
"""The program that has all of libvirt's API; keepalive messages, for one, have another."""
ERROR = 1
"""The status of a reply that is an error."""


class Way(Enum):
    """Where a message goes."""

    TO_DAEMON = "to_daemon"
    TO_CLIENT = "to_client"


class Kind(IntEnum):
    """What a message is."""

    CALL = 0
    REPLY = 1
    EVENT = 2


class Procedure(IntEnum):
    """Those procedures of the program that tests name."""

    OPEN = 1
    CREATE = 9
    DESTROY = 12
    LOOK_UP = 24
    SHUTDOWN = 33
    MANAGED_SAVE = 182
    CREATE_WITH_FLAGS = 196
    STATE = 212
    DESTROY_FLAGS = 234
    SHUTDOWN_FLAGS = 258
    LIST_ALL_DOMAINS = 273
    LIFECYCLE = 318
    """The event, as it comes to whoever asked for those of all guests."""


ASKS = frozenset({Procedure.SHUTDOWN, Procedure.SHUTDOWN_FLAGS, Procedure.MANAGED_SAVE})
PLUGS = frozenset({Procedure.DESTROY, Procedure.DESTROY_FLAGS})
STARTS = frozenset({Procedure.CREATE, Procedure.CREATE_WITH_FLAGS})
FINDS = frozenset({Procedure.LOOK_UP, Procedure.LIST_ALL_DOMAINS})
_OF_GUESTS = ASKS | PLUGS | STARTS | {Procedure.STATE}


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    program: int
    version: int
    procedure: int
    kind: int
    serial: int
    status: int
    body: bytes

    @property
    def data(self) -> bytes:
        """As it goes over the wire."""
        header = _HEADER.pack(self.program, self.version, self.procedure, self.kind, self.serial, self.status)
        return _LENGTH.pack(_LENGTH.size + len(header) + len(self.body)) + header + self.body

    @property
    def guest(self) -> str:
        """The name of the guest that a call is about; empty where it is about none, or is none of the known ones."""
        if self.kind != Kind.CALL or self.program != REMOTE or self.procedure not in _OF_GUESTS:
            return ""
        (length,) = _LENGTH.unpack_from(self.body)
        return self.body[_LENGTH.size : _LENGTH.size + length].decode(errors="replace")

    def refused(self, code: int, text: str) -> "Frame":
        """The reply that refuses this call with an error of libvirt's; also instead of another reply to it."""
        said = text.encode()
        padding = b"\0" * (-len(said) % _LENGTH.size)
        message = struct.pack(">iiII", code, _OUR_DOMAIN, 1, len(said)) + said + padding
        nothing = struct.pack(">iIIIIiiI", _LEVEL, 0, 0, 0, 0, 0, 0, 0)  # no guest, no texts, no numbers, no network
        return Frame(self.program, self.version, self.procedure, Kind.REPLY, self.serial, ERROR, message + nothing)


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next message; None where the peer has closed. Raises ValueError for what is no message."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if not _LENGTH.size + _HEADER.size <= length <= _LONGEST:
            raise ValueError(f"a message of {length} bytes")
        data = await reader.readexactly(length - _LENGTH.size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    program, version, procedure, kind, serial, status = _HEADER.unpack_from(data)
    return Frame(program, version, procedure, kind, serial, status, data[_HEADER.size :])
