"""The report for a person: what one guest is called, or one plugin has not found, is in nobody's way."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import lastcall
from lastcall import HookFailed, Outcome, Run
from lastcall.formats.layout.columns import WIDEST_NAME
from lastcall.report.text import as_text, report_json
from lastcall.testing.memory import FakeGuest, run_shutdown


class NothingFound:
    @lastcall.hookimpl
    def on_guest_stop(self, run: Run) -> None:
        run.evidence(postgresql={"before": {}, "after": {}, "proven": False})
        raise HookFailed("there is no psql in the guest")


def test_a_guest_with_a_long_name_pushes_nobodys_outcome_out_of_sight(tmp_path: Path) -> None:
    lines = as_text(run_shutdown(tmp_path, [FakeGuest("web"), FakeGuest("x" * 200)])).splitlines()
    (web,) = [line for line in lines if line.startswith("✓ web")]
    assert web.index("stopped") < WIDEST_NAME + 10
    assert any(line.startswith(f"✓ {'x' * 200}  stopped") for line in lines)


def test_evidence_in_which_nothing_is_compared_has_no_line(tmp_path: Path) -> None:
    text = as_text(run_shutdown(tmp_path, [FakeGuest("web")], plugins={"found": NothingFound()}))
    assert "there is no psql in the guest" in text
    assert "postgresql" not in text


@pytest.mark.parametrize(
    ("place", "words"),
    [("moved_to", "→ web  moved to hb in 1.1s"), ("moved_from", "← web  moved back from hb in 1.1s")],
)
def test_of_who_was_moved_it_says_where_to_or_from(tmp_path: Path, place: str, words: str) -> None:
    report = run_shutdown(tmp_path, [FakeGuest("web")])
    moved = replace(report.guests[0], outcome=Outcome.MOVED, method="migrate", duration=1.1)
    report = replace(report, guests=(replace(moved, **{place: "qemu+tls://hb/system"}),))
    assert as_text(report).splitlines()[0] == words
    assert json.loads(report_json(report))["guests"][0][place] == "qemu+tls://hb/system"
