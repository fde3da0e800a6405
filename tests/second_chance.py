"""A second chance for tests of real machines: what failed runs once more, alone, after all the others.

What passes then has passed and is counted once, but is listed under a heading of its own with the reason of its first
failure: that is a defect of the product, of the test or of the lab, which has to be found. Unit tests get no second
chance, nor does anything in a run that was cut short or in which so much failed that it cannot be chance.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

FOLDERS = ("tests/faults/", "tests/guests/", "tests/host/", "tests/integration/", "tests/packages/")
MOST = 10
"""Where there are more failures than so many, something is broken, and none is repeated."""
LINES = 30
"""So many lines of a failure are shown."""
_RECORDS = "LASTCALL_SECOND_RUN"
"""The file to which the second run writes its reports; where this is set, we are that run."""


def pytest_configure(config: pytest.Config) -> None:
    """Take part in the process that tells the results, and in the second run."""
    if _RECORDS in os.environ:
        config.pluginmanager.register(Recorder(config, Path(os.environ[_RECORDS])), "second-run")
    elif not hasattr(config, "workerinput"):  # a process of xdist's has that
        config.pluginmanager.register(SecondChance(config), "second-chance")


class Recorder:
    """Writes down what happens in the second run."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config, self._path = config, path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A line for each report."""
        told = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        with self._path.open("a") as records:
            records.write(json.dumps(told) + "\n")


class SecondChance:
    """Repeats what may be repeated, and tells."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._failures: dict[str, list[pytest.TestReport]] = {}
        self._passed_then: dict[str, list[pytest.TestReport]] = {}
        self._failed_again: dict[str, list[pytest.TestReport]] = {}
        self._trouble = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember who failed."""
        if report.failed:
            self._failures.setdefault(report.nodeid, []).append(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Repeat; by now the other processes have ended, and the lab of this one as well."""
        # Whoever stops early (-x, Ctrl-C, an error outside of tests) has not run everything, and stays with that.
        complete = session.exitstatus == pytest.ExitCode.TESTS_FAILED and not (session.shouldfail or session.shouldstop)
        wanted = [name for name, reports in self._failures.items() if _may_be_repeated(name, reports)]
        if complete and wanted and len(self._causes()) <= MOST:
            self._reporter.write_line(f"\nonce more, alone: {len(wanted)} that failed")
            again = self._run(wanted)
            for name in wanted:
                self._judge(session, name, again.get(name, []))
        if complete and session.testsfailed == 0:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self) -> None:
        """Tell who needed the second chance and why, and what the others failed of at their second."""
        for heading, found, colour in (
            ("passed only when run again, alone", self._passed_then, "yellow"),
            ("failed again when run alone", self._failed_again, "red"),
        ):
            if found:
                self._reporter.write_sep("=", heading, **{colour: True, "bold": True})
            for name, reports in found.items():
                self._reporter.write_line(f"{name}: {', '.join(report.when or '' for report in reports)}", bold=True)
                for report in reports:
                    self._reporter.write_line("\n".join(report.longreprtext.splitlines()[-LINES:]))
        if self._trouble:
            self._reporter.write_sep("=", "the second run did not get to its end", red=True, bold=True)
            self._reporter.write_line(self._trouble)

    @property
    def _reporter(self) -> pytest.TerminalReporter:
        found = self._config.pluginmanager.getplugin("terminalreporter")
        assert isinstance(found, pytest.TerminalReporter)
        return found

    def _causes(self) -> set[tuple[str, str]]:
        """What failed; a fixture of a module that fails fails all its tests by the same error, and counts once."""
        failures = [report for reports in self._failures.values() for report in reports]
        return {
            (report.nodeid.partition("::")[0], report.longreprtext) if report.when == "setup" else (report.nodeid, "")
            for report in failures
        }

    def _run(self, names: list[str]) -> dict[str, list[pytest.TestReport]]:
        """Run these in one process, one after the other; returns the reports of each."""
        with tempfile.TemporaryDirectory(prefix="lastcall-second-run-") as folder:
            records = Path(folder) / "records"
            records.touch()
            command = [sys.executable, "-m", "pytest", "-n", "0", "-q", f"--rootdir={self._config.rootpath}", *names]
            done = subprocess.run(
                command, cwd=self._config.rootpath, env={**os.environ, _RECORDS: str(records)},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            if done.returncode not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
                self._trouble = "\n".join([f"exit code {done.returncode}", *done.stdout.splitlines()[-LINES:]])
            return self._read(records)

    def _read(self, records: Path) -> dict[str, list[pytest.TestReport]]:
        found: dict[str, list[pytest.TestReport]] = {}
        for line in records.read_text().splitlines():
            data: Any = json.loads(line)
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
            found.setdefault(report.nodeid, []).append(report)
        return found

    def _judge(self, session: pytest.Session, name: str, again: list[pytest.TestReport]) -> None:
        """One test's second run counts where it passed from its set-up to its end."""
        if [(report.when, report.outcome) for report in again] != [
            ("setup", "passed"), ("call", "passed"), ("teardown", "passed")
        ]:  # fmt: skip
            self._failed_again[name] = [report for report in again if report.failed]
            return
        self._passed_then[name] = self._failures[name]
        session.testsfailed -= len(self._failures[name])
        stats = self._reporter.stats
        for category in ("failed", "error", "passed"):  # a test that passed may have failed afterwards
            stats[category] = [report for report in stats.get(category, []) if report.nodeid != name]
        stats["passed"].append(again[1])
        for category in ("failed", "error"):
            if not stats[category]:
                del stats[category]  # or the closing line is red


def _may_be_repeated(name: str, reports: list[pytest.TestReport]) -> bool:
    """Not the victim of a process that crashed: whatever crashed it is no chance."""
    return name.startswith(FOLDERS) and all(report.when in {"setup", "call", "teardown"} for report in reports)
