"""Putting lastcall on duty on this host, and taking it away. Every step says what it does; none stops a guest."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lastcall.api.guests import Guest
from lastcall.config.settings import Settings
from lastcall.errors import LastcallError
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.hooks.environment import tool_environment
from lastcall.installation import libvirt_guests, takeover
from lastcall.installation.completion import completions
from lastcall.installation.sample import SAMPLE
from lastcall.persistence.boot_stamp import BootStamp
from lastcall.persistence.files import write_whole
from lastcall.persistence.state import open_state
from lastcall.systemd import units
from lastcall.systemd.other_stoppers import LIBVIRT_GUESTS, OtherStopper, find_other_stoppers
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.units import UNITS, longest_deadline

CONFIG = Path("etc/lastcall/config.yaml")
MOTD = Path("etc/motd.d/lastcall")
STAMP_MOTD = Path("etc/motd.d/lastcall-stamp")
SET_ASIDE = Path("var/lib/lastcall/set-aside")
# To stop the unit is refused, and were it not, its ExecStop would stop all guests: both have to go first.
_NO_STOP = "[Unit]\nRefuseManualStop=no\n[Service]\nExecStop=\n"


class Duel(LastcallError):
    """Somebody else stops guests, too."""


@value
class InstallStep:
    """One thing to do, in words, and how."""

    text: str
    do: Callable[[], object]


@value
class Installation:
    """lastcall on one host.

    `settings` validates a configuration's text, or with None reads what is there. `replace`: hand-written units to set
    aside. `known`: guests by UUID, as libvirt tells.
    """

    program: Path
    settings: Callable[[str | None], Settings]
    systemctl: Systemctl
    root: Path = Path("/")
    replace: Sequence[str] = ()
    known: Callable[[], Mapping[str, Guest]] = dict

    def plan(self) -> list[InstallStep]:
        """Everything that is to be done; raises Duel where somebody else stops guests and goes on doing so.

        There is no moment in which nobody is on duty: libvirt-guests is made harmless when lastcall has started.
        """
        rivals = list(find_other_stoppers(self.systemctl, self.root))
        self._refuse_to_duel(rivals)
        takes_over = any(rival.where == LIBVIRT_GUESTS for rival in rivals)
        config = self._configuration(takes_over=takes_over)
        settings = self.settings(config)
        return [
            *self._folders(),
            *([_write(self._path(CONFIG), config, config.splitlines()[0].lstrip("# "))] if config else ()),
            *self._files(settings),
            *self._labels(),
            self._reload(),
            *self._adoption(settings),
            *(self._set_aside(rival.where) for rival in rivals if rival.where in self.replace),
            self._enable(),
            # Enabled is not enough: without a start that succeeded in this boot its ExecStop is not run.
            InstallStep(f"start {units.SERVICE}", lambda: self.systemctl.tell("start", units.SERVICE, units.STAMP)),
            *(self._neutralise() if takes_over else ()),
        ]

    def duty(self) -> str:
        """What the unit does from now on, in a sentence; by the configuration that is there."""
        back = ", and come back with it" if self.settings(None).restore.brings_back else "; none comes back by itself"
        return f"{units.SERVICE} is on duty: guests are stopped when this host is{back}."

    def undo(self) -> list[InstallStep]:
        """Everything that takes lastcall away again. Configuration, list and run logs stay."""
        drop_in = self._path(UNITS / f"{units.SERVICE}.d" / "uninstall.conf")
        there = [name for name in (units.SERVICE, units.RESTORE) if self._path(UNITS / name).exists()]
        return [
            # First, so that libvirt-guests is on duty again before we are off it.
            *self._give_back(),
            *([_write(drop_in, _NO_STOP), self._reload()] if there else []),
            *(
                InstallStep(f"stop {name}, which stops no guest", lambda name=name: self._quietly("stop", name))
                for name in there
            ),
            *([InstallStep(f"disable {', '.join(there)}", lambda: self._quietly("disable", *there))] if there else []),
            # One that failed would stand in `systemctl --failed` until the next boot.
            *([InstallStep(f"forget how {units.STAMP} ended", self._forget_failure)] if there else []),
            *(_remove(self._path(path)) for path in self._ours() if os.path.lexists(self._path(path))),
            *([_remove(drop_in)] if there else []),
            InstallStep("go off duty", lambda: BootStamp(self._path_of(self.settings(None).paths.run)).end()),
            *self._put_back(),
            self._reload(),
        ]

    def _refuse_to_duel(self, rivals: Iterable[OtherStopper]) -> None:
        rest = [rival for rival in rivals if rival.where != LIBVIRT_GUESTS and rival.where not in self.replace]
        if rest:
            told = "\n".join(f"  {rival.where}: {rival.message}\n    → {rival.remedy}" for rival in rest)
            raise Duel(f"somebody else stops guests, too; nothing was done:\n{told}")

    def _folders(self) -> Iterator[InstallStep]:
        for folder, mode in (("etc/lastcall", 0o755), ("etc/lastcall/hooks.d", 0o755), ("var/lib/lastcall", 0o700)):
            path = self._path(Path(folder))
            if not path.is_dir():
                yield InstallStep(f"make {path}", lambda path=path, mode=mode: path.mkdir(parents=True, mode=mode))

    def _configuration(self, *, takes_over: bool) -> str | None:
        """The configuration to write; None where there is one."""
        if self._path(CONFIG).exists():
            return None
        theirs = libvirt_guests.find_file(self.root)
        if not takes_over or theirs is None:
            return SAMPLE
        text = read_text(theirs, libvirt_guests.LARGEST, errors="replace")
        found = libvirt_guests.read_settings(text, libvirt_guests.distribution_defaults(self.root))
        # Some distributions enable libvirt-guests unasked: what nobody has set nobody has chosen.
        return libvirt_guests.as_yaml(found, str(theirs)) if found.given or found.unread else SAMPLE

    def _neutralise(self) -> Iterator[InstallStep]:
        why = f"so that {LIBVIRT_GUESTS} does nothing any more; it is not stopped"
        yield _write(self._path(takeover.DROP_IN), takeover.DROP_IN_TEXT, why)
        yield self._reload()

    def _set_aside(self, unit: str) -> InstallStep:
        """A unit whose file is gone has nothing to run when it is stopped; that is what disabling it would do."""
        path, kept = self._path(UNITS / unit), self._path(SET_ASIDE / unit)

        def do() -> None:
            kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            for link in self._path(UNITS).glob(f"*.wants/{unit}"):
                link.unlink()
            path.rename(kept)
            self.systemctl.tell("daemon-reload")
            # Only where systemd has forgotten the command: a copy elsewhere in its path would stop every guest now.
            if not self.systemctl.show(unit, "ExecStop").get("ExecStop"):
                self._quietly("stop", unit)

        return InstallStep(f"move {path} to {kept}, without running it", do)

    def _files(self, settings: Settings) -> Iterator[InstallStep]:
        paths = settings.paths
        yield _write(self._path(units.LAST_LINE), units.last_line(), "for a host stop in which lastcall cannot run")
        for name, text in units.Whereabouts(self.program, paths.state, paths.run).units().items():
            yield _write(self._path(UNITS / name), text)
        limit = units.job_timeout(longest_deadline(settings))
        for target in units.JOB_TARGETS if limit else ():
            path = self._path(UNITS / f"{target}.d" / "lastcall.conf")
            yield _write(path, limit or "", "as systemd would cut the shutdown short")
        yield _link(self._path(MOTD), paths.run / "motd")
        yield _link(self._path(STAMP_MOTD), paths.run / "motd.stamp")
        for name, text in completions():
            yield _write(self._path(Path(name)), text)

    def _labels(self) -> Iterator[InstallStep]:
        """Where SELinux is on, systemd starts no program that carries the label of the folder it was unpacked into."""
        if self._path(Path("sys/fs/selinux/enforce")).exists():
            command = ["restorecon", "-R", str(self.program.parent), str(self._path(UNITS)), "/etc/lastcall"]

            def label() -> None:
                with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # `start` fails where it was needed
                    subprocess.run(command, check=False, timeout=60, capture_output=True, env=tool_environment())

            yield InstallStep(" ".join(command), label)

    def _adoption(self, settings: Settings) -> Iterator[InstallStep]:
        path = self._path(takeover.LIST)
        if not path.is_file():
            return
        kept = self._path(Path("var/lib/lastcall/libvirt-guests.list"))

        def do() -> None:
            text = read_text(path, libvirt_guests.LARGEST, errors="replace")
            state = open_state(self._path_of(settings.paths.state))
            listed = takeover.GuestsList(text, path.stat().st_mtime, boot_time(self.systemctl))
            takeover.adopt(listed, state, self.known())
            # Ours is on disk before theirs is gone: what comes in between leaves two lists, and loses no guest.
            state.save()
            write_whole(kept, text)
            path.unlink()

        lines = read_text(path, libvirt_guests.LARGEST, errors="replace").splitlines()
        count = sum(len(line.split()) - 1 for line in lines if line.strip())
        ours = "the list of those to restore" if settings.restore.brings_back else "our list; none is started by itself"
        yield InstallStep(f"take {count} guest{'' if count == 1 else 's'} over from {path} to {ours}", do)

    def _enable(self) -> InstallStep:
        return InstallStep(
            f"enable {units.SERVICE} ({units.ALIAS}) and {units.RESTORE}",
            lambda: self.systemctl.tell("enable", units.SERVICE, units.RESTORE),
        )

    def _give_back(self) -> Iterator[InstallStep]:
        drop_in = self._path(takeover.DROP_IN)
        if drop_in.exists():
            yield _remove(drop_in, f"and give the guests back to {LIBVIRT_GUESTS}")
            yield from self._give_list_back()
            yield self._reload()

    def _put_back(self) -> Iterator[InstallStep]:
        for kept in sorted(self._path(SET_ASIDE).glob("*.service")):
            target = self._path(UNITS / kept.name)
            yield InstallStep(
                f"move {kept} back to {target} (not enabled)", lambda kept=kept, target=target: kept.rename(target)
            )

    def _give_list_back(self) -> Iterator[InstallStep]:
        state = open_state(self._path_of(self.settings(None).paths.state))
        waiting = [entry for entry in state.entries.values() if not entry.parked]
        path = self._path(takeover.LIST)
        if waiting and not path.exists():
            text = takeover.as_list(waiting)
            yield InstallStep(f"write {len(waiting)} waiting guests to {path}", lambda: path.write_text(text))

    def _ours(self) -> list[Path]:
        jobs = [UNITS / f"{target}.d" / "lastcall.conf" for target in units.JOB_TARGETS]
        ours = [UNITS / name for name in (units.SERVICE, units.STAMP, units.RESTORE)]
        return [*ours, *jobs, units.LAST_LINE, MOTD, STAMP_MOTD, *(Path(name) for name, _ in completions())]

    def _reload(self) -> InstallStep:
        return InstallStep("systemctl daemon-reload", lambda: self.systemctl.tell("daemon-reload"))

    def _quietly(self, *words: str) -> None:
        """A unit that is not there any more is as good as stopped or disabled."""
        try:
            self.systemctl.tell(*words)
        except SystemctlFailed as error:
            if "not loaded" not in str(error) and "does not exist" not in str(error):
                raise

    def _forget_failure(self) -> None:
        self._quietly("reset-failed", units.STAMP)

    def _path(self, path: Path) -> Path:
        return self.root / path

    def _path_of(self, path: Path) -> Path:
        return self.root / str(path).lstrip("/")


def _write(path: Path, text: str, why: str = "") -> InstallStep:
    """Write a file for everybody to read, if it is not there with this content."""

    def do() -> None:
        if _says(path, text):
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text)
        fresh.chmod(0o644)
        # In one step: systemd may read a unit at any moment, and half a unit stops no guest.
        fresh.replace(path)

    return InstallStep(f"write {path}" + (f", {why}" if why else ""), do)


def _says(path: Path, text: str) -> bool:
    try:
        return read_text(path, len(text.encode())) == text
    except (OSError, UnicodeDecodeError):
        return False  # it is not there, or larger, or something else


def _link(path: Path, target: Path) -> InstallStep:
    def do() -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        if not path.is_symlink():
            path.symlink_to(target)

    return InstallStep(f"link {path} to {target}", do)


def _remove(path: Path, why: str = "") -> InstallStep:
    def do() -> None:
        path.unlink(missing_ok=True)
        # An administrator may have drop-ins of his own beside ours.
        if path.parent.name.endswith(".d") and not any(path.parent.iterdir()):
            path.parent.rmdir()

    return InstallStep(f"remove {path}" + (f", {why}" if why else ""), do)


def boot_time(systemctl: Systemctl) -> float:
    """When this system was booted, in seconds since the epoch; systemd knows it for containers, too."""
    told = systemctl.ask("show", "--property=UserspaceTimestamp", "--timestamp=unix").strip()
    number = told.partition("=@")[2]
    return float(number) if number.isdigit() else time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
