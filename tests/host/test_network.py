"""Hooks that need the network while the host goes down: SSH into a guest, HTTP to a server on the host."""

import subprocess
from collections.abc import Callable

from host.test_poweroff import configure, find, last_report, unit_time
from lab.debian import CMDLINE, build
from lab.host import Host

GUEST = """\
<domain type='qemu'><name>db</name><memory unit='MiB'>1024</memory><vcpu>1</vcpu><cpu mode='maximum'/>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>/debian/vmlinux</kernel><initrd>/debian/initramfs</initrd>
<cmdline>{cmdline}
systemd.mask=postgresql.service systemd.mask=mariadb.service systemd.mask=redis-server.service</cmdline></os>
<features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/var/lib/db.qcow2'/>
<target dev='vda' bus='virtio'/></disk>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
<interface type='network'><source network='lab'/><model type='virtio'/></interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>
"""
NETWORK = """\
<network><name>lab</name><bridge name='lab0' stp='off' delay='0'/>
<ip address='192.168.77.1' netmask='255.255.255.0'><dhcp><range start='192.168.77.10' end='192.168.77.99'/></dhcp></ip>
</network>
"""
SERVER = """\
[Unit]
Description=Something that hooks report to
After=network.target
Before=lastcall.service
[Service]
ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /srv 8080
[Install]
WantedBy=multi-user.target
"""
TELL = """\
#!/usr/bin/python3
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:8080/word", timeout=5).read().decode())
"""
CONFIG = """\
plugins: {ssh: {user: root, key: /etc/lastcall/key}}
hooks: {plugins: {commands: {timeout: 90s}}}
guests:
  - match: db
    shell: ssh
    commands: ["echo told by $(hostname) as $(id -un)"]
"""


def test_hooks_reach_guests_by_ssh_and_servers_by_http_while_the_host_goes_down(make_host: Callable[[], Host]) -> None:
    host, image = make_host(), build()
    host.shown["/debian"] = image.folder
    host.boot()
    disk = host.upper / "var/lib/db.qcow2"
    overlay = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-u", "-b", "/debian/image.raw", str(disk), "3G"]
    subprocess.run(overlay, check=True)
    host.run("systemctl -q enable --now systemd-networkd; lastcall install")
    configure(host, CONFIG)
    host.run("cat > /etc/lastcall/key; chmod 600 /etc/lastcall/key", given=image.key.read_text())
    host.run("mkdir -p /srv /etc/lastcall/hooks.d/pre_shutdown; echo heard over http > /srv/word")
    host.run("cat > /etc/systemd/system/server.service; systemctl -q enable --now server", given=SERVER)
    tell = "/etc/lastcall/hooks.d/pre_shutdown/10-tell"
    host.run(f"cat > {tell}; chmod 755 {tell}", given=TELL)
    host.run("virsh -q net-create /dev/stdin", given=NETWORK)
    host.run("virsh -q define /dev/stdin && virsh -q start db", given=GUEST.format(cmdline=CMDLINE))
    host.wait_until(lambda: host.tries("lastcall ssh enroll db").returncode == 0, "its key is known", pause=1)
    host.wait_until(lambda: host.tries("lastcall check --guests").returncode == 0, "its shell is there", pause=1)
    assert "✓ db: ssh as root" in " ".join(host.run("lastcall check --guests").split())
    host.stop()
    journal = host.journal()
    _, ended = unit_time(journal)
    assert find(journal, "heard over http")
    assert find(journal, "told by guest as root")
    assert find(journal, r"^db: stopped")
    (network,) = find(journal, r"^Stopped target network\.target")
    assert ended <= network.at
    host.boot()
    report = last_report(host, "shutdown")
    assert (report["run"]["exit_code"], report["guests"][0]["outcome"]) == (0, "stopped")
