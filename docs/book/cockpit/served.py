"""A real cockpit-ws with a session of its own, on a free port of the loopback: nobody logs in, and nothing is left."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from book.contents import ROOT

PAGE = ROOT / "contrib/cockpit"
ADDRESS = "/cockpit/@localhost/lastcall/index.html"
_PLACES = ("/usr/lib/cockpit/cockpit-ws", "/usr/libexec/cockpit-ws")  # Debian 12, later ones
_PATIENCE = 30.0  # seconds for its end, which takes no time


@contextmanager
def served(
    folder: Path, *, path: str, user: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Generator[str]:
    """Serve the page as long as it is wanted; the address of the page. `folder` is for what the session keeps.

    `path`: where the session finds programs. `user`: words of a command that runs the rest of it as somebody else.
    """
    page = folder / "share/cockpit/lastcall"
    shutil.copytree(PAGE, page, dirs_exist_ok=True)
    given = {
        "PATH": path,
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "XDG_DATA_HOME": str(folder / "share"),
        "XDG_DATA_DIRS": "/usr/share",
        "XDG_CONFIG_DIRS": str(folder),  # this machine's own cockpit.conf is nobody's business
        "XDG_RUNTIME_DIR": str(folder),
    }
    with socket.create_server(("127.0.0.1", 0)) as door:
        # It is handed its socket as systemd would: a port that was looked for might be somebody else's by then.
        start = 'exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        program = next(one for one in _PLACES if Path(one).exists())
        words = [*user, program, "--local-session=cockpit-bridge", "--no-tls"]
        process = subprocess.Popen(
            ["/bin/sh", "-c", start, "sh", *words],
            env={**given, **(environment or {})},
            stdin=door.fileno(),
            start_new_session=True,
        )
        port = door.getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}{ADDRESS}"
    finally:
        # Its bridge and what that runs are of the same group, also where it has died before.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
