"""Says something of the power for a user who may not write it down himself: through the socket."""

import contextlib
import socket
import time
from pathlib import Path
from typing import Any, cast

from lastcall.cli.documents.state import PowerDocument
from lastcall.cli.power.line import SpokenWord
from lastcall.errors import LastcallError, NoPermission
from lastcall.formats.decoding import decoded, from_json
from lastcall.systemd.units import SOCKET_NAME

_INSTALL = "as root: `lastcall install --power-group GROUP`, with a group that the user is in"
_LOOK = "`journalctl -t lastcall-power` and `systemctl status lastcall-power.socket` tell why"
_PATIENCE = 20.0  # seconds for the answer: UPSes and a run under way have 5 s each
_AGAIN = 15.0  # seconds in which it is tried again: systemd closes a socket that is flooded for some seconds
# Seconds in which systemd makes a socket anew: until it is the group's, nobody of that may use it. Whoever found it
# closed before knows that this goes on: the word of a UPS was lost that came back to the door in that moment.
_RENEWED = 3.0
_PAUSE = 0.5
_LONGEST = 1 << 20  # bytes of an answer


def speak(folder: Path, spoken: SpokenWord) -> PowerDocument:
    """Say it, and return what came of it. Raises NoPermission where there is no socket for this user, LastcallError
    where nobody answers, or refuses.
    """
    path, began, renewed = folder / SOCKET_NAME, time.monotonic(), _RENEWED
    while True:
        try:
            told = _asked(path, spoken)
        except NoPermission:
            if time.monotonic() >= began + renewed:
                raise
        else:
            if told or time.monotonic() >= began + _AGAIN:
                return _understood(path, told)
            renewed = _AGAIN
        time.sleep(_PAUSE)


def _asked(path: Path, spoken: SpokenWord) -> bytes:
    """What is answered; nothing where it is worth to be tried again."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(str(path))
            connection.sendall(spoken.line())
            return _answer(connection)
        except (FileNotFoundError, NotADirectoryError):
            raise NoPermission(f"only root may write to {path.parent}, and there is no {path}", _INSTALL) from None
        except PermissionError:
            raise NoPermission(f"{path} is not for this user", _INSTALL) from None
        except (ConnectionError, BlockingIOError):
            return b""  # nobody listens just now, or too many speak
        except TimeoutError:
            raise LastcallError(f"no answer from {path} within {_PATIENCE:.0f} s", _LOOK) from None
        except OSError as error:
            raise LastcallError(f"{path}: {(error.strerror or str(error)).lower()}", _INSTALL) from None


def _answer(connection: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError):  # who is refused may be told so before he was listened to
        while len(data) < _LONGEST and (part := connection.recv(_LONGEST)):
            data += part
    return data


def _understood(path: Path, told: bytes) -> PowerDocument:
    try:
        found: Any = from_json(told.decode())
        refused = cast("dict[str, Any]", found).get("refused") if isinstance(found, dict) else None
        if refused is None:
            return decoded(PowerDocument, found)
    except ValueError:
        raise LastcallError(f"nobody answers on {path}", _LOOK) from None
    raise LastcallError(f"{path} refuses it: {refused}", _LOOK)
