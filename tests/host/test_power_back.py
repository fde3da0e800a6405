"""A host whose mains are back while it powers off for want of them."""

import json

from lab.host import Host

CONFIG = "plugins: {power: {ups: [], power_returns: reboot}}\n"
FLAG = "/etc/killpower"


def powers_off(host: Host) -> None:
    """Power it off as a UPS that runs low has somebody do it; the mains are back while its guest still stops."""
    host.run("lastcall power low; systemctl --no-block poweroff")
    host.wait_until(
        lambda: "asked" in host.run("systemctl show -P StatusText lastcall.service", check=False), "its guest is asked"
    )
    assert "the host stops all the same, for poweroff" in host.run("lastcall power line")
    host.wait_until_off()


def test_it_reboots_where_the_site_wants_that_and_stays_off_where_its_ups_is_going_to_cut_the_power(
    installed: Host,
) -> None:
    host = installed
    host.run("cat > /etc/lastcall/config.yaml", given=CONFIG)
    host.guests(slow="slow=12")
    powers_off(host)
    assert host.boots_again()
    assert host.cut_off("slow") == {}
    host.boot()
    host.wait_until(lambda: host.running() == {"slow"}, "its guest is back")
    run = next(
        one for one in json.loads(host.run("lastcall report --json"))["runs"] if one["run"]["kind"] == "shutdown"
    )
    assert (run["run"]["reason"], run["complete"]) == ("poweroff", True)
    assert "the host reboots instead of powering off" in run["problems"][-1]["message"]
    assert "reboots instead" not in host.run("lastcall status"), "that was for one power-off"
    host.wait_until_up("slow")
    host.run(f"touch {FLAG}")
    powers_off(host)
    assert not host.boots_again()
