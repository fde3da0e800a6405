"""The host keys of guests: kept under the domain's UUID and its connection, because names and addresses change hands.

The UUID alone would not do: whoever defines guests on another daemon chooses theirs, and what is enrolled for his would
be taken for this one. A guest that was migrated to another connection is enrolled there again.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lastcall import Guest, LastcallError, Run, ShellRefused, TextFile, visible

_KNOWN_HOSTS = 16 << 20  # bytes; ten thousand hosts have some three


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key: its type and its base64, as they stand in a `.pub` file."""

    kind: str
    base64: str

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def parse(text: str) -> list[HostKey]:
    """The keys in `.pub` files, or in what `dropbearkey -y` prints."""
    found: list[HostKey] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].startswith(("ssh-", "ecdsa-")):
            try:
                base64.b64decode(words[1], validate=True)
            except ValueError:
                continue
            found.append(HostKey(words[0], words[1]))
    return list(dict.fromkeys(found))


def keys_of_host(known_hosts: Path, name: str) -> list[HostKey]:
    """The keys of a host, or of `[host]:port`, in a file of OpenSSH's. Raises ShellRefused where it cannot be read."""
    try:
        text = TextFile(known_hosts, limit=_KNOWN_HOSTS).read() or ""
    except LastcallError as error:
        raise ShellRefused(f"the host key of the jump host {name} is not known: {error}", error.remedy) from None
    # Read here and not by paramiko, which opens whatever it is, and compares each line with each.
    lines = (line.split(None, 1) for line in text.splitlines())
    return [key for words in lines if len(words) == 2 and _means(words[0], name) for key in parse(words[1])]


def _means(hosts: str, name: str) -> bool:
    """Whether the first word of a line names a host, as it is or hashed (`|1|salt|hash`)."""
    if not hosts.startswith("|1|"):
        return name in hosts.split(",")
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hosts[3:].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


class KnownKeys:
    """The keys of one guest in the plugin's folder, which survives reboots."""

    def __init__(self, guest: Guest, run: Run) -> None:
        self._guest = guest
        self._file = run.folder / f"{guest.file_name}.pub"

    def read(self) -> list[HostKey]:
        """The keys; none where the guest is not enrolled. Raises ShellRefused for a file that cannot be read."""
        try:
            return parse(TextFile(self._file).read() or "")
        except LastcallError as error:
            remedy = f"{error.remedy}; then lastcall ssh enroll {self._guest.name}"
            raise ShellRefused(f"the host key of {self._guest.name} is not known: {error}", remedy) from None

    def write(self, keys: Iterable[HostKey]) -> None:
        """Remember these and no others. Raises LastcallError."""
        whose = visible(f"{self._guest.uri} {self._guest.name}")
        TextFile(self._file).write("".join(f"{key.kind} {key.base64} {whose}\n" for key in keys))

    def verify(self, shown: HostKey) -> None:
        """Raise ShellRefused for a key that is not known, not the known one, or another guest's as well."""
        known, other = self.read(), self._other_with(shown)
        if shown in known and not other:
            return
        told = f"{shown.kind} {shown.fingerprint}"
        if other:
            # Whoever has the key of one can pose as the other: a copy of a guest has it, and all who have such a copy.
            message = f"the host key of {self._guest.name} is that of {other.name}, too: {told}"
            remedy = self._remedy(other)
        elif known:
            message = f"the host key of {self._guest.name} has CHANGED: {told} is none of its {len(known)} known ones"
            remedy = f"if it was installed anew: lastcall ssh enroll --replace {self._guest.name}"
        else:
            message, remedy = f"the host key of {self._guest.name} is not known: {told}", "lastcall ssh enroll"
            remedy += f" {self._guest.name}"
        raise ShellRefused(message, remedy)

    def admit(self, keys: Iterable[HostKey]) -> None:
        """Raise LastcallError for keys one of which another guest has."""
        for key in keys:
            other = self._other_with(key)
            if other:
                message = f"its host key is that of {other.name}, too: {key.kind} {key.fingerprint}"
                raise LastcallError(message, self._remedy(other))

    def _other_with(self, key: HostKey) -> "Enrolled | None":
        folder = self._file.parent
        try:
            enrolled = _enrolled(folder, folder.stat().st_mtime_ns)
        except FileNotFoundError:
            return None
        return next((one for one in enrolled.get(key, ()) if one.file != self._file), None)

    def _remedy(self, other: "Enrolled") -> str:
        return (
            f"{NEW_KEYS} in {self._guest.name} or {other.name} ({other.uri}), and `lastcall ssh enroll --replace` for "
            f"it; if that one is no more, or was migrated, delete {other.file}"
        )


NEW_KEYS = "make new host keys (`rm /etc/ssh/ssh_host_*; ssh-keygen -A`)"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A guest whose keys are known: what it was called then, where it was, and the file that has them."""

    name: str
    uri: str
    file: Path


# Once for a state of the folder, which each new file changes: for each of 1500 logins it would be 1500 files.
@lru_cache(maxsize=1)
def _enrolled(folder: Path, _changed: int) -> Mapping[HostKey, list[Enrolled]]:
    """Who has which key."""
    found: dict[HostKey, list[Enrolled]] = {}
    for file in sorted(folder.glob("*.pub")):
        try:
            text = TextFile(file).read() or ""
        except LastcallError:
            continue  # told to the guest whose it is; nobody else's login depends on it
        told = (line.split(" ", 3) for line in text.splitlines())
        uri, name = next((words[2:] for words in told if len(words) == 4), ("its connection", file.stem))
        for key in parse(text):
            found.setdefault(key, []).append(Enrolled(name, uri, file))
    return found
