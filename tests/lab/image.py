"""A Linux guest that boots in seconds under TCG: Debian's cloud kernel and an initramfs of busybox and qemu-ga.

Switches give it its manners: `slow=7` (seconds to power off), `deaf=1` (no power button), `agent=0`, `exec=0` (an agent
that runs nothing), `wait=1` (goes no further before its switches are others). It reads them from QEMU's fw_cfg, where
somebody who was saved finds other ones when it wakes up. It says `guest is up` and `guest is going down` on its serial
console.
"""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from lab import kernel
from lab.cache import CACHE, made_once
from lab.kernel import make_kernel, write_script

MODULES = ("button", "evdev", "virtio_pci", "virtio_console", "qemu_fw_cfg")
SWITCHES = "opt/lastcall/switches"
"""Where its switches stand in fw_cfg."""
WIDTH = 63
"""So many characters they have, filled up by a word of dots: its kernel looks only once how many there are."""
CMDLINE = "console=ttyS0 quiet cryptomgr.notests lockdown=confidentiality lsm=lockdown"
"""What a kernel does without is a fifth of its boot under TCG; the lockdown keeps it from making thousands of files for
tracing.
"""

INIT = """\
mkdir -p /dev/virtio-ports /var/run
# The kernel hears of the ports, and then of their names, a moment after their driver was loaded.
for try in $(seq 100); do
    [ -n "$(ls -d /sys/bus/virtio/drivers/virtio_console/virtio* 2> /dev/null)" ] || break
    grep -qs . /sys/class/virtio-ports/*/name && break
    sleep 0.1
done
for port in /sys/class/virtio-ports/*; do
    [ -e "$port/name" ] && ln -s "../${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
switched() {
    slow=0; deaf=0; agent=1; exec=1; wait=0
    read -r words < /sys/firmware/qemu_fw_cfg/by_name/opt/lastcall/switches/raw
    for word in $words; do
        case $word in slow=*|deaf=*|agent=*|exec=*|wait=*) eval "$word" ;; esac
    done
    echo "$slow" > /slow
    [ "$wait" = 0 ]
}
serve() {
    [ "$deaf" = 1 ] || acpid -d > /dev/null 2>&1 &
    if [ "$agent" = 1 ] && [ -e /dev/virtio-ports/org.qemu.guest_agent.0 ]; then
        forbidden=; [ "$exec" = 1 ] || forbidden="-b guest-exec,guest-exec-status"
        qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -t /var/run $forbidden
    fi
}
if switched; then
    serve
else
    serve  # what most guests want who are saved here
    echo "guest waits" > /dev/console
    until switched; do sleep 0.1; done
    [ "$deaf$agent$exec" = 011 ] || { killall acpid qemu-ga 2> /dev/null; rm -f /var/run/qga.*; serve; }
fi
echo "guest is up" > /dev/console
while :; do sleep 3600; done
"""

GO_DOWN = """\
#!/bin/sh
[ -e /going ] && exit 0
: > /going
( sleep "$(cat /slow)"; echo "guest is going down" > /dev/console; poweroff -f ) &
"""


def build(cache: Path = CACHE) -> tuple[Path, Path]:
    """Return (kernel, initramfs), made once per cache and change of this file."""
    text = Path(__file__).read_bytes() + Path(kernel.__file__).read_bytes()

    def make(made: Path) -> None:
        make_kernel(made, INIT, MODULES, _fill, cache)

    folder = made_once(hashlib.sha256(text).hexdigest()[:12], make, cache)
    return folder / "vmlinux", folder / "initramfs"


def _fill(root: Path) -> None:
    (root / "sbin" / "hwclock").symlink_to("/bin/busybox")  # where the agent looks for it
    _copy_program(Path(shutil.which("qemu-ga") or "/usr/sbin/qemu-ga"), root)
    write_script(root / "etc/acpi/PWRF/00000080", GO_DOWN)
    write_script(root / "sbin" / "shutdown", GO_DOWN)


def _copy_program(program: Path, root: Path) -> None:
    """Copy a program and the libraries that `ldd` names."""
    shutil.copy(program, root / "bin" / program.name)
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for library in re.findall(r"(/\S+) \(0x", listed):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
