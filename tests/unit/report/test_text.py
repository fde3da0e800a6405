"""The report for a person: what one guest is called, or one plugin has not found, is in nobody's way."""

from pathlib import Path

import lastcall
from lastcall import HookFailed, Run
from lastcall.formats.layout.columns import WIDEST_NAME
from lastcall.report.text import as_text
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
