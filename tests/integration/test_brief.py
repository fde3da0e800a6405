"""`lastcall check --brief`: one line that a monitoring system understands, whatever is wrong."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab.patience import LONGEST
from support import PROGRAM, run_lastcall, write_config

WORLD = "test:///default"
# As the guidelines for monitoring plugins have it: text, a bar, figures with warning and critical ranges.
LINE = re.compile(
    r"LASTCALL (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+( \| errors=\d+;;0;0 warnings=\d+;0;;0 guests=\d+;;;0)?\n"
)
CODES = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}
FINDS = """\
import lastcall

@lastcall.hookimpl
def check(run):
    print("not for you")
    return [lastcall.Problem(what="x", where="disk | one\\ntwo", message="is full", severity="SEVERITY")]
"""
BREAKS = "import lastcall\n\n@lastcall.hookimpl\ndef check(run):\n    raise SystemExit(0)\n"


def state_of(done: "subprocess.CompletedProcess[str]") -> str:
    """The state that it tells, by its line and by its code alike."""
    found = LINE.fullmatch(done.stdout)
    assert found, done.stdout
    assert done.returncode == CODES[found[1]]
    return found[1]


def with_drop_in(folder: Path, text: str) -> Path:
    config = write_config(folder, WORLD)
    (folder / "hooks.d" / "10-look.py").write_text(text)
    return config


def test_a_host_without_a_fault_is_ok(tmp_path: Path) -> None:
    done = run_lastcall(write_config(tmp_path, WORLD), "check", "--brief")
    assert state_of(done) == "OK"
    assert done.stdout.startswith(
        "LASTCALL OK - nothing wrong found, 1 active guest | errors=0;;0;0 warnings=0;0;;0 guests=1"
    )


@pytest.mark.parametrize(("severity", "state"), [("warning", "WARNING"), ("error", "CRITICAL")])
def test_what_a_check_finds_is_told_with_its_severity(tmp_path: Path, severity: str, state: str) -> None:
    done = run_lastcall(with_drop_in(tmp_path, FINDS.replace("SEVERITY", severity)), "check", "--brief")
    assert state_of(done) == state
    assert f"- 1 {severity}: disk ¦ one\\ntwo: is full | " in done.stdout


def test_a_plugin_that_breaks_while_it_looks_is_critical(tmp_path: Path) -> None:
    assert state_of(run_lastcall(with_drop_in(tmp_path, BREAKS), "check", "--brief")) == "CRITICAL"


def test_a_connection_that_is_not_there_is_critical(tmp_path: Path) -> None:
    done = run_lastcall(write_config(tmp_path, "qemu+unix:///system?socket=/nonexistent"), "check", "--brief")
    assert state_of(done) == "CRITICAL"


@pytest.mark.parametrize("text", ["shutdown: {deadline: soon}\n", "[", "", "nonsense: 1\n"])
def test_an_invalid_configuration_is_critical(tmp_path: Path, text: str) -> None:
    config = write_config(tmp_path, WORLD)
    config.write_text(text)
    done = run_lastcall(config, "check", "--brief")
    assert state_of(done) == "CRITICAL"
    assert "the configuration is invalid" in done.stdout


@pytest.mark.parametrize(
    "words",
    [("check", "--brief", "--nosuch"), ("check", "--brief", "extra"), ("check", "--brief", "--json"),
     ("--nosuch", "check", "--brief")],
)  # fmt: skip
def test_a_wrong_usage_is_unknown(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert state_of(run_lastcall(write_config(tmp_path, WORLD), *words)) == "UNKNOWN"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that others reach: pytest closes its own to them."""
    with TemporaryDirectory(prefix="lastcall-brief-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_whoever_may_not_look_cannot_know(open_folder: Path, mode: int) -> None:
    """The configuration is not his to read, or the folders are not his to look into."""
    config = write_config(open_folder, WORLD)
    (open_folder / "state").chmod(0o700)
    config.chmod(mode)
    command = [PROGRAM, "--config", str(config), "check", "--brief"]
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", *command],
        capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    assert state_of(done) == "UNKNOWN"
    assert "run as root" in done.stdout
