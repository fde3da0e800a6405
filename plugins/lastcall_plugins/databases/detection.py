"""What databases run in a guest: by the names of its processes, and the sockets and ports that they listen on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lastcall import Shell

_LOOK = r"""
for folder in /proc/[0-9]*; do
    read -r name < "$folder/comm" || continue
    case $name in postgres|mariadbd|mysqld|redis-server|valkey-server)
        printf 'process=%s %s\n' "$name" "$(tr '\0' ' ' < "$folder/cmdline")" ;;
    esac
done 2> /dev/null
sed -n 's/.* \(\/.*\/\.s\.PGSQL\.[0-9]*\)$/socket=\1/p' /proc/net/unix
"""
_KINDS = {
    "mariadbd": "mariadb",
    "mysqld": "mysql",
    "redis-server": "redis",
    "valkey-server": "valkey",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A database that runs: its kind, and what tells it from others of its kind."""

    kind: str
    options: dict[str, Any]


def detect(shell: Shell) -> list[Found]:
    """The databases that run in the guest; several of a kind where they can be told apart. Raises ShellError."""
    text = shell.run(("/bin/sh", "-c", _LOOK), env={"LC_ALL": "C"}).stdout
    found: list[Found] = []
    for one in _found(text):
        if one not in found:
            found.append(one)
    return found


def _found(text: str) -> Iterator[Found]:
    lines = [line.partition("=") for line in text.splitlines()]
    processes = [value.split() for key, _, value in lines if key == "process"]
    if any(words[0] == "postgres" for words in processes):
        for socket in sorted(value for key, _, value in lines if key == "socket"):
            folder, _, port = socket.rpartition("/.s.PGSQL.")
            yield Found("postgresql", {"socket": folder, "port": int(port)})
    for words in processes:
        kind = _KINDS.get(words[0])
        if kind in {"redis", "valkey"}:  # it writes its address where its arguments were
            port = next((match[1] for word in words if (match := re.search(r":(\d+)$", word))), None)
            yield Found(kind, {"port": int(port)} if port and port != "0" else {})
        elif kind:
            given = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
            yield Found(kind, {"socket": given["socket"]} if "socket" in given else {})
