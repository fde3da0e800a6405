"""Starts the program that sends (`sender.py`): a process of its own, as a library that asks for a name cannot be ended.

It gets what it has to know on its standard input, reads the addresses by itself, and ends by itself in bounded time. No
run waits for it but in `post_shutdown`, and there for some seconds.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

from lastcall import LastcallError, Run, from_json
from lastcall_plugins.notify.messages import Message
from lastcall_plugins.notify.settings import NotifySettings

# Where our packages lie is known to this process; in a package of a distribution Python does not find them by itself.
_PROGRAM = """\
import json, sys
job = json.loads(sys.stdin.readline())
sys.path[:] = job["path"]
from lastcall_plugins.notify.sender import main
main(job)
"""
_LONGEST_ANSWER = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What came of one message for one address, or for the broker."""

    place: str
    why: str = ""


def start(
    run: Run,
    settings: NotifySettings,
    *,
    limit: float,
    once: Message | None = None,
    look: bool = False,
    again: bool = False,
    heard: bool = True,
) -> "subprocess.Popen[bytes]":
    """Start it. `once`: that message alone, to everybody. `look`: nothing is sent, the addresses are read.

    `again`: try on what fails, until `limit` seconds are over. `heard`: somebody asks for its `outcomes`. Raises
    LastcallError where the system has no room for a process.
    """
    mqtt = settings.mqtt
    job = {
        "path": [one for one in sys.path if one.startswith("/")], "folder": str(run.folder), "limit": limit,
        "again": again, "look": look, "keep": settings.keep, "urls": [one.reference for one in settings.urls],
        "once": asdict(once) if once else None, "mqtt": mqtt and mqtt.model_dump(mode="json"),
    }  # fmt: skip
    environment = run.environment()
    if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
        environment["CREDENTIALS_DIRECTORY"] = credentials
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if heard else subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment, cwd="/", start_new_session=True, umask=0o077,
        )  # fmt: skip
        with cast("IO[bytes]", process.stdin) as job_file, contextlib.suppress(BrokenPipeError):
            job_file.write(json.dumps(job).encode() + b"\n")
    except OSError as error:
        raise LastcallError(f"nothing can be sent now: {(error.strerror or str(error)).lower()}") from None
    if not heard:
        # Nobody waits for it, and yet somebody has to take note of its end.
        threading.Thread(target=process.wait, name="lastcall-notify", daemon=True).start()
    return process


def outcomes(process: "subprocess.Popen[bytes]", seconds: float) -> list[Sent]:
    """What it has sent, and what not, within these seconds; it is not ended where they are too few."""
    reaper = threading.Thread(target=process.wait, name="lastcall-notify", daemon=True)
    reaper.start()
    reaper.join(max(0.0, seconds))
    with cast("IO[bytes]", process.stdout) as answers:  # few lines, which a pipe has room for
        os.set_blocking(answers.fileno(), False)
        return list(_told(answers.read(_LONGEST_ANSWER) or b""))


def _told(said: bytes) -> Iterator[Sent]:
    for line in said.decode("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError, LookupError, TypeError):
            told = from_json(line)
            yield Sent(place=str(told["place"]), why=str(told["why"]))


def send_later(run: Run, settings: NotifySettings) -> bool:
    """Have systemd go on with it, beside the unit that restores, with whose end our processes end; whether it does."""
    if "INVOCATION_ID" not in os.environ:
        return False
    program = Path(sys.argv[0]).absolute()
    most = f"{settings.retry + 60:.0f}"
    words = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit=lastcall-notify-{run.id}",
        f"--property=RuntimeMaxSec={most}",
    ]
    words += ["--property=Type=exec", "--property=TimeoutStopSec=2s"]
    words += [f"--setenv=LASTCALL_CONFIG={named}" for named in [os.environ.get("LASTCALL_CONFIG")] if named]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = [*words, str(program), "notify", "flush", "--within", f"{settings.retry:.0f}s"]
        limit, began = min(5.0, run.remaining() / 2), time.monotonic()
        done = subprocess.run(
            command, check=False, capture_output=True, timeout=limit, stdin=subprocess.DEVNULL, env=run.environment()
        )  # fmt: skip
        run.log(f"asked systemd to send what waits, in {time.monotonic() - began:.1f} s" if not done.returncode else
                f"systemd does not send: {done.stderr.decode(errors='replace').strip()}")  # fmt: skip
        return done.returncode == 0
    return False
