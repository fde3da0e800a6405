"""The door for daemons without rights: answers one line on the socket that systemd hands over as standard input."""

import contextlib
import json
import os
import socket
import stat
import time

from lastcall.cli.invocation import Invocation
from lastcall.cli.outlet import say
from lastcall.cli.power.line import LONGEST, SpokenWord, spoken_word
from lastcall.cli.power.peer import Peer
from lastcall.errors import ExitCode, LastcallError, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.secret_text import masked

PATIENCE = 2.0  # seconds for the line
_READING = 5.0  # seconds for the peer to take the answer
_LEFT = 1 << 16  # bytes


def answer_peer(invocation: Invocation, descriptor: int = 0) -> int:
    """Do what the peer says, if it may, and tell it what came of it, as one line of JSON. Raises UsageError where there
    is no peer.
    """
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        raise UsageError("standard input is no socket", "systemd runs this; say `lastcall power battery` and its like")
    with socket.socket(fileno=descriptor) as connection:
        peer = "somebody"
        try:
            found = Peer.of(connection)
            peer = str(found)
            spoken = _spoken(connection, found)
        except (OSError, ValueError) as error:
            why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            say(f"refused, from {peer}: {why}")
            _reply(connection, json.dumps({"refused": why}))
            return ExitCode.OK  # what others send must not make units fail
        say(f"{spoken}, from {peer}")
        return _heed(connection, invocation, spoken)


def _spoken(connection: socket.socket, peer: Peer) -> SpokenWord:
    """What it says; raises OSError and ValueError for what is refused."""
    if not peer.may_speak(connection):
        raise ValueError("this user may not speak of the power")
    return spoken_word(_line(connection))


def _heed(connection: socket.socket, invocation: Invocation, spoken: SpokenWord) -> int:
    from lastcall.cli.power.noting import note_word  # here: who is refused costs no more than that

    try:
        found = note_word(invocation, spoken)
    except LastcallError as error:
        _reply(connection, json.dumps({"refused": masked(str(error))}))
        raise
    _reply(connection, to_json(found))
    return ExitCode.NOT_AS_PLANNED if found.problems else ExitCode.OK


def _line(connection: socket.socket) -> bytes:
    """What comes up to the end of the first line, and whatever has come with it. Raises OSError, ValueError."""
    data, until = b"", time.monotonic() + PATIENCE
    while b"\n" not in data and len(data) <= LONGEST:
        # Of all of the line: who sends a byte now and then would else be waited for without end.
        connection.settimeout(max(0.001, until - time.monotonic()))
        try:
            part = connection.recv(LONGEST + 1 - len(data))
        except TimeoutError:
            raise ValueError(f"no line within {PATIENCE:.0f} s") from None
        if not part:
            break
        data += part
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):  # a second line that has come along
        data += connection.recv(LONGEST)
    return data


def _reply(connection: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):  # who does not wait for it was understood all the same
        connection.settimeout(_READING)
        connection.sendall(f"{text}\n".encode())
        # To close it with something unread would tell the peer of an error, and not what is answered.
        connection.setblocking(False)
        connection.recv(_LEFT)
