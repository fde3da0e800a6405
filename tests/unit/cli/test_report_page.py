"""`lastcall report --html`: where the page goes, and what is in its way."""

import os
import subprocess
from pathlib import Path

import pytest

from book.pictures import SAMPLE
from support import PROGRAM

NEWEST = "20261126T021431Z-7c1e"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose state folder has the logs of the sample."""
    runs = tmp_path / "state/runs"
    runs.mkdir(parents=True)
    for log in SAMPLE.glob("*.jsonl"):
        (runs / log.name).write_bytes(log.read_bytes())
    file = tmp_path / "config.yaml"
    file.write_text(f"paths: {{state: {tmp_path}/state, run: {tmp_path}/run, hooks: {tmp_path}/hooks}}\n")
    return file


def report(config: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [str(PROGRAM), "--config", str(config), "report", *words]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env={**os.environ, **environment}, check=False
    )


def test_a_page_is_written_whole_for_its_owner_alone_over_whatever_stood_there(config: Path, tmp_path: Path) -> None:
    page = tmp_path / "night.html"
    page.write_text("old")
    page.chmod(0o666)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    link = tmp_path / "link.html"
    link.symlink_to(elsewhere)
    for path in (page, link):
        done = report(config, "--html", str(path))
        assert (done.returncode, done.stdout, done.stderr) == (1, "", ""), "as `lastcall report` of this run"
        assert path.read_text().startswith("<!doctype html>")
        assert path.stat().st_mode & 0o7777 == 0o600
    assert elsewhere.read_text() == "mine"
    assert not list(tmp_path.glob("*.new"))


def test_a_dash_is_standard_output_in_utf_8_whatever_the_terminal_is(config: Path, tmp_path: Path) -> None:
    done = report(config, "--html", "-", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (1, "")
    assert "✗ forced" in done.stdout
    assert "The restore after it" in done.stdout
    one = report(config, NEWEST, "--html", "-").stdout
    assert "✗ forced" in one
    assert "The restore after it" not in one
    assert "usually done by" in one, "the earlier runs still tell what is usual"


def test_what_is_no_file_is_not_replaced_by_one(config: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    device = tmp_path / "stdout"
    device.symlink_to("/dev/null")
    for place in (pipe, device, tmp_path):
        done = report(config, "--html", str(place))
        assert done.returncode == 2
        assert done.stderr.startswith(f"lastcall: {place} is no file\n  → ")
    assert pipe.is_fifo()
    assert device.is_symlink()


def test_where_it_cannot_be_written_the_place_and_the_remedy_are_named(config: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing/night.html"
    done = report(config, "--html", str(missing))
    assert done.returncode == 4
    assert done.stderr.startswith(f"lastcall: {missing} cannot be written: no such file or directory\n  → name a file")
    long = tmp_path / ("x" * 300)
    assert report(config, "--html", str(long)).returncode == 4
    with Path("/dev/full").open("w") as full:
        command = [str(PROGRAM), "--config", str(config), "report", "--html", "-"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4
    assert "no space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("other", ["--json", "--list"])
def test_a_page_is_not_asked_for_together_with_something_else(config: Path, tmp_path: Path, other: str) -> None:
    done = report(config, "--html", str(tmp_path / "x"), other)
    assert done.returncode == 2
    assert not (tmp_path / "x").exists()


def test_no_other_way_to_read_a_report_loads_what_makes_the_page(config: Path) -> None:
    loaded = report(config, PYTHONPROFILEIMPORTTIME="1").stderr
    assert "lastcall.report.run_history" in loaded
    assert "jinja2" not in loaded
    assert "jinja2" in report(config, "--html", "-", PYTHONPROFILEIMPORTTIME="1").stderr
