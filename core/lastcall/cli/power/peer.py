"""Who is at the other end of a socket, as the kernel tells."""

import errno
import socket
import struct
from pathlib import Path

from lastcall.formats.values import value

_PEER_GROUPS = getattr(socket, "SO_PEERGROUPS", 59)  # which Python does not name
_CREDENTIALS = struct.Struct("3i")
_GROUP = struct.Struct("I")
_LONGEST = 1024  # bytes that Python takes of the kernel: 256 groups


@value(frozen=True)
class Peer:
    """The process that has connected, with the rights that it had then."""

    process: int
    user: int
    groups: frozenset[int]

    @classmethod
    def of(cls, connection: socket.socket) -> "Peer":
        """Who it is; raises OSError, and ValueError for what is no socket of this host's."""
        if connection.family != socket.AF_UNIX:
            raise ValueError("no socket of this host")
        told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        process, user, group = _CREDENTIALS.unpack(told)
        try:
            more = connection.getsockopt(socket.SOL_SOCKET, _PEER_GROUPS, _LONGEST)
        except OSError as error:
            if error.errno != errno.ERANGE:
                raise
            more = b""  # of somebody with more groups the one counts that files of his get
        return cls(process, user, frozenset({group, *(one for (one,) in _GROUP.iter_unpack(more))}))

    def may_speak(self, connection: socket.socket) -> bool:
        """Whether it is root, or of the group that the socket belongs to. Raises OSError, ValueError.

        The mode of the socket says the same, unless somebody has changed it, or handed an open descriptor on.
        """
        name = connection.getsockname()
        if not isinstance(name, str) or not name:  # as of two that were made as a pair
            raise ValueError("no socket that has a place")
        return self.user == 0 or Path(name).stat().st_gid in self.groups

    def __str__(self) -> str:
        return f"user {self.user}, process {self.process}"
