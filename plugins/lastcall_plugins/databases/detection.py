"""What databases run in a guest: by the names of its processes, and the sockets and ports that they listen on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lastcall import HookFailed, Shell

# Who listens is not who he says: anybody may call his program mysqld, and bind a socket of that name. Only what
# belongs to the usual users is taken for a server's; others are named in the configuration, with their `owner`.
_LOOK = r"""
for user in postgres mysql redis valkey; do
    id=$(id -u "$user" 2> /dev/null) && echo "user=$user $id"
done
for folder in /proc/[0-9]*; do
    read -r name < "$folder/comm" || continue
    case $name in postgres|mariadbd|mysqld|redis-server|valkey-server)
        printf 'process=%s %s %s\n' "$(stat -c %u "$folder")" "$name" "$(tr '\0\n\r' '   ' < "$folder/cmdline")" ;;
    esac
done 2> /dev/null
sed -n 's/.* \(\/.*\/\.s\.PGSQL\.[0-9]*\)$/\1/p' /proc/net/unix | while IFS= read -r path; do
    printf 'socket=%s %s\n' "$(stat -c %u "$path" 2> /dev/null)" "$path"
done
"""
MOST_FOUND = 100  # databases of one guest; whoever says that he has more may say anything
_KINDS = {
    "postgres": "postgresql",
    "mariadbd": "mariadb",
    "mysqld": "mysql",
    "redis-server": "redis",
    "valkey-server": "valkey",
}
_USERS = {"postgresql": "postgres", "mariadb": "mysql", "mysql": "mysql", "redis": "redis", "valkey": "valkey"}
_PGSQL = re.compile(r"(/.*)/\.s\.PGSQL\.([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Found:
    """A database that runs: its kind, and what tells it from others of its kind."""

    kind: str
    options: dict[str, Any]


def detect(shell: Shell) -> list[Found]:
    """The databases that run in the guest, apart where they can be told apart. Raises ShellError, HookFailed."""
    text = shell.run(("/bin/sh", "-c", _LOOK), env={"LC_ALL": "C"}).stdout
    # By what tells them apart: a guest may say that it has thousands, and each compared with each would be its minutes.
    found = {(one.kind, *one.options.items()): one for one in _found(text)}
    if len(found) > MOST_FOUND:
        raise HookFailed(f"more than {MOST_FOUND} databases seem to run in it", "name them instead of `auto`")
    return list(found.values())


def _found(text: str) -> Iterator[Found]:
    lines = [(key, value.split(" ", 1)) for key, _, value in (line.partition("=") for line in text.splitlines())]
    told = [(key, words[0], words[1]) for key, words in lines if len(words) == 2]
    users = {name: number for key, name, number in told if key == "user"}
    seen = False
    for key, owner, rest in told:
        name, *words = (rest.split() if key == "process" else []) or [""]
        kind = _KINDS.get(name)
        if kind is None or owner != users.get(_USERS[kind]):
            continue
        if kind == "postgresql":
            seen = True
        elif kind in {"redis", "valkey"}:  # it writes its address where its arguments were
            port = next((match[1] for word in words if (match := re.search(r":([0-9]{1,5})$", word))), "0")
            yield Found(kind, {"port": int(port)} if 0 < int(port) < 65_536 else {})
        else:
            given = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
            yield Found(kind, {"socket": given["socket"]} if "socket" in given else {})
    for path in sorted(
        rest for key, owner, rest in told if key == "socket" and owner == users.get("postgres") and seen
    ):
        match = _PGSQL.fullmatch(path)
        if match and 0 < int(match[2]) < 65_536:
            yield Found("postgresql", {"socket": match[1], "port": int(match[2])})
