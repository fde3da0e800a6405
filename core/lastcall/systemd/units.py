"""The units, as they are written for a program that lies anywhere."""

import sys
from pathlib import Path

from lastcall.config.settings import Settings

UNITS = Path("etc/systemd/system")
SERVICE = "lastcall.service"
RESTORE = "lastcall-restore.service"
ALIAS = "graceful-shutdown.service"
# Services and sockets: no unit can be started during a shutdown, and whoever touches the socket of a daemon that is
# stopped may wait for hours. On Debian 12 libvirtd went in the middle of the work of libvirt-guests.
DAEMONS = ("libvirtd", "virtqemud", "virtlxcd", "virtvboxd", "virtvzd", "virtxend", "virtbhyved")
HELPERS = (
    "virtlogd", "virtlockd", "virtproxyd", "virtnetworkd", "virtstoraged", "virtnodedevd", "virtnwfilterd",
    "virtsecretd", "virtinterfaced",
)  # fmt: skip
# What a stop may need: libvirt's daemons and those who help them, a network with names, where disks and files lie.
AROUND = (
    "network.target", "network-online.target", "nss-lookup.target", "nss-user-lookup.target", "time-sync.target",
    "remote-fs.target", "dbus.service", "dbus.socket", "systemd-machined.service", "iscsid.service", "iscsi.service",
    "open-iscsi.service", "multipathd.service", "multipathd.socket", "firewalld.service", "nftables.service",
    "openvswitch-switch.service", "libvirt-guests.service",
)  # fmt: skip

_SERVICE = """\
# Stops the guests of this host when it is shut down or rebooted. Written by `lastcall install`.
#
# Starting it touches no guest. It cannot be stopped by hand, as the guests would go on without it at the next poweroff:
# `lastcall shutdown` stops guests, `lastcall uninstall` takes the unit away.

[Unit]
Description=Last call for the guests of this host
# libvirt orders the scope of every guest before this target, so that systemd stops it after us. Never Requires, PartOf
# or BindsTo: a daemon that is restarted must not stop guests.
Wants=virt-guest-shutdown.target {restore}
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
# Whatever becomes of the stamp: without a start that succeeded there is no ExecStop.
ExecStart=-/usr/bin/timeout --kill-after=5 20 {program} stamp
# A run that was killed, or crashed, gets a second chance in what is left of its time.
ExecStop=-{program} shutdown --from-unit
ExecStop={program} shutdown --from-unit --again
# Extended while the run makes progress, never past its deadline.
TimeoutStopSec=2min
NotifyAccess=exec
KillMode=mixed
OOMScoreAdjust=-500
SyslogIdentifier=lastcall

[Install]
WantedBy=multi-user.target
Alias={alias}
"""
_RESTORE = """\
# Brings back the guests that the last shutdown stopped. Pulled in by lastcall.service, and again whenever a libvirt
# daemon is started: one that was broken at boot costs no guest its restore. Where nothing is due it does nothing.

[Unit]
Description=Bring back the guests of this host
After={service}
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
_JOBS = """\
# Written by `lastcall install`: systemd forces the host off when the whole shutdown takes longer than this.
[Unit]
JobTimeoutSec={seconds:.0f}
"""
JOB_TARGETS = ("poweroff.target", "reboot.target")
JOB_TIMEOUT = 1800.0  # seconds that systemd's own files give
JOB_MARGIN = 300.0  # seconds for everything else that a shutdown stops


def longest_deadline(settings: Settings) -> float:
    """Seconds that a host stop may take, whatever its reason."""
    given = [settings.shutdown.deadline, *(one.deadline for one in settings.shutdown.by_reason.values())]
    return max((one for one in given if one is not None), default=0.0)


def program_path() -> Path:
    """Where this program lies: in its virtual environment, or in /usr/bin."""
    beside = Path(sys.executable).with_name("lastcall")
    return beside if beside.exists() else Path(sys.argv[0]).absolute()


def service_unit(program: Path, state: Path) -> str:
    """`lastcall.service` for this program; `state` is paths.state."""
    return _SERVICE.format(
        restore=RESTORE, after=_after(), mounts=_mounts(program, state), program=_escaped(program), alias=ALIAS
    )


def restore_unit(program: Path, state: Path) -> str:
    """`lastcall-restore.service`."""
    return _RESTORE.format(
        service=SERVICE, after=_after(), mounts=_mounts(program, state), program=_escaped(program),
        daemons=" ".join(f"{name}.service" for name in DAEMONS),
    )  # fmt: skip


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
