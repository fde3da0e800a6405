"""What lastcall replaces, as it is found on hosts: libvirt-guests, and beside it a unit that runs a script."""

from lab.host import Host

SETTINGS = "ON_BOOT=start\nON_SHUTDOWN=shutdown\nPARALLEL_SHUTDOWN=10\nSHUTDOWN_TIMEOUT=120\n"
UNIT = """\
[Unit]
Description=Graceful shutdown
After=libvirtd.service libvirt-guests.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/usr/local/bin/stopvm.sh
[Install]
WantedBy=multi-user.target
"""
SCRIPT = """\
#!/bin/bash
for vm in $(virsh list --name); do virsh shutdown "$vm"; done
while [ -n "$(virsh list --name | tr -d '\\n')" ]; do sleep 1; done
"""


def set_up(host: Host, *, libvirt_guests: bool = True) -> None:
    """Put it on a host that runs."""
    if libvirt_guests:
        host.run("cat > /etc/default/libvirt-guests", given=SETTINGS)
    host.run("cat > /etc/systemd/system/graceful-shutdown.service", given=UNIT)
    host.run("cat > /usr/local/bin/stopvm.sh; chmod 755 /usr/local/bin/stopvm.sh", given=SCRIPT)
    host.run("systemctl daemon-reload; systemctl -q enable --now graceful-shutdown")


def time_to_off(host: Host, **switches: str) -> float:
    """Seconds from `poweroff` until the host is off, with these guests running."""
    host.guests(**switches)
    took = host.stop()
    cut_off = host.cut_off(*switches)
    if cut_off:
        raise RuntimeError(f"not shut down: {cut_off}")
    return took
