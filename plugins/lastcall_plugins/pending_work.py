"""What the system of a guest is in the middle of: updates, and whatever has asked that it be not shut down.

One command is run in the guest, which changes nothing there, and says a line for each thing. What cannot be known is
not known: a guest in which something is missing is not busy because of it.
"""

import shlex
from collections.abc import Iterator

from lastcall import Command, ShellError, ShellSession

TIME = 5.0  # seconds for the command
WINDOWS = "mswindows"  # as its agent calls itself
_OUTPUT = 16_384  # bytes
_FIELDS = 6  # of one inhibitor: what, who, why, mode, and two numbers

# Names of processes are cut to 15 letters by the kernel. One of unattended-upgrades waits for the shutdown all day. A
# read lock is that of somebody who only looks.
_POSIX = r"""
for process in /proc/[0-9]*; do
    read -r name 2> /dev/null < "$process/comm" || continue
    case $name in
        apt|apt-get|aptitude|dpkg|unattended-upgr|dnf|dnf5|dnf-automatic|yum|rpm|zypper|pacman|apk) ;;
        *) continue ;;
    esac
    case $(tr '\0' ' ' 2> /dev/null < "$process/cmdline") in *--wait-for-signal*) continue ;; esac
    echo "runs $name"
done
for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/rpm/.rpm.lock; do
    [ -e "$lock" ] || continue
    inode=$(ls -i "$lock")
    grep -q " WRITE .*:${inode%% *} " /proc/locks 2> /dev/null && echo "locked $lock"
done
[ -e /system-update ] && echo "offline"
busctl --timeout=2 call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager \
    ListInhibitors 2> /dev/null
exit 0
"""
_POWERSHELL = r"""
if (Get-Process -Name TrustedInstaller -ErrorAction SilentlyContinue) { 'runs TrustedInstaller' }
$update = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired'
if (Test-Path $update) { 'windows' }
"""


def pending_work(session: ShellSession, system: str) -> list[str]:
    """What it is busy with, in words. `system`: what its agent says that it is; nothing counts as POSIX."""
    windows = ("powershell.exe", "-NoProfile", "-NonInteractive", "-Command", _POWERSHELL)
    argv = windows if system == WINDOWS else ("/bin/sh", "-c", _POSIX)
    try:
        result = session.execute(Command(argv=argv, timeout=TIME, output_limit=_OUTPUT))
    except ShellError:
        return []
    return list(dict.fromkeys(_reasons(result.stdout)))


def _reasons(output: str) -> Iterator[str]:
    for line in output.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "runs":
            yield f"an update or an installation is under way ({rest})"
        elif word == "locked":
            yield f"packages are being installed ({rest} is held)"
        elif word == "offline":
            yield "its next start installs updates (/system-update)"
        elif word == "windows":
            yield "its shutdown installs updates (Windows Update waits for a reboot)"
        elif word == "a(ssssuu)":
            yield from _inhibitors(rest)


def _inhibitors(told: str) -> Iterator[str]:
    """Who blocks a shutdown, by logind's list as `busctl` prints it: a number, and six fields each."""
    try:
        _, *fields = shlex.split(told)
    except ValueError:
        return
    for at in range(0, len(fields) - _FIELDS + 1, _FIELDS):
        what, who, why, mode = fields[at : at + 4]
        # `delay` holds a shutdown up for seconds, as half of all desktops do.
        if mode == "block" and "shutdown" in what.split(":"):
            yield f"{who or 'something'} blocks its shutdown: {why or 'it says not why'}"
