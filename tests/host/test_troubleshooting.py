"""docs/troubleshooting.md, followed step by step on a host where things went wrong."""

from host.test_poweroff import configure
from lab.host import Host
from support import shell_blocks

# More memory than any host has: what is merely not there yet would be waited for.
TOO_MUCH = "virsh dumpxml --inactive lost | sed '/<memory/s,>[0-9]*<,>99999999999<,' | virsh -q define /dev/stdin"
ENOUGH = "virsh dumpxml --inactive lost | sed '/<memory/s,>[0-9]*<,>196608<,' | virsh -q define /dev/stdin"


def test_the_page_leads_from_what_went_wrong_to_why_and_to_the_remedy(installed: Host) -> None:
    overview, guest, back, failed, mended, journal = shell_blocks("troubleshooting.md")
    configure(installed, "shutdown: {deadline: 30s, reserve: 15s}\nrestore: {retry: 1s}\n")
    installed.guests(deaf="slow=0 deaf=1", lost="slow=0", fine="slow=0")
    installed.run(TOO_MUCH)
    installed.stop()
    installed.boot()
    installed.wait_until(lambda: "parked" in installed.tries("lastcall status").stdout, "the lost guest is parked")

    checked, status, report = (installed.tries(command) for command in overview)
    assert "1 guest of an earlier shutdown waits to be restored" in checked.stdout
    assert status.stdout.splitlines()[0] == "on duty"
    assert "parked: started only by `lastcall restore lost`" in status.stdout
    assert report.returncode == 1
    told = report.stdout.splitlines()
    (forced,) = [number for number, line in enumerate(told) if line.startswith("✗ deaf  forced by destroy")]
    assert "acpi timeout after" in told[forced + 1] + told[forced + 2]
    assert any("lost" in line and "parked after 3 attempts" in line and "memory" in line for line in told), told

    (explained,) = [installed.run(command) for command in guest]
    assert "stop: [agent, acpi]  (built-in)" in explained

    (at_boot,) = [installed.tries(command).stdout for command in failed]
    assert all(f"{unit}.service - " in at_boot for unit in ("lastcall", "lastcall-stamp"))
    for command in mended:
        installed.run(command)

    entries = [installed.run(command) for command in journal]
    assert all("deaf: forced" in text for text in entries[:3])
    assert "fine: stopped" in entries[0]
    assert "fine: stopped" not in entries[1] + entries[2]
    assert "shutdown (poweroff)" in entries[3]

    restore, forget = back
    installed.run(ENOUGH)
    assert "✓ lost  started" in installed.run(restore)
    assert installed.running() == {"deaf", "lost", "fine"}
    assert "is not on the list" in installed.tries(forget).stderr, "it has come back"

    installed.run("lastcall uninstall")
    status = installed.tries("lastcall status")
    assert (status.returncode, status.stdout.splitlines()[0].split(":")[0]) == (3, "not on duty")
    assert "is not installed" in installed.tries("lastcall check").stdout
    installed.run("lastcall install")
    assert installed.tries("lastcall status").returncode == 0
