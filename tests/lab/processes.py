"""Processes and what they have started: whether they live, and how much processor time they have used together."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """One process: the seconds are those on a processor, its own and those of children that it has waited for."""

    pid: int
    parent: int
    dead: bool
    cpu: float


def processes() -> dict[int, Process]:
    """Everything that runs on this machine, by its process id."""
    found = (_read(folder) for folder in Path("/proc").glob("[0-9]*"))
    return {process.pid: process for process in found if process}


def alive(pid: int) -> bool:
    """False also for one that has ended and that nobody has waited for."""
    process = _read(Path(f"/proc/{pid}"))
    return process is not None and not process.dead


def family(root: int) -> list[Process]:
    """A process, and everything that it has started and that is left."""
    everybody = processes()
    children: dict[int, list[int]] = {}
    for process in everybody.values():
        children.setdefault(process.parent, []).append(process.pid)
    members = [root] if root in everybody else []
    for member in members:  # grows as it goes
        members += children.get(member, [])
    return [everybody[member] for member in members]


def cpu_seconds(root: int) -> float:
    """What a process and all that it has started have used so far: a clock that a busy machine does not speed up."""
    return sum(process.cpu for process in family(root))


def qemu_of(root: int, guest: str) -> int | None:
    """The QEMU of a guest, among what `root` has started; None where it does not run."""
    for process in family(root):
        try:
            words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile
        if any(word.startswith(f"guest={guest},".encode()) for word in words):
            return process.pid
    return None


def _read(folder: Path) -> Process | None:
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return Process(int(folder.name), int(fields[1]), fields[0] in "ZX", sum(map(int, fields[11:15])) / _TICKS)
