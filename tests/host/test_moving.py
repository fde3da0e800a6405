"""A host that reboots: who may move goes on at the other host meanwhile, and comes back with the boot."""

import uuid
from collections.abc import Callable

from host.test_poweroff import configure, last_report
from lab.host import Host, join_hosts

NAMES = ("ha", "hb")
TARGET = "qemu+tcp://hb/system"
RULES = f"guests: [{{match: web, stop: [{{migrate: {{to: '{TARGET}', timeout: 3min}}}}, acpi]}}]\n"
# What two machines differ in, and two containers of one image do not; and the door of hb's libvirt.
OF_ITS_OWN = """\
hostname {name}
echo {name} > /etc/hostname
printf '10.31.0.1 ha\\n10.31.0.2 hb\\n' >> /etc/hosts
printf 'host_uuid = "{uuid}"\\nauth_tcp = "none"\\n' >> /etc/libvirt/libvirtd.conf
systemctl stop libvirtd.service
systemctl -q enable --now libvirtd-tcp.socket
systemctl start libvirtd.service
"""


def test_a_guest_goes_on_at_the_other_host_while_its_own_reboots_and_comes_back_as_soon_as_that_one_is_reached(
    make_host: Callable[[], Host],
) -> None:
    ha, hb = hosts = make_host(), make_host()
    for name, host in zip(NAMES, hosts, strict=True):
        host.boot()
        host.run(OF_ITS_OWN.format(name=name, uuid=uuid.uuid4()))
    join_hosts(ha, hb)
    ha.run("lastcall install")
    configure(ha, RULES)
    ha.guests(web="", db="")
    assert "web" in ha.run("lastcall plan --reason reboot")
    ha.stop("systemctl --no-block reboot")
    assert ha.boots_again()
    assert hb.running() == {"web"}
    assert (set(ha.cut_off("db")), "guest is going down" in ha.serial("web")) == (set(), False)

    ha.power_on()
    ha.wait_until(lambda: "web" in ha.tries("lastcall status").stdout, "its status is told")
    assert (hb.running(), ha.running() - {"db"}) == ({"web"}, set()), "hb is not reached: it may run there"
    join_hosts(ha, hb)
    ha.wait_until(lambda: ha.running() == {"web", "db"}, "both are back")
    ha.wait_until(lambda: hb.running() == set(), "it runs here alone", pause=0.5)
    ha.wait_until(lambda: "no guest waits" in ha.tries("lastcall status").stdout, "the restore is over")
    back = {guest["name"]: guest for guest in last_report(ha, "restore")["guests"]}
    assert (back["web"]["outcome"], back["web"]["moved_from"]) == ("moved", TARGET)
    gone = {guest["name"]: guest for guest in last_report(ha, "shutdown")["guests"]}
    assert (gone["web"]["outcome"], gone["web"]["moved_to"], gone["db"]["outcome"]) == ("moved", TARGET, "stopped")
    assert hb.serial("web").count("guest is up") == 0, "it has not begun anew"
