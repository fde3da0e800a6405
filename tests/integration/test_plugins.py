"""Plugins as people get them wrong: a real distribution with entry points, and whole runs of the program.

The runs use libvirt's test driver inside the program's own process: no daemon, nothing outside.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support import report_of, run_lastcall, write_config

WORLD = "test:///default"
PLUGINS = {
    "good": """
import lastcall
@lastcall.hookimpl
def pre_shutdown(run):
    run.log("good was here")
""",
    "raises": """
import lastcall
@lastcall.hookimpl
def pre_shutdown(run):
    raise ValueError("boom")
@lastcall.hookimpl
def on_guest_stop(guest, run):
    run.log("raises still has its other hook")
""",
    "exits": """
import sys, lastcall
@lastcall.hookimpl
def pre_shutdown(run):
    sys.exit(3)
""",
    "interrupts": """
import lastcall
@lastcall.hookimpl
def pre_shutdown(run):
    raise KeyboardInterrupt
""",
    "hangs": """
import time, lastcall
@lastcall.hookimpl
def pre_shutdown(run):
    while True:
        time.sleep(3600)
""",
    "returns": """
import lastcall
@lastcall.hookimpl
def pre_shutdown(run):
    return 5
""",
    "skips": """
import lastcall
@lastcall.hookimpl
def pre_shutdown(run):
    run.evidence(looked_at=3)
    raise lastcall.Skip("nothing to do")
""",
    "noimport": "import a_module_that_is_not_there\n",
    "nosyntax": "def broken(:\n",
    "exits_early": "import sys; sys.exit(9)\n",
    "misspelt": """
import lastcall
@lastcall.hookimpl
def pre_shutdwon(run):
    pass
@lastcall.hookimpl
def post_shutdown(report):
    pass
""",
    "wrongarg": """
import lastcall
@lastcall.hookimpl
def on_guest_stop(guest, runn):
    pass
""",
    "wraps": """
import lastcall
@lastcall.hookimpl(wrapper=True)
def pre_shutdown(run):
    yield
""",
    "unmarked": """
def pre_shutdown(run):
    pass
""",
    "lingers": """
import atexit, threading, time, lastcall
threading.Thread(target=time.sleep, args=(3600,)).start()
atexit.register(time.sleep, 3600)
@lastcall.hookimpl
def pre_shutdown(run):
    pass
""",
    "slowimport": "import time; time.sleep(3600)\n",
}


PLUGINS.update(
    {
        "nomodel": """
import lastcall
@lastcall.hookimpl
def plugin_options():
    return lastcall.PluginOptions(settings=dict)
""",
        "unbuildable": """
import lastcall
from lastcall.options import Options
class Settings(Options):
    field: "NotThere"
@lastcall.hookimpl
def plugin_options():
    return lastcall.PluginOptions(guest=Settings)
""",
        "oddoptions": """
import lastcall
class Mine(lastcall.StopMethod):
    name, options = "mine", int
    def request(self, call):
        pass
@lastcall.hookimpl
def stop_methods():
    return [Mine()]
""",
        "Bad-Name": "",
    }
)


@pytest.fixture
def distribution(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Make a distribution with these plugins, as pip would have installed it; returns the environment that has it."""

    def make(*names: str) -> dict[str, str]:
        site = tmp_path / "site"
        info = site / "fakeplugins-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fakeplugins\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[lastcall]\n" + "".join(f"{name} = fake_{name}\n" for name in names))
        for name in names:
            (site / f"fake_{name}.py").write_text(PLUGINS[name])
        return {"PYTHONPATH": str(site)}

    return make


@pytest.mark.parametrize(
    ("name", "result", "message"),
    [
        ("raises", "failed", "ValueError: boom"),
        ("exits", "failed", "SystemExit: 3"),
        ("interrupts", "failed", "KeyboardInterrupt"),
        ("returns", "failed", "returned 5"),
        ("skips", "skipped", "nothing to do"),
    ],
)
def test_a_hook_that_fails_is_that_plugins_failure_only(
    tmp_path: Path, distribution: Callable[..., dict[str, str]], name: str, result: str, message: str
) -> None:
    environment = distribution("good", name)
    done = run_lastcall(write_config(tmp_path, WORLD), "shutdown", "--json", env=environment)
    report = report_of(done)
    found = {hook["plugin"]: hook for hook in report["hooks"]}
    assert found["good"]["result"] == "ok"
    assert found[name]["result"] == result
    assert message in found[name]["message"]
    assert report["guests"][0]["outcome"] == "stopped"
    assert done.returncode == (0 if result == "skipped" else 1)
    assert "good was here" in done.stderr
    if name == "skips":
        assert found[name]["evidence"] == {"looked_at": 3}, "evidence is kept also when the call does not succeed"


def test_a_hook_that_hangs_ends_with_its_time_box_and_the_process_exits_at_once(
    tmp_path: Path, distribution: Callable[..., dict[str, str]]
) -> None:
    config = write_config(tmp_path, WORLD, more="hooks: {plugins: {hangs: {timeout: 1s}}}")
    done = run_lastcall(config, "shutdown", "--json", env=distribution("good", "hangs", "lingers"))
    found = {hook["plugin"]: hook for hook in report_of(done)["hooks"]}
    assert (found["hangs"]["result"], done.returncode) == ("timeout", 1)
    assert found["hangs"]["duration"] >= 1.0
    # The process has ended: neither the hook nor a plugin's thread nor its atexit function, an hour each, delays that.
    assert found["lingers"]["result"] == "ok", "those after it still run"


@pytest.mark.parametrize(
    ("name", "where", "message"),
    [
        ("nomodel", "nomodel (fakeplugins 1.0)", "is no subclass of Options"),
        ("unbuildable", "unbuildable (fakeplugins 1.0)", "NotThere"),
        ("oddoptions", "oddoptions (fakeplugins 1.0)", "the options of 'mine' are no model"),
        ("Bad-Name", "Bad-Name (fakeplugins 1.0)", "not a usable plugin name"),
        ("noimport", "noimport (fakeplugins 1.0)", "No module named 'a_module_that_is_not_there'"),
        ("nosyntax", "nosyntax (fakeplugins 1.0)", "SyntaxError"),
        ("exits_early", "exits_early (fakeplugins 1.0)", "SystemExit: 9"),
        ("misspelt", "fake_misspelt.py:3", "pre_shutdwon: unknown hook; did you mean 'pre_shutdown'?"),
        ("wrongarg", "fake_wrongarg.py:3", "on_guest_stop: unknown argument 'runn'"),
        ("wraps", "fake_wraps.py:3", "pre_shutdown: wrappers are not supported"),
        ("unmarked", "fake_unmarked.py:2", "pre_shutdown: has the name of a hook but is not marked"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_with_its_place_and_the_others_run(
    tmp_path: Path, distribution: Callable[..., dict[str, str]], name: str, where: str, message: str
) -> None:
    environment = distribution("good", name)
    config = write_config(tmp_path, WORLD)
    done = run_lastcall(config, "shutdown", "--json", env=environment)
    report = report_of(done)
    (problem,) = report["problems"]
    assert problem["where"].endswith(where)
    assert message in problem["message"]
    assert [hook["plugin"] for hook in report["hooks"] if hook["hook"] == "pre_shutdown"] == ["good"]
    assert report["guests"][0]["outcome"] == "stopped"
    assert done.returncode == 1
    shown = run_lastcall(config, "plugins", env=environment)
    assert (message in shown.stdout, shown.returncode) == (True, 1)


def test_the_other_functions_of_a_plugin_with_a_typo_are_used(
    tmp_path: Path, distribution: Callable[..., dict[str, str]]
) -> None:
    done = run_lastcall(write_config(tmp_path, WORLD), "shutdown", "--json", env=distribution("misspelt"))
    assert [(hook["hook"], hook["result"]) for hook in report_of(done)["hooks"]] == [("post_shutdown", "ok")]


def test_an_import_that_hangs_is_cut_off(tmp_path: Path, distribution: Callable[..., dict[str, str]]) -> None:
    config = write_config(tmp_path, WORLD, more="hooks: {timeout: 1s}")
    done = run_lastcall(config, "shutdown", "--json", env=distribution("good", "slowimport"))
    report = report_of(done)
    assert [problem["where"] for problem in report["problems"]] == ["slowimport (fakeplugins 1.0)"]
    assert report["guests"][0]["outcome"] == "stopped"


def test_a_blocked_plugin_is_not_even_imported(tmp_path: Path, distribution: Callable[..., dict[str, str]]) -> None:
    config = write_config(tmp_path, WORLD, more="hooks: {block: [exits_early, acpi]}")
    shown = json.loads(run_lastcall(config, "plugins", "--json", env=distribution("exits_early")).stdout)
    assert (shown["blocked"], shown["problems"]) == (["acpi", "exits_early"], [])
    assert "acpi" not in shown["stop_methods"]


def test_the_firing_order_does_not_depend_on_the_file_system(
    tmp_path: Path, distribution: Callable[..., dict[str, str]]
) -> None:
    config = write_config(tmp_path, WORLD, more="hooks: {first: [skips], last: [good]}")
    for name in ("20-b", "10-c", "15-a"):
        (tmp_path / "hooks.d" / f"{name}.py").write_text(PLUGINS["good"])
    shown = run_lastcall(config, "plugins", "--json", env=distribution("skips", "raises", "good", "exits"))
    order = json.loads(shown.stdout)["hooks"]["pre_shutdown"]
    assert order == ["skips", "c", "a", "b", "exits", "raises", "good"]


COMMAND = """
import click, lastcall
@click.command("enroll")
def enroll():
    click.echo("enrolled")
@lastcall.hookimpl
def register_commands(group):
    group.add_command(enroll)
@lastcall.hookimpl
def check(run):
    return [lastcall.Problem(what="mount", where="/mnt/x", message="is not mounted", remedy="mount it")]
@lastcall.hookimpl
def check_guest(guest, run):
    return [lastcall.Problem(what="agent", where=guest.name, message="silent", severity=lastcall.Severity.WARNING)]
@lastcall.hookimpl
def describe_guest(guest, run):
    return {"state": run.domain(guest).state().value}
"""


def test_a_plugin_adds_commands_checks_and_facts(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    (tmp_path / "hooks.d" / "10-more.py").write_text(COMMAND)
    assert run_lastcall(config, "enroll").stdout == "enrolled\n"
    assert "enroll" in run_lastcall(config, "--help").stdout
    found = {
        problem["what"]: problem for problem in json.loads(run_lastcall(config, "check", "--json").stdout)["problems"]
    }
    assert (found["mount"]["remedy"], found["agent"]["where"]) == ("mount it", "test")
    assert "more.state: running" in run_lastcall(config, "-v", "plan").stdout


def test_a_plugin_whose_commands_fail_is_named_and_the_core_goes_on(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    text = "import lastcall\n@lastcall.hookimpl\ndef register_commands(group):\n    raise ValueError('no')\n"
    (tmp_path / "hooks.d" / "10-bad.py").write_text(text)
    shown = run_lastcall(config, "--help")
    assert shown.returncode == 0
    assert "the commands of bad are missing: ValueError: no" in shown.stderr


def test_what_plugins_and_their_programs_print_is_not_in_the_json(tmp_path: Path) -> None:
    config = write_config(tmp_path, "test:///default")
    (tmp_path / "hooks.d" / "10-prints.py").write_text(
        "import lastcall, subprocess\nprint('imported')\n"
        "@lastcall.hookimpl\n"
        "def on_guest_stop(guest, run):\n    print('printed')\n    subprocess.run(['echo', 'echoed'], check=True)\n"
    )
    done = run_lastcall(config, "shutdown", "--json")
    assert report_of(done)["run"]["exit_code"] == 0
    for word in ("imported", "printed", "echoed"):
        assert word not in done.stdout
        assert word in done.stderr
