"""Drop-ins: modules and executables, who may own them, and what an executable is told."""

import json
import os
import signal
from pathlib import Path

import pytest

from lab.patience import wait_until
from lastcall.formats.reading import Untrusted, open_trusted
from support import report_of, run_lastcall, write_config

WORLD = "test:///default"
MODULE = """
import lastcall
from dataclasses import dataclass
@dataclass
class Seen:
    name: "str"
@lastcall.hookimpl
def on_guest_stop(guest, run):
    run.log(f"dropin saw {Seen(guest.name)}")
"""


def script(folder: Path, name: str, text: str, mode: int = 0o755) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_module_in_hooks_d_is_a_plugin(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    script(tmp_path / "hooks.d", "10-my-hook.py", MODULE, 0o644)
    done = run_lastcall(config, "shutdown", "--json")
    assert "test: my_hook: dropin saw Seen(name='test')" in done.stderr
    assert done.returncode == 0


def test_an_executable_is_told_everything_and_its_output_is_logged(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    said = tmp_path / "said"
    text = f'#!/bin/sh\nenv | grep ^LASTCALL_ > {said}.env\ncat > {said}.json\necho "$0 said"; echo twice >&2\n'
    path = script(tmp_path / "hooks.d" / "on_guest_stop", "10-tell", text)
    done = run_lastcall(config, "shutdown", "--json", "--deadline", "100s", "--reason", "reboot")
    environment = dict(line.split("=", 1) for line in Path(f"{said}.env").read_text().splitlines())
    assert environment["LASTCALL_HOOK"] == "on_guest_stop"
    assert environment["LASTCALL_REASON"] == "reboot"
    assert (environment["LASTCALL_GUEST"], environment["LASTCALL_URI"]) == ("test", WORLD)
    assert 0 < float(environment["LASTCALL_TIMEOUT"]) <= 60
    assert 0 < float(environment["LASTCALL_DEADLINE"]) <= 100
    facts = json.loads(Path(f"{said}.json").read_text())
    assert facts["guest"]["uuid"] == environment["LASTCALL_UUID"]
    assert facts["run"]["id"] == environment["LASTCALL_RUN_ID"]
    assert f"{path} said" in done.stderr
    assert "twice" in done.stderr
    (hook,) = report_of(done)["guests"][0]["hooks"]
    assert (hook["plugin"], hook["result"]) == ("on_guest_stop/10-tell", "ok")


@pytest.mark.parametrize(
    ("code", "result", "exit_code"),
    [("exit 0", "ok", 0), ("exit 75", "skipped", 0), ("exit 1", "failed", 1), ("kill -9 $$", "failed", 1)],
)
def test_the_exit_code_of_an_executable_is_its_verdict(tmp_path: Path, code: str, result: str, exit_code: int) -> None:
    config = write_config(tmp_path, WORLD)
    script(tmp_path / "hooks.d" / "pre_shutdown", "10-x", f"#!/bin/sh\n{code}\n")
    done = run_lastcall(config, "shutdown", "--json")
    assert [hook["result"] for hook in report_of(done)["hooks"]] == [result]
    assert done.returncode == exit_code


def test_guest_ready_executables_answer_by_exit_code(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD, more="restore: {ready_timeout: 1s}")
    script(tmp_path / "hooks.d" / "guest_ready", "10-never", "#!/bin/sh\nexit 1\n")
    script(tmp_path / "hooks.d" / "guest_ready", "20-none", "#!/bin/sh\nexit 75\n")
    uuid = "6695eb01-f6a4-8304-79aa-97f2502e193f"  # of the guest that the test driver always has
    entry = {
        "uri": WORLD, "uuid": uuid, "name": "test", "driver": "TEST", "state": "running", "run": "r",
        "boot_id": "b", "since": "2026-01-01T00:00:00+00:00", "due": False, "parked": False,
    }  # fmt: skip
    (tmp_path / "state" / "state.json").write_text(json.dumps({"version": 1, "guests": [entry]}))
    text = "import lastcall\n@lastcall.hookimpl\ndef pre_restore(run):\n    run.domain(run.guests[0]).destroy()\n"
    script(tmp_path / "hooks.d", "10-off.py", text, 0o644)
    done = run_lastcall(config, "restore", "--json")
    (guest,) = report_of(done)["guests"]
    assert guest["outcome"] == "unready"
    assert {hook["plugin"] for hook in guest["hooks"]} == {"guest_ready/10-never"}, "no opinion leaves no record"


def test_an_executable_whose_time_is_up_is_ended_with_its_children(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD, more="hooks: {timeout: 2s}")
    pids = tmp_path / "pids"
    script(
        tmp_path / "hooks.d" / "pre_shutdown",
        "10-hangs",
        f"#!/bin/sh\ntrap '' TERM\nsleep 3000 &\necho $! > {pids}\nwhile :; do sleep 1; done\n",
    )
    done = run_lastcall(config, "shutdown", "--json")
    (hook,) = report_of(done)["hooks"]
    assert (hook["result"], report_of(done)["guests"][0]["outcome"]) == ("timeout", "stopped")
    child = Path(f"/proc/{pids.read_text().strip()}")
    wait_until(lambda: not child.exists(), "its child ends")


def test_a_background_child_that_keeps_the_output_open_does_not_hold_us(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    pids = tmp_path / "pids"
    script(tmp_path / "hooks.d" / "pre_shutdown", "10-bg", f"#!/bin/sh\nsleep 3600 &\necho $! > {pids}\necho done\n")
    done = run_lastcall(config, "shutdown", "--json")
    os.kill(int(pids.read_text()), signal.SIGKILL)  # it has not ended: nobody has waited for it
    (hook,) = report_of(done)["hooks"]
    assert hook["result"] == "ok"


def test_an_executable_that_never_reads_its_input_and_says_a_lot_does_not_block(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    script(tmp_path / "hooks.d" / "pre_shutdown", "10-loud", "#!/bin/sh\nexec head -c 3000000 /dev/zero\n")
    done = run_lastcall(config, "-q", "shutdown", "--json")
    assert [hook["result"] for hook in report_of(done)["hooks"]] == ["ok"]


LEFTOVERS = ["10-x.py~", "10-x.py.bak", "10-x.py.orig", ".10-x.py", "10-x.py.dpkg-old", "10-x.py.rpmnew", "__pycache__"]


def test_leftovers_of_editors_and_packages_are_ignored(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    for name in LEFTOVERS:
        script(tmp_path / "hooks.d", name, "raise SystemExit(1)\n")
    shown = json.loads(run_lastcall(config, "plugins", "--json").stdout)
    assert (shown["problems"], [one["origin"] for one in shown["plugins"]]) == ([], ["bundled"] * 13)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("10-Bad Name.py", "", "not a usable plugin name"),
        ("10-x.py", "raise ValueError('early')", "ValueError: early"),
        ("10-x.py", "def broken(:", "SyntaxError"),
        ("10-x.py", "import sys; sys.exit(1)", "SystemExit: 1"),
        ("10-acpi.py", "", "the name 'acpi' is taken by bundled"),
        ("stopvm.sh", "#!/bin/sh", "an executable outside a hook's folder"),
    ],
)
def test_a_drop_in_that_cannot_be_used_is_reported_and_the_run_goes_on(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    config = write_config(tmp_path, WORLD)
    script(tmp_path / "hooks.d", name, text)
    done = run_lastcall(config, "shutdown", "--json")
    report = report_of(done)
    (problem,) = report["problems"]
    assert message in problem["message"]
    assert str(tmp_path / "hooks.d") in problem["where"]
    assert (report["guests"][0]["outcome"], done.returncode) == ("stopped", 1)


def test_two_drop_ins_of_one_name_are_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    for name in ("10-twin.py", "20-twin.py"):
        script(tmp_path / "hooks.d", name, MODULE)
    (problem,) = json.loads(run_lastcall(config, "plugins", "--json").stdout)["problems"]
    assert "the name 'twin' is taken by" in problem["message"]


def test_a_folder_that_is_no_hook_is_reported(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    script(tmp_path / "hooks.d" / "pre_shutdwon", "10-x", "#!/bin/sh\n")
    (problem,) = json.loads(run_lastcall(config, "plugins", "--json").stdout)["problems"]
    assert "no hook is called 'pre_shutdwon'" in problem["message"]


def test_a_drop_ins_stop_method_beats_a_bundled_one(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    text = """
import lastcall
from lastcall.options import StepOptions
class Mine(lastcall.StopMethod[StepOptions]):
    name = "acpi"
    options = StepOptions
    def request(self, call):
        call.run.log("mine")
        call.run.domain(call.guest).shutdown("default")
@lastcall.hookimpl
def stop_methods():
    yield Mine()
"""
    script(tmp_path / "hooks.d", "10-mine.py", text)
    assert json.loads(run_lastcall(config, "plugins", "--json").stdout)["stop_methods"]["acpi"] == "mine"
    assert report_of(run_lastcall(config, "shutdown", "--json"))["guests"][0]["outcome"] == "stopped"


def _writable(path: Path) -> None:
    path.chmod(0o666)


def _foreign(path: Path) -> None:
    os.chown(path, 12345, 12345)


def _linked(path: Path) -> None:
    _move_away_and_link(path)


def _folder_writable(path: Path) -> None:
    path.parent.chmod(0o777)


def _folder_foreign(path: Path) -> None:
    os.chown(path.parent, 12345, 12345)


def _folder_linked(path: Path) -> None:
    _move_away_and_link(path.parent)


def _move_away_and_link(path: Path) -> None:
    hooks = next(folder for folder in (path, *path.parents) if folder.name == "hooks.d")
    elsewhere = hooks.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


SPOILT = [_writable, _foreign, _linked, _folder_writable, _folder_foreign, _folder_linked]


@pytest.mark.parametrize("spoil", SPOILT)
@pytest.mark.parametrize("kind", ["module", "executable"])
def test_what_others_could_have_changed_is_not_run_and_is_reported(tmp_path: Path, spoil: object, kind: str) -> None:
    config = write_config(tmp_path, WORLD)
    mark = tmp_path / "was-run"
    if kind == "module":
        path = script(tmp_path / "hooks.d", "10-x.py", f"open({str(mark)!r}, 'w')\n")
    else:
        path = script(tmp_path / "hooks.d" / "pre_shutdown", "10-x", f"#!/bin/sh\ntouch {mark}\n")
    assert callable(spoil)
    spoil(path)
    done = run_lastcall(config, "shutdown", "--json")
    assert not mark.exists()
    report = report_of(done)
    assert len(report["problems"]) == 1, report["problems"]
    assert any(word in report["problems"][0]["message"] for word in ("writable by", "owned by", "is a link"))
    assert (report["guests"][0]["outcome"], done.returncode) == ("stopped", 1)


def test_a_sticky_folder_passes_when_the_next_component_is_ours(tmp_path: Path) -> None:
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    path = script(sticky / "ours", "x", "")
    os.close(open_trusted(path))
    os.chown(sticky / "ours", 12345, 12345)
    with pytest.raises(Untrusted, match="owned by user 12345"):
        open_trusted(path)


def test_a_missing_hooks_folder_is_no_problem(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    (tmp_path / "hooks.d").rmdir()
    assert json.loads(run_lastcall(config, "plugins", "--json").stdout)["problems"] == []
