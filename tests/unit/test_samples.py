"""What we ship as examples works as it is written there."""

import importlib.util
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from lastcall import Reason
from lastcall.memory import FakeGuest, run_shutdown
from support import report_of, run_lastcall, write_config

ROOT = Path(__file__).parents[2]


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_example_plugin_does_what_it_says(tmp_path: Path) -> None:
    plugin = module(ROOT / "contrib" / "example-plugin" / "lastcall_door_sign.py")
    config = f"plugins: {{door_sign: {{file: {tmp_path}/sign}}}}\nguests: [{{match: b, door_sign: {{mention: false}}}}]"
    guests = [FakeGuest("a"), FakeGuest("b")]
    report = run_shutdown(tmp_path, guests, plugins={"door_sign": plugin}, config=config, reason=Reason.REBOOT)
    assert (tmp_path / "sign").read_text() == "closed (reboot), 2 guests: a\n"
    assert report.run.exit_code == 0, report
    assert stat.S_IMODE((tmp_path / "plugins" / "door_sign").stat().st_mode) == 0o700


def test_the_sample_drop_ins_load_and_run(tmp_path: Path) -> None:
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    config = write_config(tmp_path, "test:///default", more=f"hooks: {{environment: {{PATH: '{path}'}}}}")
    shutil.rmtree(tmp_path / "hooks.d")
    shutil.copytree(ROOT / "hooks.d", tmp_path / "hooks.d")
    for path in (tmp_path / "hooks.d").rglob("*"):
        path.chmod(path.stat().st_mode & ~0o022)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "virsh").write_text("#!/bin/sh\necho virsh $*; echo $* >> $(dirname $0)/called\n")
    (tmp_path / "bin" / "sleep").write_text("#!/bin/sh\n")
    for name in ("virsh", "sleep"):
        (tmp_path / "bin" / name).chmod(0o755)
    assert json.loads(run_lastcall(config, "plugins", "--json").stdout)["problems"] == []
    for words in (("shutdown", "test"), ("hook", "pre_shutdown"), ("hook", "pre_shutdown", "--reason", "reboot")):
        assert run_lastcall(config, *words).returncode == 0
        assert not (tmp_path / "bin" / "called").exists(), "neither by hand nor in a rehearsal"
    done = run_lastcall(config, "shutdown", "--json", "--reason", "reboot")
    report = report_of(done)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bin" / "called").read_text() == "shutdown router\n"
    found = {hook["plugin"]: hook["result"] for hook in [*report["hooks"], *report["guests"][0]["hooks"]]}
    assert found["pre_shutdown/50-stopvm.sh"] == "ok"
    assert found["on_guest_stop/30-warn-users"] == "skipped"
    assert {hook["result"] for hook in report["hooks"] if hook["hook"] == "post_shutdown"} == {"skipped"}


def test_in_a_rehearsal_the_samples_say_what_they_would_do_and_change_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path, "test:///default", more=f"plugins: {{door_sign: {{file: {tmp_path}/sign}}}}\n")
    shutil.copy(ROOT / "hooks.d" / "20-slow-guests.py", tmp_path / "hooks.d")
    shutil.copy(ROOT / "contrib" / "example-plugin" / "lastcall_door_sign.py", tmp_path / "hooks.d" / "door_sign.py")
    (tmp_path / "hooks.d" / "on_guest_stop").mkdir()
    script = (ROOT / "hooks.d" / "on_guest_stop" / "30-warn-users").read_text().replace("desktop-*", "test")
    (tmp_path / "hooks.d" / "on_guest_stop" / "30-warn-users").write_text(script)
    for path in (tmp_path / "hooks.d").rglob("*"):
        path.chmod(0o755)
    of_guest = run_lastcall(config, "hook", "on_guest_stop", "--guest", "test")
    assert "would tell the users of test" in of_guest.stderr
    assert "test would stop now" in of_guest.stderr
    of_run = run_lastcall(config, "hook", "post_shutdown")
    assert f"would write {tmp_path}/sign" in of_run.stderr
    assert "nobody was stopped in this rehearsal" in of_run.stdout
    assert (of_guest.returncode, of_run.returncode) == (0, 0)
    assert not (tmp_path / "sign").exists()
    assert not [path for path in (tmp_path / "state" / "plugins").rglob("*") if path.is_file()]


def test_every_sample_that_does_something_in_a_run_knows_of_rehearsals_and_reasons() -> None:
    for path in (ROOT / "hooks.d").rglob("*"):
        if path.is_file():
            text = path.read_text()
            knows = ("run.rehearsal",) if path.suffix == ".py" else ("# lastcall: rehearse", "# lastcall: reasons=")
            assert any(word in text for word in knows), path
            assert "reason" in text, path
    assert "run.rehearsal" in (ROOT / "contrib" / "example-plugin" / "lastcall_door_sign.py").read_text()


@pytest.mark.parametrize(
    ("answer", "seconds"), [("echo 600", "300s"), ("echo 17.5", "30s"), ("exit 1", "90s"), ("echo nonsense", "90s")]
)
def test_the_script_for_nut_announces_what_the_battery_lasts_and_powers_off(
    tmp_path: Path, answer: str, seconds: str
) -> None:
    for name, body in (("upsc", answer), ("lastcall", 'echo lastcall "$@"'), ("systemctl", 'echo systemctl "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    script = ROOT / "contrib" / "ups" / "nut-shutdown"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    said = subprocess.run([script], capture_output=True, text=True, check=True, env=environment).stdout.splitlines()
    assert said == [f"lastcall announce --reason power --deadline {seconds}", "systemctl poweroff"]
