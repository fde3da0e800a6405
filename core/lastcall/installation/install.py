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
from lastcall.imports import libvirt_guests
from lastcall.installation import packaged, takeover
from lastcall.installation.choices import Choices, undo_steps
from lastcall.installation.first_configuration import FirstConfiguration, first_configuration
from lastcall.installation.given_back import give_list_back_steps
from lastcall.installation.guests_unit import disarm_steps, is_disarmed, rearm_steps
from lastcall.installation.set_aside import put_back_steps, set_aside_steps, unit_name
from lastcall.installation.shared_data.completion import completions
from lastcall.installation.shared_data.man_pages import manual_steps, manual_undo_steps
from lastcall.installation.steps import InstallStep, drop_in_steps, link_step, remove_step, write_step
from lastcall.persistence.boot_stamp import BootStamp
from lastcall.persistence.files import write_whole
from lastcall.persistence.state import open_state
from lastcall.systemd import units
from lastcall.systemd.rivals.other_stoppers import LIBVIRT, OtherStopper, alias_is_taken, find_other_stoppers
from lastcall.systemd.site_units.after import after_drop_ins
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.units import UNITS, longest_deadline

CONFIG = Path("etc/lastcall/config.yaml")
MOTD = Path("etc/motd.d/lastcall")
STAMP_MOTD = Path("etc/motd.d/lastcall-stamp")
_SWEPT = ("/tmp", "/var/tmp", "/run", "/dev/shm")  # noqa: S108  # by systemd-tmpfiles, or with the next boot
# To stop the unit is refused, and were it not, its ExecStop would stop all guests: both have to go first.
_NO_STOP = "[Unit]\nRefuseManualStop=no\n[Service]\nExecStop=\n"


class Duel(LastcallError):
    """Somebody stops guests, too, whom an installation leaves as it is."""


@value
class Installation:
    """lastcall on one host.

    `settings` validates a configuration's text, or with None reads what is there. `replace`: hand-written units to set
    aside. `take_over`: from libvirt-guests, where it is on duty. `known`: guests by UUID, as libvirt tells.
    """

    program: Path
    settings: Callable[[str | None], Settings]
    systemctl: Systemctl
    root: Path = Path("/")
    replace: Sequence[str] = ()
    take_over: bool = True
    choices: Choices = Choices()
    known: Callable[[], Mapping[str, Guest]] = dict

    def plan(self) -> list[InstallStep]:
        """Everything that is to be done; raises Duel where libvirt itself stops guests and goes on doing so.

        There is no moment in which nobody is on duty: libvirt-guests is made harmless when lastcall has started.
        """
        self._refuse_to_shadow()
        self._refuse_to_vanish()
        others = list(find_other_stoppers(self.systemctl, self.root))
        self._refuse_to_duel(others)
        takes_over = any(other.where == units.LIBVIRT_GUESTS for other in others)
        set_aside = list(set_aside_steps(self.replace, self.systemctl, self.root))
        first = None if self._path(CONFIG).exists() else first_configuration(self.root, takes_over=takes_over)
        settings = self.settings(first.text if first else None)
        return [
            *self._folders(),
            *([self._configure(first)] if first else ()),
            *self._files(settings),
            *self._labels(),
            self._reload(),
            *self._adoption(settings, on_duty=takes_over),
            *set_aside,
            self._enable(),
            # Enabled is not enough: without a start that succeeded in this boot its ExecStop is not run.
            InstallStep(f"start {units.SERVICE}", lambda: self.systemctl.tell("start", units.SERVICE, units.STAMP)),
            *self.choices.steps(self.systemctl, *self._kept_in(settings), self.root),
            *(disarm_steps(self.systemctl, self.root) if takes_over or is_disarmed(self.root) else ()),
        ]

    def others(self, *, dry_run: bool = False) -> list[OtherStopper]:
        """Who else stops guests, and is left to: units of somebody's are his own, and may be meant.

        In a dry run whoever is to be replaced still stands there.
        """
        gone = {unit_name(name) for name in self.replace} if dry_run else set[str]()
        found = find_other_stoppers(self.systemctl, self.root)
        return [one for one in found if one.where not in {units.LIBVIRT_GUESTS, *gone}]

    def duty(self) -> str:
        """What the unit does from now on, in a sentence; by the configuration that is there."""
        back = ", and come back with it" if self.settings(None).restore.brings_back else "; none comes back by itself"
        return f"{units.SERVICE} is on duty: guests are stopped when this host is{back}."

    def undo(self) -> list[InstallStep]:
        """Everything that takes lastcall away again. Configuration, list and run logs stay."""
        drop_in = self._path(UNITS / f"{units.SERVICE}.d" / "uninstall.conf")
        folders = (UNITS, packaged.PACKAGED_UNITS)
        stopped = (units.OUTAGE, units.SERVICE, units.RESTORE, units.SLEEP)
        there = [name for name in stopped if any(self._path(folder / name).exists() for folder in folders)]
        enabled = [name for name in there if name != units.OUTAGE]
        return [
            # First, so that libvirt-guests is on duty again before we are off it.
            *self._give_back(),
            *([write_step(drop_in, _NO_STOP), self._reload()] if there else []),
            *(
                InstallStep(f"stop {name}, which stops no guest", lambda name=name: self._quietly("stop", name))
                for name in there
            ),
            *(
                [InstallStep(f"disable {', '.join(enabled)}", lambda: self._quietly("disable", *enabled))]
                if enabled
                else []
            ),
            *undo_steps(self._quietly, *self._kept_in(self.settings(None)), self.root, timer=bool(there)),
            # One that failed would stand in `systemctl --failed` until the next boot.
            *([InstallStep(f"forget how {units.STAMP} ended", self._forget_failure)] if there else []),
            *(remove_step(self._path(path)) for path in self._ours() if os.path.lexists(self._path(path))),
            *manual_undo_steps(self.root),
            *([remove_step(drop_in)] if there else []),
            InstallStep("go off duty", lambda: BootStamp(self._path_of(self.settings(None).paths.run)).end()),
            *put_back_steps(self.root),
            self._reload(),
        ]

    def _refuse_to_shadow(self) -> None:
        """Units in /etc would be taken instead of the package's, and stay as they are when it is upgraded."""
        if packaged.is_packaged(self.root) and self.program != packaged.PROGRAM:
            where = self._path(packaged.PACKAGED_UNITS / units.SERVICE)
            raise LastcallError(
                f"a package has brought {where}, which runs another lastcall than {self.program}",
                f"use {packaged.PROGRAM}, or remove the package",
            )

    def _refuse_to_vanish(self) -> None:
        """The units lead to the program for years. What `uvx` and `pipx run` unpack is swept away within days."""
        swept = next((folder for folder in _SWEPT if self.program.is_relative_to(folder)), None)
        cache = next((folder for folder in self.program.parents if folder.name in {"cache", ".cache"}), None)
        if folder := swept or cache:
            raise LastcallError(
                f"{self.program} does not stay: {folder} is emptied from time to time; nothing was done",
                "install it where it stays, as by `pipx install` or `uv tool install`, and call that one",
            )

    def _refuse_to_duel(self, others: Iterable[OtherStopper]) -> None:
        # libvirt itself begins before any unit is stopped, and so before lastcall.
        stays = () if self.take_over else (units.LIBVIRT_GUESTS,)
        rest = [other for other in others if other.name == LIBVIRT or other.where in stays]
        if rest:
            told = "\n".join(f"  {other.where}: {other.message}\n    → {other.remedy}" for other in rest)
            raise Duel(f"others stop guests, too; nothing was done:\n{told}")

    def _folders(self) -> Iterator[InstallStep]:
        for folder, mode in (("etc/lastcall", 0o755), ("etc/lastcall/hooks.d", 0o755), ("var/lib/lastcall", 0o700)):
            path = self._path(Path(folder))
            if not path.is_dir():
                yield InstallStep(f"make {path}", lambda path=path, mode=mode: path.mkdir(parents=True, mode=mode))

    def _configure(self, first: FirstConfiguration) -> InstallStep:
        step = write_step(self._path(CONFIG), first.text, first.text.splitlines()[0].lstrip("# "))
        return InstallStep(step.text, step.do, first.notes, first.lost)

    def _files(self, settings: Settings) -> Iterator[InstallStep]:
        paths = settings.paths
        yield from self._beside_the_package(settings) if packaged.is_packaged(self.root) else self._units(settings)
        yield from drop_in_steps(self.root, after_drop_ins(settings.units.after), "units.after")
        limit = units.job_timeout(longest_deadline(settings))
        for target in units.JOB_TARGETS if limit else ():
            path = self._path(UNITS / f"{target}.d" / "lastcall.conf")
            yield write_step(path, limit or "", "as systemd would cut the shutdown short")
        yield link_step(self._path(MOTD), paths.run / "motd")
        yield link_step(self._path(STAMP_MOTD), paths.run / "motd.stamp")

    def _units(self, settings: Settings) -> Iterator[InstallStep]:
        """What a package brings, where there is none."""
        yield write_step(self._path(units.LAST_LINE), units.last_line(), "for a host stop in which lastcall cannot run")
        where = units.Whereabouts(self.program, settings.paths.state, settings.paths.run, alias=self._has_alias())
        for name, text in where.units().items():
            yield write_step(self._path(UNITS / name), text)
        for name, text in completions():
            yield write_step(self._path(Path(name)), text)
        yield from manual_steps(self.program, self.root)

    def _beside_the_package(self, settings: Settings) -> Iterator[InstallStep]:
        for path in packaged.shadows(self.root):
            yield remove_step(path, "as the package has its own")
        yield from manual_undo_steps(self.root)
        yield from drop_in_steps(self.root, packaged.drop_ins(settings.paths), "paths")

    def _labels(self) -> Iterator[InstallStep]:
        """Where SELinux is on, systemd starts no program that carries the label of the folder it was unpacked into."""
        if self._path(Path("sys/fs/selinux/enforce")).exists():
            command = ["restorecon", "-R", str(self.program.parent), str(self._path(UNITS)), "/etc/lastcall"]

            def label() -> None:
                with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # `start` fails where it was needed
                    subprocess.run(command, check=False, timeout=60, capture_output=True, env=tool_environment())

            yield InstallStep(" ".join(command), label)

    def _adoption(self, settings: Settings, *, on_duty: bool) -> Iterator[InstallStep]:
        path = self._path(takeover.LIST)
        if not path.is_file():
            return
        kept = self._path(Path("var/lib/lastcall/libvirt-guests.list"))

        def do() -> None:
            text = read_text(path, libvirt_guests.LARGEST, errors="replace")
            state = open_state(self._path_of(settings.paths.state))
            listed = takeover.GuestsList(text, path.stat().st_mtime, boot_time(self.systemctl), on_duty)
            takeover.adopt(listed, state, self.known())
            # Ours is on disk before theirs is gone: what comes in between leaves two lists, and loses no guest.
            state.save()
            write_whole(kept, text)
            path.unlink()

        count = len(takeover.listed_guests(read_text(path, libvirt_guests.LARGEST, errors="replace")))
        ours = "the list of those to restore"
        if not on_duty:
            # Switched off by `disable --now`, it has stopped everybody and left its list, a year ago or two: whoever
            # is off today is meant to be, or runs on another host.
            ours = f"our list; none is started by itself, as {units.LIBVIRT_GUESTS} is not on duty"
        elif not settings.restore.brings_back:
            ours = "our list; none is started by itself"
        yield InstallStep(f"take {count} guest{'' if count == 1 else 's'} over from {path} to {ours}", do)

    def _enable(self) -> InstallStep:
        # `enable` leaves links alone that lead to units in /etc, as from before a package brought its own: to nowhere.
        verb = "reenable" if packaged.is_packaged(self.root) else "enable"
        if self._has_alias() or not packaged.is_packaged(self.root):
            name = f"{units.SERVICE} ({units.ALIAS})" if self._has_alias() else units.SERVICE
            return InstallStep(
                f"{verb} {name}, {units.RESTORE} and {units.SLEEP}",
                lambda: self.systemctl.tell(verb, units.SERVICE, units.RESTORE, units.SLEEP),
            )

        # The package's unit has a name that is somebody else's here, which `enable` would refuse.
        def do() -> None:
            self.systemctl.tell("add-wants", "multi-user.target", units.SERVICE)
            self.systemctl.tell(verb, units.RESTORE, units.SLEEP)

        others = f"{units.RESTORE} and {units.SLEEP}"
        return InstallStep(f"have multi-user.target want {units.SERVICE}, and {verb} {others}", do)

    def _has_alias(self) -> bool:
        """Where somebody has a unit of that name and keeps it, systemd would refuse to enable ours."""
        return units.ALIAS in map(unit_name, self.replace) or not alias_is_taken(self.systemctl)

    def _give_back(self) -> Iterator[InstallStep]:
        rearming = list(rearm_steps(self.root))
        yield from rearming
        if rearming:
            yield from give_list_back_steps(self._path_of(self.settings(None).paths.state), self.root)
            yield self._reload()

    def _ours(self) -> list[Path]:
        jobs = [UNITS / f"{target}.d" / "lastcall.conf" for target in units.JOB_TARGETS]
        ours = [UNITS / name for name in units.OURS]
        paths = (path for path, _ in (*packaged.drop_ins(packaged.DEFAULT_PATHS), *after_drop_ins(())))
        return [*ours, *jobs, *paths, units.LAST_LINE, MOTD, STAMP_MOTD, *(Path(name) for name, _ in completions())]

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

    def _kept_in(self, settings: Settings) -> tuple[Path, Path]:
        return self._path_of(settings.paths.state), self._path_of(settings.paths.run)

    def _path(self, path: Path) -> Path:
        return self.root / path

    def _path_of(self, path: Path) -> Path:
        return self.root / str(path).lstrip("/")


def boot_time(systemctl: Systemctl) -> float:
    """When this system was booted, in seconds since the epoch; systemd knows it for containers, too."""
    told = systemctl.ask("show", "--property=UserspaceTimestamp", "--timestamp=unix").strip()
    number = told.partition("=@")[2]
    return float(number) if number.isdigit() else time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
