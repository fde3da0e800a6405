"""A test that fails leaves no program behind, and no other test fails by what it had open."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aftermath

HEAD = """
import gc, pathlib, pytest, socket, subprocess

HERE = pathlib.Path(__file__).parent

def begun(name):
    process = subprocess.Popen(["sleep", "1000"], stdout=subprocess.PIPE)
    (HERE / name).write_text(str(process.pid))
    return process

def deep():
    process = begun("left")
    raise OSError

@pytest.fixture(scope="module")
def server():
    with begun("server") as process:
        yield process
        process.kill()
"""
FAILURES = {
    "an assertion": """
def test_bad(server):
    process = begun("left")
    file = open("/dev/null")
    assert file.closed""",
    "several programs": """
def test_bad(server):
    both = [begun("left"), begun("right")]
    raise OSError""",
    "by name": """
def test_bad(server):
    both = {"one": begun("left")}
    door = socket.socket()
    raise OSError""",
    "deep below": """
def test_bad(server):
    try:
        deep()
    except OSError as error:
        raise ValueError from error""",
    "one of a group": """
def test_bad(server):
    try:
        deep()
    except OSError as error:
        raise ExceptionGroup("both", [error, ValueError()]) from None""",
    "before it begins": """
@pytest.fixture
def broken(server):
    process = begun("left")
    raise OSError
def test_bad(broken):
    pass""",
}
TAIL = """
def test_that_nobody_else_fails(server):
    gc.collect()
    assert server.poll() is None
"""


@pytest.mark.parametrize("failure", FAILURES)
def test_what_a_failed_test_began_ends_and_what_it_had_open_is_charged_to_nobody(tmp_path: Path, failure: str) -> None:
    (tmp_path / "test_it.py").write_text(HEAD + FAILURES[failure] + TAIL)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nfilterwarnings = ['error']\n")
    (tmp_path / "conftest.py").write_text("pytest_plugins = ['aftermath']\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    more = {"PYTHONPATH": str(Path(aftermath.__file__).parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, env={**kept, **more}, capture_output=True, text=True, check=False)
    assert sorted(re.findall(r"1 \w+", done.stdout.splitlines()[-1]))[-1] == "1 passed", done.stdout + done.stderr
    begun = [file for file in tmp_path.iterdir() if file.name in {"left", "right"}]
    assert begun
    assert [file.name for file in begun if Path(f"/proc/{file.read_text()}").exists()] == []
