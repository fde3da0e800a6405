"""A systemctl that answers as a test says."""

import fnmatch

from lastcall.systemd.systemctl import Systemctl, SystemctlFailed, SystemctlRefused


class FakeSystemctl(Systemctl):
    """Answers from a table: what `show` says of units, and everything else from `answers`."""

    def __init__(self, units: dict[str, dict[str, str]] | None = None, **answers: str) -> None:
        self.units, self.answers = units or {}, answers
        self.told: list[tuple[str, ...]] = []

    def ask(self, *words: str) -> str:
        command = words[0]
        if command == "show" and "--" in words:
            first = words.index("--")
            asked = {word.removeprefix("--property=") for word in words[1:first]}
            return "\n\n".join(self._shown(unit, asked) for unit in words[first + 1 :])
        if command in self.answers:
            return self.answers[command]
        if command == "list-units":
            names = fnmatch.filter(self.units, words[-1] if "*" in words[-1] else "*")
            return "".join(f"{name} loaded active exited {name}\n" for name in names if "@." not in name)
        if command == "list-unit-files":
            return "".join(f"{name} {shown.get('UnitFileState')} -\n" for name, shown in self.units.items())
        raise SystemctlFailed("no answer within 5 s")

    def tell(self, *words: str) -> str:
        self.told.append(words)
        return ""

    def _shown(self, unit: str, asked: set[str]) -> str:
        if "@." in unit:
            raise SystemctlRefused("show", f"Unit name {unit} is neither a valid invocation ID nor unit name.")
        # A unit's commands come before its name, and each is a line of its own.
        shown = {**self.units.get(unit, {"LoadState": "not-found"})}
        shown["Id"] = shown.pop("Id", unit)
        return "\n".join(f"{name}={one}" for name, told in shown.items() if name in asked for one in told.split("\f"))


def runs(*commands: str) -> str:
    """What `show` says of `ExecStop` and its like."""
    rest = "ignore_errors=no ; start_time=[n/a] ; pid=0"
    return "\f".join(f"{{ path={one.split()[0]} ; argv[]={one} ; {rest} }}" for one in commands)


ACTIVE = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
GUESTS_ON_DUTY = {
    "ExecStart": runs("/usr/lib/libvirt/libvirt-guests.sh start"),
    "ExecStop": runs("/usr/lib/libvirt/libvirt-guests.sh stop"),
    **ACTIVE,
}
