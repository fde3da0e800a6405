"""The metrics of real runs, as Prometheus's own judge sees them."""

from pathlib import Path

import pytest

from lab.promtool import promtool
from support import run_lastcall, write_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    more = f"plugins: {{metrics: {{textfile: {tmp_path}/lastcall.prom}}}}\n"
    return write_config(tmp_path, "test:///default", more=more)


def test_what_runs_and_checks_write_passes_the_judge_of_prometheus(config: Path) -> None:
    file = config.with_name("lastcall.prom")
    for words in (("shutdown",), ("shutdown", "--reason", "power"), ("restore",), ("check",)):
        assert run_lastcall(config, *words).returncode == 0
        done = promtool("check", "metrics", told=file.read_text())
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), words
    text = file.read_text()
    for line in (
        'lastcall_last_run_guests{kind="shutdown",outcome="stopped",reason="manual"} 1.0',
        'lastcall_last_run_as_planned{kind="shutdown",reason="power"} 1.0',
        "lastcall_plan_guests 1.0",
        'lastcall_guest_outcome{guest="test",kind="shutdown",outcome="stopped",uri="test:///default"} 1.0',
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("words", [("plan",), ("hook", "post_shutdown"), ("hook", "post_restore"), ("status",)])
def test_what_only_looks_writes_nothing(config: Path, words: tuple[str, ...]) -> None:
    assert run_lastcall(config, *words).returncode in {0, 3}
    assert not config.with_name("lastcall.prom").exists()


def test_a_file_that_cannot_be_written_is_told_by_the_check(config: Path) -> None:
    config.with_name("lastcall.prom").mkdir()
    done = run_lastcall(config, "check")
    assert done.returncode == 1
    assert "lastcall.prom cannot be written: is a directory" in done.stdout


def test_what_is_traced_of_it_is_a_check_that_has_looked(config: Path) -> None:
    done = run_lastcall(config, "plugins", "trace", "post_check")
    assert done.returncode == 0, done.stderr
    assert "post_check 1/2 metrics" in done.stdout
    assert "lastcall_plan_guests 1.0" in config.with_name("lastcall.prom").read_text()
