"""The host keys of guests: kept under the domain's UUID, because names and addresses change hands."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lastcall import Guest, LastcallError, Run, ShellRefused, visible


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


class KnownKeys:
    """The keys of one guest in the plugin's folder, which survives reboots."""

    def __init__(self, guest: Guest, run: Run) -> None:
        self._guest = guest
        self._file = run.folder / f"{guest.uuid}.pub"

    def read(self) -> list[HostKey]:
        """The keys; none where the guest is not enrolled."""
        try:
            return parse(self._file.read_text())
        except FileNotFoundError:
            return []

    def write(self, keys: Iterable[HostKey]) -> None:
        """Remember these and no others."""
        lines = "".join(f"{key.kind} {key.base64} {visible(self._guest.name)}\n" for key in keys)
        # In place only when it is whole: half a file would be a guest whose key has changed.
        scratch = self._file.with_suffix(".new")
        scratch.write_text(lines)
        scratch.chmod(0o600)
        scratch.replace(self._file)

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
            f"{NEW_KEYS} in {self._guest.name} or {other.name}, and `lastcall ssh enroll --replace` for it; "
            f"if {other.name} is no more, delete {other.file}"
        )


NEW_KEYS = "make new host keys (`rm /etc/ssh/ssh_host_*; ssh-keygen -A`)"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A guest whose keys are known: what it was called then, and the file that has them."""

    name: str
    file: Path


# Once for a state of the folder, which each new file changes: for each of 1500 logins it would be 1500 files.
@lru_cache(maxsize=1)
def _enrolled(folder: Path, _changed: int) -> Mapping[HostKey, list[Enrolled]]:
    """Who has which key."""
    found: dict[HostKey, list[Enrolled]] = {}
    for file in sorted(folder.glob("*.pub")):
        text = file.read_text(errors="replace")
        name = next((words[2] for line in text.splitlines() if len(words := line.split(" ", 2)) == 3), file.stem)
        for key in parse(text):
            found.setdefault(key, []).append(Enrolled(name, file))
    return found
