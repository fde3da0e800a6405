"""Why the system would not run an executable: to `no such file`, which is all that it says, nobody finds the cause."""

import os
import shlex
from pathlib import Path

from lastcall.hooks.environment import PATH

HEAD = 4096  # bytes that are looked at
_LONGEST = 255  # bytes of a first line that Linux reads
_BOM = b"\xef\xbb\xbf"


def obstacle(path: Path, head: bytes, search: str = PATH) -> tuple[str, str] | None:
    """What keeps a program from running, judged by its first bytes, and what helps; None where nothing is seen.

    `search`: the `PATH` that it is going to have.
    """
    if not head:
        return "is empty", "an executable begins with #!/bin/sh, say"
    if head.startswith(_BOM):
        return "begins with a byte order mark, before its first line", f"sed -i '1s/^\\xef\\xbb\\xbf//' {path}"
    first, end, _ = head.partition(b"\n")
    if not first.startswith(b"#!"):
        # Whatever is no text may be a program of some other kind, of which the kernel knows.
        text = not any(byte < 9 or byte == 127 for byte in head)
        remedy = "its first line says what runs it, such as #!/bin/sh"
        return ("has no #! line and is no program", remedy) if text else None
    if first.endswith(b"\r"):
        return (
            "has line ends of Windows (CR LF), with which no interpreter is found",
            f"sed -i 's/\\r$//' {path}",
        )
    if not end and len(first) > _LONGEST:
        return f"has a first line of more than {_LONGEST} bytes", "a shorter path to its interpreter"
    return _missing(first[2:].decode("utf-8", "surrogateescape").strip(), search)


def _missing(line: str, search: str) -> tuple[str, str] | None:
    interpreter, _, rest = line.partition(" ")
    if not interpreter:
        return "names no interpreter behind #!", "such as #!/bin/sh"
    if not interpreter.startswith("/"):
        return f"its interpreter {interpreter!r} is no absolute path", f"#!/usr/bin/env {interpreter}"
    if not os.access(interpreter, os.X_OK) or Path(interpreter).is_dir():
        return f"its interpreter {interpreter} is not there", "install it, or mend the first line"
    if Path(interpreter).name != "env":
        return None
    import shutil  # here: it brings compressors along, and hardly any executable is looked for

    name = _named(rest)
    if name and shutil.which(name, path=search) is None:
        return f"its interpreter {name} is not in {search}", "install it, or name its whole path in the first line"
    return None


def _named(rest: str) -> str:
    """The program that `env` is to find; "" where it has options or variables that nobody here understands."""
    try:
        words = shlex.split(rest.strip().removeprefix("-S"))
    except ValueError:
        return ""
    words = [word for word in words if "=" not in word]
    return "" if not words or words[0].startswith("-") else words[0]
