"""A failed test of real machines runs once more, alone: what that makes green, what it does not, and how it is told."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

import second_chance

FAILS_ONCE = """
import os, pathlib, pytest
def once(name):
    mark = pathlib.Path(__file__).with_name(name)
    if not mark.exists():
        mark.touch()
        raise ValueError("the first time of " + name)
"""
STORY = {
    "integration_flickers": "def test_flickers(): once('a')\ndef test_fine(): pass\n",
    "guests_named": (
        "@pytest.mark.parametrize('way', ['one::way', 'the other [way]'])\ndef test_named(way):\n    once(way[:3])\n"
    ),
    "host_bad": "def test_bad():\n    once('bad')\n    raise KeyError('the second time')\n",
    "host_before": "@pytest.fixture\ndef before(): once('before')\ndef test_before(before): pass\n",
    "host_after": (
        "@pytest.fixture\ndef after():\n    yield\n    once('after')\ndef test_after(after): pass\n"
        "@pytest.fixture\ndef both():\n    yield\n    once('behind')\ndef test_both(both): once('front')\n"
    ),
    "host_twice": "@pytest.fixture\ndef twice(): raise OSError\ndef test_twice(twice): pass\n",
    "unit_flickers": "def test_unit(): once('unit')\n",
}
ONCE = "def test_once(): once('once')\n"
HEADING = "*= passed only when run again, alone =*"


@dataclass(frozen=True)
class Run:
    """A run of pytest."""

    code: int
    lines: list[str]

    def has(self, *patterns: str) -> bool:
        """Whether such lines come one after the other, with others between them."""
        rest = iter(self.lines)
        return all(any(fnmatch(line, pattern) for line in rest) for pattern in patterns)

    @property
    def counts(self) -> dict[str, int]:
        """What the closing line counts."""
        return {word: int(count) for count, word in re.findall(r"(\d+) (failed|passed|errors?)\b", self.lines[-1])}


def run(folder: Path, processes: int, *words: str, **files: str) -> Run:
    """Run a project with the plugin and these test files, each named by its folder and itself."""
    for name, text in files.items():
        room, _, stem = name.partition("_")
        path = folder / "tests" / room / f"test_{stem}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FAILS_ONCE + text)
    (folder / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\naddopts = '-p xdist -ra --import-mode=importlib -p no:cacheprovider'\n"
    )
    (folder / "conftest.py").write_text("pytest_plugins = ['second_chance']\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    more = {"PYTHONPATH": str(Path(second_chance.__file__).parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-n", str(processes), *words, "tests"]
    done = subprocess.run(command, cwd=folder, env={**kept, **more}, capture_output=True, text=True, check=False)
    return Run(done.returncode, (done.stdout + done.stderr).splitlines())


@pytest.fixture(scope="module", params=[0, 2], ids=["one process", "two processes"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a bit of everything."""
    return run(tmp_path_factory.mktemp("story"), request.param, **STORY)


def test_what_passes_alone_has_passed_and_is_listed_with_its_first_failure(story: Run) -> None:
    assert story.has(HEADING, "tests/integration/test_flickers.py::test_flickers: call", "*the first time of a")
    assert story.has(HEADING, "tests/guests/test_named.py::test_named?the other ?way??: call")
    assert story.has(HEADING, "tests/guests/test_named.py::test_named?one::way?: call")
    assert not story.has("FAILED *test_flickers.py::test_flickers*")


def test_fixtures_that_fail_once_before_or_after_are_repeated_too(story: Run) -> None:
    assert story.has(HEADING, "tests/host/test_before.py::test_before: setup")
    assert story.has(HEADING, "tests/host/test_after.py::test_after: teardown")
    assert story.has(HEADING, "tests/host/test_after.py::test_both: call, teardown")


def test_what_fails_twice_stays_failed_and_both_failures_are_shown(story: Run) -> None:
    again = "*= failed again when run alone =*"
    assert story.has("*= FAILURES =*", "*the first time of bad", again, "*KeyError: 'the second time'")
    assert story.has("ERROR tests/host/test_twice.py::test_twice*")
    assert story.has("FAILED tests/host/test_bad.py::test_bad*")


def test_a_unit_test_is_never_repeated(story: Run) -> None:
    assert story.has("FAILED tests/unit/test_flickers.py::test_unit*")
    assert not story.has(HEADING, "tests/unit/*")


def test_the_closing_line_counts_everything_once_and_the_run_has_failed(story: Run) -> None:
    assert story.counts == {"passed": 7, "failed": 2, "error": 1}, story.lines[-1]
    assert story.code == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("processes", [0, 2])
def test_a_run_in_which_everything_has_passed_in_the_end_is_green(tmp_path: Path, processes: int) -> None:
    green = run(tmp_path, processes, integration_a=ONCE, unit_b="def test_b(): pass\n")
    assert green.has(HEADING, "tests/integration/test_a.py::test_once: call")
    assert (green.counts, green.code) == ({"passed": 2}, pytest.ExitCode.OK)


def test_a_fixture_that_fails_many_tests_is_one_failure(tmp_path: Path) -> None:
    many = (
        "@pytest.fixture(scope='module')\ndef guest(): once('guest')\n"
        f"@pytest.mark.parametrize('n', range({second_chance.MOST + 1}))\ndef test_n(guest, n): pass\n"
    )
    lucky = run(tmp_path, 0, guests_a=many)
    assert (lucky.counts, lucky.code) == ({"passed": second_chance.MOST + 1}, pytest.ExitCode.OK)


def test_where_much_has_failed_nothing_is_repeated(tmp_path: Path) -> None:
    many = f"@pytest.mark.parametrize('n', range({second_chance.MOST + 1}))\ndef test_n(n): once(str(n))\n"
    broken = run(tmp_path, 0, host_a=many)
    assert not broken.has(HEADING)
    assert broken.counts == {"failed": second_chance.MOST + 1}


@pytest.mark.parametrize(
    ("processes", "words", "text", "code"),
    [
        (0, [], "def test_z(): raise KeyboardInterrupt\n", pytest.ExitCode.INTERRUPTED),
        (2, [], "def test_z(): raise KeyboardInterrupt\n", pytest.ExitCode.INTERRUPTED),
        (0, ["--maxfail=1"], "def test_z(): pass\n", pytest.ExitCode.TESTS_FAILED),
        (0, ["--continue-on-collection-errors"], "import nothing_of_that_name\n", pytest.ExitCode.TESTS_FAILED),
        (0, [], "import nothing_of_that_name\n", pytest.ExitCode.INTERRUPTED),
    ],
    ids=["Ctrl-C", "Ctrl-C in two processes", "maxfail", "collection went on", "collection"],
)
def test_a_run_that_was_cut_short_stays_as_it_is(
    tmp_path: Path, processes: int, words: list[str], text: str, code: int
) -> None:
    short = run(tmp_path, processes, *words, integration_a=ONCE, integration_z=text)
    assert short.code == code, short.lines


def test_a_process_that_crashes_is_no_chance(tmp_path: Path) -> None:
    crash = "def test_crash():\n    try:\n        once('x')\n    except ValueError:\n        os._exit(1)\n"
    crashed = run(tmp_path, 2, integration_a=crash, integration_b=ONCE)
    assert crashed.has(HEADING, "tests/integration/test_b.py::test_once: call")
    assert not crashed.has(HEADING, "*test_crash: *")
    assert (crashed.counts["failed"], crashed.code) == (1, pytest.ExitCode.TESTS_FAILED)


def test_a_second_run_that_crashes_makes_nothing_green_and_says_so(tmp_path: Path) -> None:
    crashed = run(tmp_path, 0, integration_a="def test_a():\n    once('a')\n    os._exit(7)\n")
    assert crashed.has("*= the second run did not get to its end =*")
    assert (crashed.counts, crashed.code) == ({"failed": 1}, pytest.ExitCode.TESTS_FAILED)
