"""The shell script that asks the guests where lastcall cannot run; libvirt is a folder with a file per guest."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lastcall.persistence.last_line import note_deadline
from lastcall.systemd import units

UUIDS = {name: f"11111111-2222-3333-4444-{number:012}" for number, name in enumerate(("db 1", "web", "box"))}
# Each guest is a file `folder of its connection/UUID` with its name, and goes when it is asked, unless it is deaf.
VIRSH = """\
#!/bin/sh
cd "$LIBVIRT/${3%%:*}" 2>/dev/null || exit 1
echo "$3 $4 $5" >> "$LIBVIRT/asked"
[ ! -e hangs ] || exec /bin/sleep 60
case $4 in
list) for one in *-*; do [ ! -e "$one" ] || printf '%-36s %-30s\\n' "$one" "$(cat "$one")"; done ;;
shutdown) [ ! -e freezes ] || touch hangs; grep -q deaf "$5" || rm "$5" ;;
esac
"""
SYSTEMCTL = """\
#!/bin/sh
[ "$1" = is-system-running ] || echo "$@" >> "$LIBVIRT/systemctl"
echo "$STATE"
"""
NOTIFY = '#!/bin/sh\necho "$@" >> "$LIBVIRT/notified"\n'
SLEEP = "#!/bin/sh\nexec /bin/sleep 0.1\n"
TIMEOUT = '#!/bin/sh\n[ "$1" != -k ] || shift 2\nshift\nexec /usr/bin/timeout "$LIMIT" "$@"\n'
PROGRAMS = {"virsh": VIRSH, "systemctl": SYSTEMCTL, "systemd-notify": NOTIFY, "timeout": TIMEOUT, "sleep": SLEEP}


class Stage:
    """A host with the script, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.libvirt = folder, folder / "libvirt"
        self.script = folder / "last-line"
        self.script.write_text(units.last_line())
        self.state, self.run = folder / "state", folder / "run"
        self.list, self.line = self.state / "asked-by-virsh", self.run / "motd.stamp"
        for name, text in PROGRAMS.items():
            path = folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        self.run.mkdir()

    def guests(self, scheme: str, *names: str) -> None:
        (self.libvirt / scheme).mkdir(parents=True)
        for name in names:
            (self.libvirt / scheme / UUIDS[name.removesuffix(" deaf")]).write_text(name)

    def play(
        self,
        verb: str = "stop",
        seconds: int | None = 20,
        *,
        state: str = "stopping",
        more: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        environment = {"PATH": path, "LIBVIRT": str(self.libvirt), "STATE": state, "INVOCATION_ID": "now"}
        environment["LIMIT"] = "60"  # a busy machine may need long for what does not hang
        if seconds is not None:
            note_deadline(self.state, seconds)
        command = ["/bin/sh", str(self.script), verb, str(self.state), str(self.run)]
        return subprocess.run(
            command, env={**environment, **(more or {})}, capture_output=True, text=True, timeout=60, check=False
        )

    def asked(self) -> list[str]:
        path = self.libvirt / "asked"
        return [line for line in path.read_text().splitlines() if " shutdown " in line] if path.exists() else []


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_each_guest_is_asked_once_noted_before_and_waited_for(stage: Stage) -> None:
    stage.guests("qemu", "db 1", "web")
    stage.guests("lxc", "box")
    done = stage.play()
    assert sorted(stage.asked()) == sorted([
        f"qemu:///system shutdown {UUIDS['db 1']}", f"qemu:///system shutdown {UUIDS['web']}",
        f"lxc:///system shutdown {UUIDS['box']}",
    ])  # fmt: skip
    assert stage.list.read_text().splitlines() == [
        f"qemu:///system {UUIDS['db 1']} db 1",
        f"qemu:///system {UUIDS['web']} web",
        f"lxc:///system {UUIDS['box']} box",
    ]
    assert stage.list.stat().st_mode & 0o777 == 0o600
    assert not list(stage.libvirt.glob("*/*-*")), "nobody runs any more when it ends"
    assert "virsh asks 3 guests" in done.stdout
    assert "db 1: asked by virsh" in done.stdout
    assert done.returncode, "the unit says that something was wrong"


def test_who_was_noted_by_an_earlier_stop_and_not_taken_over_stays_noted(stage: Stage) -> None:
    stage.guests("qemu", "web")
    stage.state.mkdir()
    stage.list.write_text(f"qemu:///system {UUIDS['db 1']} db 1\n")
    stage.play()
    assert [line.split(maxsplit=2)[2] for line in stage.list.read_text().splitlines()] == ["db 1", "web"]


def test_nobody_is_asked_where_lastcall_has_answered_this_very_stop(stage: Stage) -> None:
    stage.guests("qemu", "web")
    (stage.run / "answered").write_text("now\n")
    assert (stage.play().returncode, stage.asked()) == (0, [])
    (stage.run / "answered").write_text("an earlier start of the unit\n")
    assert stage.play().returncode == 1
    assert len(stage.asked()) == 1


@pytest.mark.parametrize("state", ["running", "degraded", "starting", "maintenance"])
def test_nobody_is_asked_where_the_host_goes_on(stage: Stage, state: str) -> None:
    stage.guests("qemu", "web")
    assert "the host does not stop" in stage.play(state=state).stdout
    assert stage.asked() == []
    assert (stage.libvirt / "systemctl").read_text() == "--no-block start lastcall.service\n"


def test_a_systemd_that_does_not_answer_counts_as_a_host_stop(stage: Stage) -> None:
    stage.guests("qemu", "web")
    stage.play(state="")
    assert len(stage.asked()) == 1


def test_a_deaf_guest_is_waited_for_until_the_time_is_over_and_named(stage: Stage) -> None:
    stage.guests("qemu", "web", "db 1 deaf")
    done = stage.play(seconds=3)
    assert "no time is left for" in done.stdout
    assert f"{UUIDS['db 1']} db 1 deaf\n" in done.stdout.split("no time is left for")[1]
    assert f"{UUIDS['web']} web" not in done.stdout.split("no time is left for")[1]
    assert len(stage.asked()) == 2


@pytest.mark.parametrize("left", ["", "soon", "-1", "1e9", "99999999", "3\n4"])
def test_a_deadline_that_is_none_is_not_taken_for_one(stage: Stage, left: str) -> None:
    stage.guests("qemu", "web")
    stage.state.mkdir()
    (stage.state / "deadline").write_text(left)
    done = stage.play(seconds=None)
    assert "web: asked by virsh" in done.stdout
    assert (done.stderr, list(stage.libvirt.glob("*/*-*"))) == ("", [])


def test_it_asks_systemd_for_time_as_long_as_somebody_is_waited_for_and_no_longer(stage: Stage) -> None:
    stage.guests("qemu", "db 1 deaf")
    stage.play(seconds=3, more={"NOTIFY_SOCKET": "/run/systemd/notify"})
    told = (stage.libvirt / "notified").read_text().splitlines()
    assert set(told) == {"--no-block EXTEND_TIMEOUT_USEC=60000000"}
    (stage.libvirt / "notified").unlink()
    stage.play(seconds=3)
    assert not (stage.libvirt / "notified").exists(), "nobody listens"


def test_a_daemon_that_hangs_costs_the_guests_of_the_other_nothing(stage: Stage) -> None:
    stage.guests("qemu", "web")
    stage.guests("lxc", "box")
    (stage.libvirt / "qemu" / "hangs").touch()
    done = stage.play(more={"LIMIT": "2"})
    assert "qemu:///system: virsh gets no answer" in done.stdout
    assert stage.asked() == [f"lxc:///system shutdown {UUIDS['box']}"]


def test_a_daemon_that_freezes_on_the_way_does_not_look_like_guests_that_are_off(stage: Stage) -> None:
    stage.guests("qemu", "web")
    (stage.libvirt / "qemu" / "freezes").touch()
    done = stage.play(seconds=3, more={"LIMIT": "1"})
    assert "whoever runs on qemu:///system, which does not answer" in done.stdout.split("no time is left for")[1]


def test_guests_that_cannot_be_noted_are_asked_all_the_same(stage: Stage) -> None:
    stage.guests("qemu", "web")
    stage.state.write_text("no folder")
    stage.play()
    assert len(stage.asked()) == 1


def test_without_virsh_or_guests_it_says_so_and_ends(stage: Stage) -> None:
    done = stage.play()
    assert "no guest that runs" in done.stdout
    assert not stage.list.exists()


def test_a_stamp_that_failed_is_a_line_at_login_until_one_succeeds(stage: Stage) -> None:
    stage.play("stamp", more={"SERVICE_RESULT": "exit-code"})
    assert "it failed at boot" in stage.line.read_text()
    assert "asked by virsh" not in stage.line.read_text()
    stage.list.write_text("one\ntwo\n")
    stage.play("stamp", more={"SERVICE_RESULT": "timeout"})
    assert "2 guests that it did not stop were asked by virsh" in stage.line.read_text()
    assert stage.line.stat().st_mode & 0o777 == 0o644
    stage.play("stamp", more={"SERVICE_RESULT": "success"})
    assert not stage.line.exists()
