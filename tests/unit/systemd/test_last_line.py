"""The shell script that asks the guests where lastcall cannot run; libvirt is a folder with a file per guest."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from lab.patience import LONGEST
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
SHELLS = [shell for shell in (("dash",), ("busybox", "sh"), ("bash", "--posix")) if shutil.which(shell[0])]
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
        shell: Sequence[str] = ("/bin/sh",),
    ) -> "subprocess.CompletedProcess[str]":
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        environment = {"PATH": path, "LIBVIRT": str(self.libvirt), "STATE": state, "INVOCATION_ID": "now"}
        environment["LIMIT"] = "60"  # a busy machine may need long for what does not hang
        if seconds is not None:
            note_deadline(self.state, seconds)
        command = [*shell, str(self.script), verb, str(self.state), str(self.run)]
        return subprocess.run(
            command, env={**environment, **(more or {})}, capture_output=True, text=True, timeout=LONGEST, check=False,
            errors="surrogateescape",
        )  # fmt: skip

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


def test_the_unit_fails_where_lastcall_has_said_so_of_this_very_stop(stage: Stage) -> None:
    stage.guests("qemu", "web")
    (stage.run / "answered").write_text("now failed\n")
    assert (stage.play().returncode, stage.asked()) == (1, [])
    (stage.run / "answered").write_text("earlier failed\n")
    stage.play()
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


@pytest.mark.parametrize("left", ["", "soon", "-1", "1e9", "99999999", "3\n4", "08", "0", "9" * 30, "3\0", "\0",
                                  "9" * (1 << 20)])  # fmt: skip
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


# Names as virsh prints them; each with what must not reach a terminal, a format, an option, or another guest.
NAMES = {
    "escape sequence": "a\x1b[2J\x1b]0;owned\x07b",
    "carriage return": "a\rqemu:///system: all guests are off",
    "C1 control": "a\u009b31mb",
    "raw C1 byte": "a\udc9b31mb",
    "backslashes": r"a\033[31m\n\c\x1b",
    "formats": "%s%n%d%%",
    "an option": "-n --all $(touch owned) `touch owned`",
    "globs": "* ? [a-z]*",
    "blanks": "  a   b  ",
    "right to left": "a\u202eb",
    "long": "x" * 5000,
}


def has_no_control_character(text: str) -> bool:
    return all(" " <= one <= "~" for line in text.split("\n") for one in line)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_whatever_a_guest_is_called_it_is_asked_and_noted_and_no_terminal_obeys(
    stage: Stage, name: str, shell: Sequence[str]
) -> None:
    stage.guests("qemu", "web")
    for uuid in (UUIDS["web"], UUIDS["db 1"]):
        (stage.libvirt / "qemu" / uuid).write_text(f"{name} deaf", errors="surrogateescape")
    done = stage.play(seconds=2, shell=shell)
    assert sorted(stage.asked()) == sorted(f"qemu:///system shutdown {UUIDS[one]}" for one in ("web", "db 1"))
    noted = stage.list.read_bytes().decode(errors="surrogateescape").split("\n")
    assert noted == [f"qemu:///system {UUIDS[one]} {f'{name} deaf'.strip()}" for one in ("db 1", "web")] + [""]
    assert has_no_control_character(done.stdout + done.stderr), done
    assert "no time is left for" in done.stdout
    assert not list(stage.folder.rglob("owned"))


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_line_that_begins_with_no_uuid_is_no_guest(stage: Stage, shell: Sequence[str]) -> None:
    stage.guests("qemu", "web")
    (stage.libvirt / "qemu" / UUIDS["web"]).write_text("web\n--mode agent\n11111111 x\n\n*\n-- x")
    done = stage.play(shell=shell)
    assert stage.asked() == [f"qemu:///system shutdown {UUIDS['web']}"]
    assert stage.list.read_text() == f"qemu:///system {UUIDS['web']} web\n"
    assert done.stderr == ""


def test_what_virsh_says_of_a_guest_that_it_cannot_ask_is_one_line_that_no_terminal_obeys(stage: Stage) -> None:
    stage.guests("qemu", "web")
    refuses = VIRSH.replace(
        "shutdown) ", "shutdown) printf 'error:\\033[31m\\nvirsh has asked everybody\\n' >&2; exit 1;"
    )
    (stage.folder / "bin" / "virsh").write_text(refuses)
    done = stage.play(seconds=2)
    assert "web: could not be asked by virsh: error:?[31m?virsh has asked everybody\n" in done.stdout


def directory(path: Path) -> None:
    path.mkdir()
    (path / "kept").touch()


def circle(path: Path) -> None:
    path.symlink_to(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def gigabytes(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 33)


def zeros(path: Path) -> None:
    path.write_bytes(b"\0" * 4096)


def without_mode(path: Path) -> None:
    path.touch(mode=0)


ODD: Sequence[Callable[[Path], None]] = (
    directory,
    os.mkfifo,
    circle,
    device,
    gigabytes,
    zeros,
    Path.touch,
    without_mode,
)
odd = pytest.mark.parametrize("make", ODD, ids=[getattr(make, "__name__", "") for make in ODD])


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
@pytest.mark.parametrize("name", ["run/answered", "state/deadline", "state/asked-by-virsh"])
@odd
def test_odd_files_keep_no_guest_from_being_asked_and_noted(
    stage: Stage, make: Callable[[Path], None], name: str, shell: Sequence[str]
) -> None:
    stage.guests("qemu", "web")
    stage.state.mkdir()
    make(stage.folder / name)
    done = stage.play(seconds=None, shell=shell)
    assert stage.asked() == [f"qemu:///system shutdown {UUIDS['web']}"]
    assert stage.list.read_bytes().endswith(f"qemu:///system {UUIDS['web']} web\n".encode())
    assert "cannot be noted" not in done.stdout
    assert done.stdout.endswith("virsh has asked whom lastcall did not\n")


@pytest.mark.parametrize("make", [directory, os.mkfifo, circle, device, gigabytes])
def test_what_is_no_list_in_its_place_is_kept_beside_it(stage: Stage, make: Callable[[Path], None]) -> None:
    stage.guests("qemu", "web")
    stage.state.mkdir()
    make(stage.list)
    before = stage.list.lstat()
    stage.play()
    (kept,) = stage.state.glob("asked-by-virsh.odd-*")
    assert os.path.samestat(kept.lstat(), before)
    assert stage.list.read_text() == f"qemu:///system {UUIDS['web']} web\n"


def test_a_note_that_was_cut_off_spoils_only_its_last_line(stage: Stage) -> None:
    stage.guests("qemu", "web")
    stage.state.mkdir()
    stage.list.write_text(f"qemu:///system {UUIDS['db 1']} db 1\nqemu:///sys")
    stage.play()
    assert stage.list.read_text().splitlines()[-1] == f"qemu:///system {UUIDS['web']} web"


def test_a_disk_that_does_not_answer_keeps_no_guest_from_being_asked(stage: Stage) -> None:
    stage.guests("qemu", "web")
    (stage.folder / "bin" / "mkdir").write_text("#!/bin/sh\nexec /bin/sleep 40\n")
    (stage.folder / "bin" / "mkdir").chmod(0o755)
    done = stage.play(more={"LIMIT": "2"})
    assert "they cannot be noted in" in done.stdout
    assert len(stage.asked()) == 1


def test_a_slow_request_is_not_cut_off_by_the_end_of_the_time(stage: Stage) -> None:
    stage.guests("qemu", "web deaf", "db 1 deaf")
    slow = VIRSH.replace("shutdown) ", "shutdown) /bin/sleep 3; touch reached-$5; exit;;\nother)")
    (stage.folder / "bin" / "virsh").write_text(slow)
    # Whoever still runs when the script ends is killed by systemd: what counts is what was reached by then.
    until_its_end = stage.folder / "until-its-end"
    until_its_end.write_text(f'#!/bin/sh\ndash "$@"\nls {stage.libvirt}/qemu > {stage.folder}/reached\n')
    stage.play(seconds=1, shell=["/bin/sh", str(until_its_end)])
    assert (stage.folder / "reached").read_text().count("reached-") == 2


def test_nobody_has_to_listen_for_guests_to_be_asked(stage: Stage) -> None:
    stage.guests("qemu", "web", "db 1")
    gone = stage.folder / "gone"
    gone.write_text('#!/bin/sh\nexec dash "$@" | exec /bin/true\n')
    stage.play(shell=["/bin/sh", str(gone)])
    assert len(stage.asked()) == 2


@pytest.mark.parametrize("make", [os.mkfifo, circle, device, zeros])
def test_a_stamp_that_failed_tells_the_login_whatever_its_line_and_the_list_are(
    stage: Stage, make: Callable[[Path], None]
) -> None:
    stage.state.mkdir()
    make(stage.list)
    make(stage.line)
    stage.play("stamp", seconds=None, more={"SERVICE_RESULT": "exit-code"})
    assert "it failed at boot" in stage.line.read_text()
    assert not stage.line.is_symlink()
    stage.play("stamp", seconds=None, more={"SERVICE_RESULT": "success"})
    assert not stage.line.exists()
