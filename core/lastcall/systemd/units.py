"""The units, as they are written for a program that lies anywhere."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lastcall.formats.values import value
from lastcall.systemd.unit_files.power import AGAIN_TEXT, ANSWER_TEXT, OUTAGE_TEXT, SOCKET_TEXT
from lastcall.systemd.unit_files.sleep import SLEEP_TEXT

if TYPE_CHECKING:
    from lastcall.config.settings import Settings  # for its types alone: `status` has no time for pydantic

UNITS = Path("etc/systemd/system")
SERVICE = "lastcall.service"
STAMP = "lastcall-stamp.service"
RESTORE = "lastcall-restore.service"
CHECK = "lastcall-check.service"
CHECK_TIMER = "lastcall-check.timer"
OUTAGE = "lastcall-outage.service"
POWER_SOCKET = "lastcall-power.socket"
POWER_ANSWER = "lastcall-power@.service"
POWER_AGAIN = "lastcall-power-again.service"
SOCKET_NAME = "power.sock"  # in paths.run
SLEEP = "lastcall-sleep.service"
OURS = (SERVICE, STAMP, RESTORE, CHECK, CHECK_TIMER, OUTAGE, POWER_SOCKET, POWER_ANSWER, POWER_AGAIN, SLEEP)
# Where /etc is, the units are: nothing else has to be mounted for it.
LAST_LINE = Path("etc/lastcall/last-line")
ALIAS = "graceful-shutdown.service"
HOME = "https://lastcall.dev"
LIBVIRT_GUESTS = "libvirt-guests.service"
# Drop-ins are read by name, whatever folder they lie in; what the last one says counts.
GUESTS_DROP_IN = UNITS / f"{LIBVIRT_GUESTS}.d" / "zz-lastcall.conf"
# Services and sockets: no unit can be started during a shutdown, and whoever touches the socket of a daemon that is
# stopped may wait for hours. On Debian 12 libvirtd went in the middle of the work of libvirt-guests.
DAEMONS = ("libvirtd", "virtqemud", "virtlxcd", "virtvboxd", "virtvzd", "virtxend", "virtbhyved")
HELPERS = (
    "virtlogd", "virtlockd", "virtproxyd", "virtnetworkd", "virtstoraged", "virtnodedevd", "virtnwfilterd",
    "virtsecretd", "virtinterfaced",
)  # fmt: skip
# What a stop may need: libvirt's daemons and those who help them, a network with names, where disks and files lie, and
# who watches the UPS. Not ordered, NUT's units were stopped in the same second: a secondary that is logged out by that
# has its primary cut the power under guests that still stop.
AROUND = (
    "network.target", "network-online.target", "nss-lookup.target", "nss-user-lookup.target", "time-sync.target",
    "remote-fs.target", "dbus.service", "dbus.socket", "systemd-machined.service", "iscsid.service", "iscsi.service",
    "open-iscsi.service", "multipathd.service", "multipathd.socket", "firewalld.service", "nftables.service",
    "openvswitch-switch.service", "libvirt-guests.service", "nut-driver-enumerator.service", "nut-driver.target",
    "nut-server.service", "nut-monitor.service", "apcupsd.service", "etcd.service",
)  # fmt: skip

_SERVICE = """\
# Stops the guests of this host when it is shut down or rebooted. `lastcall install` puts it on duty.
#
# Starting it touches no guest. It cannot be stopped by hand, as the guests would go on without it at the next poweroff:
# `lastcall shutdown` stops guests, `lastcall uninstall` takes the unit away.

[Unit]
Description=Last call for the guests of this host (needs {python})
Documentation={documentation}
# libvirt orders the scope of every guest before this target, so that systemd stops it after us. Never Requires, PartOf
# or BindsTo: a daemon that is restarted must not stop guests.
Wants=virt-guest-shutdown.target {stamp} {restore}
After=virt-guest-shutdown.target
{after}
Before=pacemaker.service
RequiresMountsFor={mounts}
# An ExecStop that refuses would leave the unit inactive, and the next poweroff would stop no guest.
RefuseManualStop=yes
IgnoreOnIsolate=yes

[Service]
Type=oneshot
RemainAfterExit=yes
# Without a start that succeeded there is no ExecStop. Whether lastcall can start at all, its stamp tells.
ExecStart=/bin/true
# A run that was killed, or crashed, gets a second chance in what is left of its time.
ExecStop=-{program} shutdown --from-unit
ExecStop=-{program} shutdown --from-unit --again
# Where neither has answered, as when Python lacks lastcall's packages, a shell script asks the guests by virsh.
ExecStop=/bin/sh {last_line} stop {state} {run}
# Extended while the run makes progress, never past its deadline.
TimeoutStopSec=2min
NotifyAccess=exec
KillMode=mixed
OOMScoreAdjust=-500
SyslogIdentifier=lastcall

[Install]
WantedBy=multi-user.target
{alias}"""
_STAMP = """\
# Notes that the host has booted and that lastcall is on duty; touches no guest. A unit of its own, so that it may fail:
# then lastcall cannot do its work, a login says so, and lastcall.service is on duty all the same.

[Unit]
Description=Note that lastcall is on duty (needs {python})
Documentation={documentation}
After={service}
RequiresMountsFor={mounts}

[Service]
Type=oneshot
ExecStart={program} stamp
ExecStopPost=/bin/sh {last_line} stamp {state} {run}
TimeoutStartSec=20s
TimeoutStopSec=5s
SyslogIdentifier=lastcall
"""
_RESTORE = """\
# Brings back the guests that the last shutdown stopped. Pulled in by lastcall.service, and again whenever a libvirt
# daemon is started: one that was broken at boot costs no guest its restore. Where nothing is due it does nothing.

[Unit]
Description=Bring back the guests of this host
Documentation={documentation}
After={service} {stamp}
{after}
RequiresMountsFor={mounts}

[Service]
Type=oneshot
ExecStart={program} restore --from-unit
# A poweroff ends it before the guests are stopped: it starts nobody else and reports.
TimeoutStopSec=20s
NotifyAccess=exec
KillMode=mixed
SyslogIdentifier=lastcall

[Install]
WantedBy={daemons}
"""
_CHECK = """\
# Looks for what would make a run fail, and tells plugins of it: metrics are written. Touches no guest. Ends in failure
# where something is an error, so that OnFailure= can tell somebody.

[Unit]
Description=Look for what would make the last call fail
Documentation={documentation}
After={service} {stamp}
RequiresMountsFor={mounts}

[Service]
Type=oneshot
ExecStart={program} check
TimeoutStartSec=5min
Nice=10
SyslogIdentifier=lastcall-check
"""
_CHECK_TIMER = """\
# Has lastcall look every hour. `lastcall install --check-timer` enables it, `--no-check-timer` takes it back.

[Unit]
Description=Look every hour for what would make the last call fail
Documentation={documentation}

[Timer]
# Not while guests come back.
OnBootSec=15min
OnUnitInactiveSec=1h
# Many hosts that were started together do not ask their daemons at the same moment.
RandomizedDelaySec=5min

[Install]
WantedBy=timers.target
"""
_JOBS = """\
# Written by `lastcall install`: systemd forces the host off when the whole shutdown takes longer than this.
[Unit]
JobTimeoutSec={seconds:.0f}
"""
# Conflicts=, disable --now and stop all run libvirt-guests' ExecStop, which stops every guest of the host at install
# time. Empty commands and a reload stop none. Without any command at all systemd would refuse the unit.
GUESTS_COMMAND = "/bin/true"
GUESTS_DROP_IN_TEXT = f"""\
# Written by `lastcall install`, which does this unit's work; `lastcall uninstall` takes it away. The unit itself stays
# as it is: to stop it would run its ExecStop, which stops every guest.
[Service]
Type=oneshot
RemainAfterExit=yes
Restart=no
ExecCondition=
ExecStartPre=
ExecStart=
ExecStart={GUESTS_COMMAND}
ExecStartPost=
ExecReload=
ExecStop=
ExecStopPost=
"""
JOB_TARGETS = ("poweroff.target", "reboot.target")
JOB_TIMEOUT = 1800.0  # seconds that systemd's own files give
JOB_MARGIN = 300.0  # seconds for everything else that a shutdown stops


def longest_deadline(settings: "Settings") -> float:
    """Seconds that a host stop may take, whatever its reason."""
    given = [settings.shutdown.deadline, *(one.deadline for one in settings.shutdown.by_reason.values())]
    return max((one for one in given if one is not None), default=0.0)


def program_path() -> Path:
    """Where this program lies: in its virtual environment, or in /usr/bin."""
    beside = Path(sys.executable).with_name("lastcall")
    return beside if beside.exists() else Path(sys.argv[0]).absolute()


@value
class Whereabouts:
    """What the units name: the program and what it needs, and `paths.state` and `paths.run`.

    `python`: its interpreter; `last_line`: the script for when it cannot run. `alias`: whether the service is called
    ALIAS, too; not where a unit of somebody else's is. `manual`: whether there are man pages where man(1) looks.
    """

    program: Path
    state: Path
    run: Path
    python: Path = Path(sys.executable)
    last_line: Path = Path("/") / LAST_LINE
    alias: bool = True
    manual: bool = False

    def units(self) -> dict[str, str]:
        """The units by name."""
        program, mounts = _escaped(self.program), _mounts(self.program, self.state)
        names = {"service": SERVICE, "stamp": STAMP, "restore": RESTORE, "again": POWER_AGAIN}
        names["socket_unit"] = POWER_SOCKET
        alias = f"Alias={ALIAS}\n" if self.alias else ""
        places = {"program": program, "mounts": mounts, "state": _escaped(self.state), "run": _escaped(self.run)}
        places["last_line"] = _escaped(self.last_line)
        places["socket"] = str(self.run / SOCKET_NAME).replace("%", "%%")
        # `systemd-analyze verify` complains of a page that is not there.
        places["documentation"] = f"man:lastcall(1) {HOME}" if self.manual else HOME
        python = str(self.python).replace("%", "%%")
        daemons = " ".join(f"{name}.service" for name in DAEMONS)
        texts = {
            SERVICE: _SERVICE, STAMP: _STAMP, RESTORE: _RESTORE, CHECK: _CHECK, CHECK_TIMER: _CHECK_TIMER,
            OUTAGE: OUTAGE_TEXT, POWER_SOCKET: SOCKET_TEXT, POWER_ANSWER: ANSWER_TEXT, POWER_AGAIN: AGAIN_TEXT,
            SLEEP: SLEEP_TEXT,
        }  # fmt: skip
        return {
            name: text.format(**names, **places, after=_after(), daemons=daemons, python=python, alias=alias)
            for name, text in texts.items()
        }


def last_line() -> str:
    """The script that asks the guests where lastcall cannot run."""
    return Path(__file__).with_name("last-line.sh").read_text(encoding="utf-8")


def job_timeout(deadline: float) -> str | None:
    """The drop-in for a shutdown's targets; None where systemd's own limit leaves enough time."""
    return _JOBS.format(seconds=deadline + JOB_MARGIN) if deadline + JOB_MARGIN > JOB_TIMEOUT else None


def _after() -> str:
    daemons = [f"{name}.{kind}" for name in (*DAEMONS, *HELPERS) for kind in ("service", "socket")]
    lines = [daemons[index : index + 6] for index in range(0, len(daemons), 6)]
    around = [list(AROUND[index : index + 5]) for index in range(0, len(AROUND), 5)]
    return "\n".join(f"After={' '.join(line)}" for line in [*lines, *around])


def _mounts(program: Path, state: Path) -> str:
    return " ".join(dict.fromkeys(_escaped(path) for path in (state, program.parent)))


def _escaped(path: Path) -> str:
    """A path as a unit file takes it, spaces and per cent signs included."""
    text = str(path).replace("%", "%%")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if any(one in text for one in " \"'\\") else text
