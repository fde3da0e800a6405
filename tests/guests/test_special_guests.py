"""Real guests that are not just running: paused, coming back by themselves, not to be saved, started meanwhile."""

import subprocess
from pathlib import Path

import libvirt

from lab.daemon import Daemon
from lab.guests import LinuxGuest, firmware_guests, linux_guests, opened, remove, states
from lab.patience import wait_until
from support import report_of, run_lastcall, write_config


def restarting(lab: Daemon, name: str) -> LinuxGuest:
    """A guest with on_poweroff=restart that is up."""
    guest = LinuxGuest(lab, name, "slow=1")
    guest.xml = guest.xml.replace("<on_crash>", "<on_poweroff>restart</on_poweroff><on_crash>")
    with opened(lab.qemu) as connection:
        guest.wake_up(connection)
    guest.wait_until_up()
    return guest


def test_a_guest_that_restarts_on_poweroff_stays_off_and_keeps_its_setting(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    try:
        guest = restarting(lab, "phoenix")
        assert "on_poweroff is restart" in run_lastcall(config, "check").stdout
        done = run_lastcall(config, "shutdown", "--json")
        (result,) = report_of(done)["guests"]
        assert (result["outcome"], result["ended"], done.returncode) == ("stopped", "shutdown", 0), done.stderr
        assert guest.went_down_cleanly
        with opened(lab.qemu) as connection:
            assert "<on_poweroff>restart" in connection.lookupByName("phoenix").XMLDesc(0)
            assert states(connection)["phoenix"] == "off"
    finally:
        with opened(lab.qemu) as connection:
            remove(connection, ["phoenix"])


def test_the_setting_is_put_back_when_the_guest_stays_up_and_before_it_is_saved(lab: Daemon, tmp_path: Path) -> None:
    try:
        restarting(lab, "stays")
        deaf = "defaults: {stop: [{acpi: {timeout: 0.2s, resend: 0}}]}"
        config = write_config(tmp_path, lab.qemu, more=deaf)
        assert report_of(run_lastcall(config, "shutdown", "--json"))["guests"][0]["outcome"] == "left"
        with opened(lab.qemu) as connection:
            assert "<on_poweroff>restart" in connection.lookupByName("stays").XMLDesc(0)
    finally:
        with opened(lab.qemu) as connection:
            remove(connection, ["stays"])


def test_a_paused_guest_is_resumed_and_shut_down_where_that_is_wanted(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {paused: resume, stop: [acpi]}")
    with linux_guests(lab, napping="slow=1") as guests:
        lab.virsh("suspend", "napping")
        plan = run_lastcall(config, "plan").stdout
        assert "resume (≤ 15s) → acpi" in plan
        done = run_lastcall(config, "shutdown", "--json")
        (guest,) = report_of(done)["guests"]
        assert [attempt["method"] for attempt in guest["attempts"]] == ["resume", "acpi"]
        assert (guest["outcome"], done.returncode) == ("stopped", 0), done.stderr
        assert guests["napping"].went_down_cleanly


def test_a_save_that_fails_removes_nothing_and_the_next_rung_is_taken(lab: Daemon, tmp_path: Path) -> None:
    """The folder for saved images is a full file system; another guest's image in it stays."""
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [save, acpi]}")
    images = "/var/lib/libvirt/qemu/save"
    enter = ["nsenter", "--mount", "--target", str(lab.pid())]
    with linux_guests(lab, full="slow=1") as guests:
        mount = f"mkdir -p {images} && mount -t tmpfs -o size=8m lab {images} && echo precious > {images}/other.save"
        subprocess.run([*enter, "sh", "-c", mount], check=True)
        try:
            done = run_lastcall(config, "shutdown", "--json")
            kept = subprocess.run([*enter, "cat", f"{images}/other.save"], capture_output=True, text=True, check=True)
        finally:
            subprocess.run([*enter, "umount", images], check=True)
        (guest,) = report_of(done)["guests"]
        assert [attempt["result"] for attempt in guest["attempts"]] == ["failed", "stopped"], guest
        assert guests["full"].went_down_cleanly
        assert kept.stdout == "precious\n"


def test_a_guest_started_during_the_run_is_swept_up(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="guests: [{match: 'late*', stop: [save]}]")
    (tmp_path / "hooks.d" / "10-starts.py").write_text(
        "import lastcall, subprocess\n"
        "@lastcall.hookimpl\n"
        "def on_guest_stopped(guest, run):\n"
        f"    if guest.name == 'early': subprocess.run(['virsh', '-c', {lab.qemu!r}, 'start', 'late'], check=True)\n"
    )
    with firmware_guests(lab, "late") as connection, linux_guests(lab, early="slow=0", slow="slow=3"):
        connection.lookupByName("late").destroy()
        done = run_lastcall(config, "shutdown", "--json")
        report = report_of(done)
        assert {guest["name"]: guest["outcome"] for guest in report["guests"]} == {
            "early": "stopped", "slow": "stopped", "late": "saved"
        }  # fmt: skip
        assert "started while the run goes on" in report["problems"][0]["message"]
        assert states(connection)["late"] == "off"
        done = run_lastcall(config, "restore", "--json")
        assert "late" in [guest["name"] for guest in report_of(done)["guests"]]


def test_somebody_elses_save_is_waited_for_and_not_disturbed(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    with firmware_guests(lab, "busy") as connection:
        (tmp_path / "hooks.d" / "10-saves.py").write_text(
            "import lastcall, subprocess, time\n"
            "@lastcall.hookimpl\n"
            "def plugin_options():\n"
            f"    subprocess.Popen(['virsh', '-c', {lab.qemu!r}, 'managedsave', 'busy'])\n"
            "    time.sleep(0.2)\n"
        )
        done = run_lastcall(config, "shutdown", "--json")
        report = report_of(done)
        assert [guest["outcome"] for guest in report["guests"]] in ([], ["saved"]), report
        assert all(guest["asked"] is None for guest in report["guests"])
        assert states(connection) == {"busy": "off"}


def test_an_autostart_that_defeats_the_order_is_warned_of(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="guests: [{match: second, depends_on: [first]}]")
    with firmware_guests(lab, "first", "second") as connection:
        connection.lookupByName("second").setAutostart(1)
        done = run_lastcall(config, "check")
        assert "! autostart second: libvirt starts it by itself" in done.stdout
        assert "virsh autostart --disable second" in done.stdout
        assert done.returncode == 0, "a warning"
        connection.lookupByName("second").setAutostart(0)


def test_check_compares_memory_with_the_reserve(lab: Daemon, tmp_path: Path) -> None:
    more = "defaults: {last_resort: [save, destroy]}\nshutdown: {reserve: 12s}"
    config = write_config(tmp_path, lab.qemu, more=more)
    with firmware_guests(lab, "large"):
        assert "saving 32 MiB takes about 0 s; the reserve leaves 0 s" in run_lastcall(config, "check").stdout


def test_a_sleeping_guest_is_woken_before_it_is_saved(lab: Daemon, tmp_path: Path) -> None:
    """Saved, as this guest's kernel neither hears its power button nor powers off after a sleep under TCG."""
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [save]}")
    with linux_guests(lab, dozing="slow=1"), opened(lab.qemu) as connection:
        lab.agent("dozing", "/bin/sh", "-c", "sleep 1; echo mem > /sys/power/state")  # once it has answered
        asleep = str(libvirt.VIR_DOMAIN_PMSUSPENDED)
        wait_until(lambda: states(connection)["dozing"] == asleep, "it sleeps", process=lab.qemu_of("dozing"))
        done = run_lastcall(config, "shutdown", "--json")
        (guest,) = report_of(done)["guests"]
        assert guest["state_before"] == "suspended"
        assert [(attempt["method"], attempt["result"]) for attempt in guest["attempts"]] == [
            ("wake", "ok"), ("save", "saved")
        ]  # fmt: skip
        assert (guest["outcome"], done.returncode) == ("saved", 0), done.stderr
