"""What we ship as examples works as it is written there, and says what it is for."""

import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lastcall import Reason, Verdict
from lastcall.api.reasons import REASON_WORDS
from samples import ROOT, SAMPLES, all_samples, example, plugin_name, record, said, stage
from support import run_lastcall, write_config

PAGE = ROOT / "docs" / "samples.md"
CONFIGURED = [one for one in all_samples() if one.endswith(".py") and one != "20-slow-guests.py"]
LANGUAGES = {"#!/bin/sh": "sh", "#!/usr/bin/perl": "Perl"}


def language(sample: str) -> str:
    return "Python" if sample.endswith(".py") else LANGUAGES[(SAMPLES / sample).read_text().splitlines()[0]]


def header(sample: str) -> str:
    """The words of its header, if it has one."""
    found = re.search(r"^# lastcall: (.*)$", "\n".join((SAMPLES / sample).read_text().splitlines()[:10]), re.MULTILINE)
    return found[1] if found else ""


def test_all_samples_can_be_copied_as_they_are(tmp_path: Path) -> None:
    """By the program itself: trusted, understood, in the order of their names, and without a word of warning."""
    config = write_config(tmp_path, "test:///default")
    shutil.rmtree(tmp_path / "hooks.d")
    shutil.copytree(SAMPLES, tmp_path / "hooks.d", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path / "hooks.d").rglob("*"):
        path.chmod(path.stat().st_mode & ~0o022)
    done = run_lastcall(config, "plugins")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout
    for sample in all_samples():
        assert re.search(rf"^ +{re.escape(plugin_name(sample))} +dropin ", done.stdout, re.MULTILINE), done.stdout
    checked = run_lastcall(config, "check")
    assert "nothing wrong found" in checked.stdout, checked.stdout + checked.stderr


@pytest.mark.parametrize("sample", CONFIGURED)
def test_the_configuration_in_a_sample_is_valid_as_written(tmp_path: Path, sample: str) -> None:
    given: dict[str, Any] = example(sample)
    for rule in given.get("guests", ()):
        rule.pop("shell", None)  # there are others in the lab
    lab = stage(tmp_path, sample, config=given)
    lab.guest("nas")
    assert lab.plan()["problems"] == []


def test_whatever_is_not_set_every_sample_does_nothing_and_is_no_failure_in_any_run(tmp_path: Path) -> None:
    """On a host with none of the tools, no configuration, and guests that nobody has named."""
    lab = stage(tmp_path, *all_samples())
    guests = [lab.guest("db-1"), lab.guest("router")]
    for reason in (Reason.MANUAL, Reason.REBOOT, Reason.POWER):
        report = lab.shutdown(reason=reason)
        calls = [*report.hooks, *(one for guest in report.guests for one in guest.hooks)]
        mine = {one.plugin: one for one in calls if one.plugin in map(plugin_name, all_samples())}
        assert {one.result for one in mine.values() if one.plugin != "slow_guests"} == {Verdict.SKIPPED}, mine
        assert report.run.exit_code == 0
        report = lab.restore()
        assert (report.run.exit_code, {one.result for one in report.hooks}) == (0, {Verdict.SKIPPED})
    assert all("shutdown" not in guest.asked for guest in guests)
    assert not [path for path in (tmp_path / "plugins").rglob("*") if path.is_file()]


def test_the_sample_of_slow_guests_names_those_that_took_long(tmp_path: Path) -> None:
    lab = stage(tmp_path, "20-slow-guests.py")
    lab.guest("fast")
    assert record(lab.shutdown(), "20-slow-guests.py", "post_shutdown").message == "nobody was slow"
    lab.guest("slow", takes=61)
    report = lab.shutdown("slow", reason=Reason.REBOOT)
    assert record(report, "20-slow-guests.py", "post_shutdown").evidence == {"slow": ["slow"]}
    assert "slow is about to stop because of reboot" in lab.lines
    lab.fire("on_guest_stop", lab.guests["fast"])
    assert lab.lines == ["fast would stop now because of manual"]


def test_the_sample_of_stopvm_is_for_host_stops_and_not_run_in_a_rehearsal(tmp_path: Path) -> None:
    sample = "pre_shutdown/50-stopvm.sh"
    lab = stage(tmp_path, sample, tools={"virsh": 'echo "$@" >>"$here/asked"', "sleep": "exit 0"})
    lab.guest("db-1")
    assert "meant for host stops" in record(lab.shutdown(), sample).message
    for reason in (Reason.MANUAL, Reason.REBOOT):
        assert [one.result for one in lab.fire("pre_shutdown", reason=reason)] == [Verdict.SKIPPED]
    assert not said(tmp_path, "asked")
    lab.guest("db-1")
    assert record(lab.shutdown(reason=Reason.REBOOT), sample).result is Verdict.OK
    assert said(tmp_path, "asked") == "shutdown router\n"


@pytest.mark.parametrize("sample", all_samples())
def test_every_sample_says_its_reasons_and_knows_of_rehearsals(sample: str) -> None:
    text = (SAMPLES / sample).read_text()
    knows = "run.rehearsal" if sample.endswith(".py") else "# lastcall: "
    assert knows in text
    assert "reasons=" in header(sample) or "for every reason" in text
    assert " rehears" in text, "in words, too, for whoever reads it"
    mode = stat.S_IMODE((SAMPLES / sample).stat().st_mode)
    assert mode & 0o111 == (0 if sample.endswith(".py") else 0o111)


def test_the_page_has_every_sample_with_its_language_its_hooks_and_its_reasons() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert sorted(row[0].strip("` |") for row in rows) == all_samples()
    for name, _, spoken, hooks, reasons, _ in rows:
        sample = name.strip("` |")
        assert spoken == language(sample), sample
        text = (SAMPLES / sample).read_text()
        own = re.findall(r"^@lastcall.hookimpl\ndef (\w+)", text, re.MULTILINE) or [sample.partition("/")[0]]
        assert re.findall(r"`(\w+)`", hooks) == [one for one in own if one != "plugin_options"], sample
        words = re.search(r"reasons=(\S+)", header(sample))
        assert re.findall(r"`([\w-]+)`", reasons) == (words[1].split(",") if words else []), sample
        assert set(re.findall(r"`([\w-]+)`", reasons)) <= set(REASON_WORDS)
    assert {row[2] for row in rows} == {"Python", "sh", "Perl"}


@pytest.mark.parametrize("sample", [one for one in all_samples() if not one.endswith(".py")])
def test_what_is_no_python_satisfies_its_checker(sample: str) -> None:
    words = ["shellcheck", "--norc"] if language(sample) == "sh" else ["perl", "-cw"]
    done = subprocess.run([*words, SAMPLES / sample], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
