"""The host keys of guests: kept under the domain's UUID, because names and addresses change hands."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from lastcall import Guest, Run, ShellRefused


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
        lines = "".join(f"{key.kind} {key.base64} {self._guest.name}\n" for key in keys)
        # In place only when it is whole: half a file would be a guest whose key has changed.
        scratch = self._file.with_suffix(".new")
        scratch.write_text(lines)
        scratch.chmod(0o600)
        scratch.replace(self._file)

    def verify(self, shown: HostKey) -> None:
        """Raise ShellRefused for a key that is not known, or not the known one."""
        known = self.read()
        if shown in known:
            return
        told = f"{shown.kind} {shown.fingerprint}"
        if known:
            message = f"the host key of {self._guest.name} has CHANGED: {told} is none of its {len(known)} known ones"
            remedy = f"if it was installed anew: lastcall ssh enroll --replace {self._guest.name}"
        else:
            message, remedy = f"the host key of {self._guest.name} is not known: {told}", "lastcall ssh enroll"
            remedy += f" {self._guest.name}"
        raise ShellRefused(message, remedy)
