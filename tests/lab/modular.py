"""A daemon for each part of libvirt, as on Fedora: virtqemud, virtnetworkd, virtstoraged and sockets of their names.

Debian packages libvirtd only. So each of them is a libvirtd that finds one driver, at the socket and in the unit of the
daemon whose part it plays. What it does not play: virtqemud asks the others for whoever asks it about networks.
"""

from lab.host import Host

DRIVERS = {"virtqemud": "qemu", "virtnetworkd": "network", "virtstoraged": "storage"}
_MONOLITH = "libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket"
_SERVICE = """\
[Unit]
Wants={daemon}.socket
After={daemon}.socket dbus.service
Requires=virtlogd.socket
After=virtlogd.socket
Conflicts=libvirtd.service
[Service]
Type=notify
Environment=LIBVIRT_DRIVER_DIR=/usr/lib/modular/{daemon}
ExecStart=/usr/sbin/libvirtd --pid-file /run/{daemon}.pid --timeout {idle}
KillMode=process
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
_SOCKET = """\
[Socket]
ListenStream=/run/libvirt/{daemon}-sock
FileDescriptorName=libvirtd.socket
Service={daemon}.service
RemoveOnStop=yes
[Install]
WantedBy=sockets.target
"""


def make_modular(host: Host, *, idle: int = 120) -> None:
    """Have the daemons in place of libvirtd on a host that runs; each ends `idle` seconds after it was last needed."""
    host.run(f"systemctl -q disable --now {_MONOLITH} 2> /dev/null")
    host.run("echo 'uri_default = \"qemu:///system\"' >> /etc/libvirt/libvirt.conf")
    for daemon, driver in DRIVERS.items():
        folder = f"/usr/lib/modular/{daemon}"
        host.run(f"mkdir -p {folder}; ln -s /usr/lib/*/libvirt/connection-driver/libvirt_driver_{driver}.so {folder}")
        host.run(f"cat > /etc/systemd/system/{daemon}.service", given=_SERVICE.format(daemon=daemon, idle=idle))
        host.run(f"cat > /etc/systemd/system/{daemon}.socket", given=_SOCKET.format(daemon=daemon))
    units = " ".join(f"{daemon}.service {daemon}.socket" for daemon in DRIVERS)
    host.run(f"systemctl daemon-reload; systemctl -q enable --now {units}")
