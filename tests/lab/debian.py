"""A whole Debian guest with sshd, dropbear, PostgreSQL, MariaDB, Redis, SQLite: made once per machine, then overlaid.

The image is a folder that mmdebstrap fills and mke2fs puts into a file; a guest boots a kernel beside it directly, and
writes to an overlay of its own that survives when the plug is pulled. It says `guest is up` on its serial console.
"""

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab import kernel
from lab.cache import CACHE, made_once
from lab.kernel import make_kernel

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "kmod", "iproute2", "openssh-server", "dropbear-bin", "sudo",
    "qemu-guest-agent", "postgresql-15", "mariadb-server", "redis-server", "sqlite3",
)  # fmt: skip
# A guest loads all that it needs at once; its folder of modules is empty.
MODULES = ("button", "evdev", "virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng")
CMDLINE = "console=ttyS0 quiet systemd.show_status=false mitigations=off cryptomgr.notests norandmaps"
"""Programs that lie elsewhere each time are translated each time by TCG: half of a boot is that."""
DROPBEAR_PORT = 2222
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_DROPBEAR = f"""\
[Unit]
After=network.target
[Service]
ExecStart=/usr/sbin/dropbear -F -E -s -p {DROPBEAR_PORT} -r /etc/dropbear/dropbear_ed25519_host_key
[Install]
WantedBy=multi-user.target
"""
_UP = """\
[Unit]
After=ssh.service dropbear-lab.service postgresql@15-main.service mariadb.service redis-server.service
After=qemu-guest-agent.service
[Service]
ExecStart=/bin/sh -c 'echo "guest is up" > /dev/ttyS0'
[Install]
WantedBy=multi-user.target
"""
_INIT = """\
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 -o rw,noatime /dev/vda /root
init=/sbin/init
for word in $(cat /proc/cmdline); do case $word in init=*) init=${word#init=} ;; esac; done
mount --move /dev /root/dev; umount /proc /sys
exec switch_root /root "$init"
"""
_NETWORK = "[Match]\nName=en*\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
_SETUP = """\
set -e
echo guest > /etc/hostname
echo 127.0.0.1 localhost guest > /etc/hosts
rm -f /etc/resolv.conf
mkdir -p /etc/dropbear /root/.ssh
rm -f /etc/dropbear/*
dropbearkey -t ed25519 -f /etc/dropbear/dropbear_ed25519_host_key > /dev/null
adduser --quiet --disabled-password --gecos '' worker
mkdir -p /home/worker/.ssh
cp /root/.ssh/authorized_keys /home/worker/.ssh/
chown -R worker: /home/worker/.ssh
echo 'worker:open sesame' | chpasswd
echo 'worker ALL=(postgres) NOPASSWD: ALL' > /etc/sudoers.d/worker
chmod 440 /etc/sudoers.d/worker
chmod 700 /root/.ssh /home/worker/.ssh
systemctl -q enable lab-up dropbear-lab systemd-networkd qemu-guest-agent ssh postgresql mariadb redis-server
systemctl -q mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \\
    dpkg-db-backup.timer systemd-networkd-wait-online.service getty@tty1.service systemd-pstore.service
sed -i 's/^#*PasswordAuthentication.*/PasswordAuthentication yes/; s/^UsePAM.*/UsePAM no/' /etc/ssh/sshd_config
echo 'MaxStartups 100' >> /etc/ssh/sshd_config
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old
"""


@dataclass(frozen=True, slots=True)
class Debian:
    """The built image, and beside it `vmlinux` and `initramfs`. `key`: a private key that root and worker accept."""

    image: Path
    key: Path

    @property
    def folder(self) -> Path:
        """Where everything is."""
        return self.image.parent


def build(cache: Path = CACHE) -> Debian:
    """Return the image, made once per cache and change of this file."""

    def make(made: Path) -> None:
        _build(made, cache)

    text = Path(__file__).read_bytes() + Path(kernel.__file__).read_bytes()
    folder = made_once(f"debian-{hashlib.sha256(text).hexdigest()[:12]}", make, cache)
    return Debian(folder / "image.raw", folder / "key")


def _build(made: Path, cache: Path) -> None:
    make_kernel(made, _INIT, MODULES, lambda root: (root / "root").mkdir(), cache)
    root = made / "root"
    sources = next(path for path in _SOURCES if path.exists())
    leave_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "mysql/policy")]
    command = [
        "mmdebstrap", "--quiet", "--variant=apt", "--mode=root", "--aptopt=Apt::Install-Recommends \"false\"",
        "--dpkgopt=force-unsafe-io", *leave_out, f"--include={','.join(PACKAGES)}", "bookworm", str(root), str(sources),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the Debian image cannot be made:\n{done.stderr[-3000:]}")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made / "key")], check=True)
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(made / "key.pub", root / "root/.ssh/authorized_keys")
    (root / "etc/systemd/system/dropbear-lab.service").write_text(_DROPBEAR)
    (root / "etc/systemd/system/lab-up.service").write_text(_UP)
    (root / "etc/systemd/network/10-lab.network").write_text(_NETWORK)
    done = subprocess.run(["chroot", str(root), "sh", "-c", _SETUP], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the Debian image cannot be set up:\n{done.stderr[-3000:]}")
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(made / "image.raw"), "3G"], check=True, capture_output=True
    )
    shutil.rmtree(root)
