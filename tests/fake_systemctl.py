"""A systemctl that answers as a test says."""

from lastcall.systemd.systemctl import Systemctl, SystemctlFailed


class FakeSystemctl(Systemctl):
    """Answers from a table: what `show` says of units, and everything else from `answers`."""

    def __init__(self, units: dict[str, dict[str, str]] | None = None, **answers: str) -> None:
        self.units, self.answers = units or {}, answers
        self.told: list[tuple[str, ...]] = []

    def ask(self, *words: str) -> str:
        if words[0] == "show" and not words[1].startswith("--"):
            return "\n".join(f"{name}={value}" for name, value in self.units.get(words[1], {}).items())
        if words[0] not in self.answers:
            raise SystemctlFailed("no answer within 5 s")
        return self.answers[words[0]]

    def tell(self, *words: str) -> str:
        self.told.append(words)
        return ""


ACTIVE = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}


GUESTS_ON_DUTY = {**ACTIVE, "Id": "libvirt-guests.service", "ExecStart": "{ x }", "ExecStop": "{ x }"}
