"""No guest, plugin or server forges a line, or has a terminal obey it: everything that is written in lines."""

import json
from pathlib import Path

import pytest

import lastcall
from lastcall import HookFailed, Problem, Run
from lastcall.cli.progress import Progress
from lastcall.records.records import Record
from lastcall.report.narrator import Narrator
from lastcall.report.run_history import as_story, past_runs
from lastcall.report.run_list import run_table
from lastcall.report.text import as_text, problem_line, report_json
from lastcall.testing.memory import FakeGuest, run_shutdown

EVIL = "db\n✓ web-1  stopped\r\x1b[2K\x85\u2028\u202e\x9b\udcff"
SHOWN = "db\\n✓ web-1  stopped\\r\\x1b[2K\\x85\\u2028\\u202e\\x9b\\udcff"


class Evil:
    @lastcall.hookimpl
    def on_guest_stop(self, run: Run) -> None:
        run.evidence(**{EVIL: {"before": {EVIL: EVIL}, "after": {EVIL: EVIL}}})
        run.log(f"said {EVIL}")
        raise HookFailed(EVIL, EVIL)

    @lastcall.hookimpl
    def pre_shutdown(self, run: Run) -> None:
        raise HookFailed(EVIL)


def harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture(name="told")
def _told(tmp_path: Path) -> tuple[Path, list[Record], str, str]:
    records: list[Record] = []
    report = run_shutdown(tmp_path, [FakeGuest(EVIL, uuid="u", deaf_to=frozenset({"acpi"}))], plugins={"evil": Evil()},
                          sink=records.append)  # fmt: skip
    return tmp_path, records, as_text(report), report_json(report)


def test_the_report_has_one_line_a_guest_whatever_its_name(told: tuple[Path, list[Record], str, str]) -> None:
    _, _, text, _ = told
    assert harmless(text)
    assert not any(line.startswith("✓ web-1") for line in text.splitlines())
    assert f"✗ {SHOWN}  left" in text


def test_json_keeps_the_true_name(told: tuple[Path, list[Record], str, str]) -> None:
    _, _, _, text = told
    assert json.loads(text)["guests"][0]["name"] == EVIL.replace("\udcff", "\\udcff")
    assert harmless(text)


def test_progress_the_console_and_the_journal_get_one_line_a_record(told: tuple[Path, list[Record], str, str]) -> None:
    lines: list[str] = []
    progress, narrator = Progress(lines.append, verbose=True), Narrator(verbose=True)
    for record in told[1]:
        progress.take(record)
        line = narrator.line(record)
        assert line is None or harmless(line)
    assert any(SHOWN in line for line in lines)
    assert all(harmless(line) for line in lines)
    assert not any(line.lstrip().startswith("✓ web-1") for text in lines for line in text.splitlines())


def test_past_runs_are_told_the_same_way(told: tuple[Path, list[Record], str, str]) -> None:
    (run,) = past_runs(told[0] / "runs")
    assert harmless(as_story(run) + run_table([run]))


def test_a_problem_has_its_remedy_as_its_only_other_line() -> None:
    text = problem_line(Problem(what="yaml", where=EVIL, message=EVIL, remedy=EVIL))
    assert text == f"✗ yaml {SHOWN}: {SHOWN}\n    → {SHOWN}"
