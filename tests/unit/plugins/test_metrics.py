"""The metrics plugin: what it writes of runs and checks, when, and for whom to read."""

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID253  it reads what was written

from lab.promtool import promtool
from lastcall import Outcome, Reason, Report, Severity, Verdict
from lastcall.testing import Lab
from lastcall.testing.memory import FakeGuest, run_shutdown
from lastcall_plugins.metrics.exposition import FAMILIES, exposition
from lastcall_plugins.metrics.kept import KNOWN, Kept

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def lab_with(folder: Path, **options: int) -> Lab:
    (folder / "collected").mkdir(exist_ok=True)
    section = {"textfile": f"{folder}/collected/lastcall.prom", **options}
    more = "defaults: {stop: [{acpi: {timeout: 20s}}]}\n"
    return Lab(folder / "lab", config=f"plugins: {json.dumps({'metrics': section})}\n{more}")


def read(text: str) -> Figures:
    """What Prometheus's own library makes of it, each by its name and labels."""
    found: Figures = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, "node_exporter refuses a file with two figures of the same labels"
            found[key] = sample.value
    return found


def written(folder: Path) -> Figures:
    return read((folder / "collected" / "lastcall.prom").read_text())


def figure(figures: Figures, name: str, **labels: str) -> float:
    return figures[name, frozenset(labels.items())]


def test_a_run_and_the_checks_around_it_are_told_in_one_file(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    lab.guest("db", takes=4)
    lab.guest("deaf").is_deaf_to("acpi")
    lab.check()
    lab.shutdown(reason=Reason.POWEROFF)
    lab.restore()
    lab.check()
    told, stop = written(tmp_path), {"kind": "shutdown", "reason": "poweroff"}
    assert figure(told, "lastcall_last_run_guests", **stop, outcome="forced") == 1
    assert figure(told, "lastcall_last_run_guests", **stop, outcome="stopped") == 1
    assert figure(told, "lastcall_last_run_guests", **stop, outcome="left") == 0
    assert figure(told, "lastcall_last_run_as_planned", **stop) == 0
    assert figure(told, "lastcall_last_run_as_planned", kind="restore", reason="manual") == 1
    assert figure(told, "lastcall_last_run_duration_seconds", **stop) == 20
    assert figure(told, "lastcall_last_run_deadline_seconds", **stop) == 600
    assert figure(told, "lastcall_runs_total", **stop) == 1
    assert figure(told, "lastcall_guests_forced_total") == 1
    guest = {"kind": "shutdown", "uri": "fake:///system", "guest": "db"}
    assert figure(told, "lastcall_guest_duration_seconds", **guest) == 4
    assert figure(told, "lastcall_guest_outcome", **{**guest, "guest": "deaf"}, outcome="forced") == 1
    assert figure(told, "lastcall_unseen_bad_runs") == 1
    assert figure(told, "lastcall_plan_deadline_seconds") == 600
    assert figure(told, "lastcall_plan_last_resort_seconds") == 570
    assert figure(told, "lastcall_plan_worst_seconds") == 20
    assert figure(told, "lastcall_plan_usual_seconds") == 4
    assert figure(told, "lastcall_plan_unknown_guests") == 1
    assert figure(told, "lastcall_check_problems", severity="error") == 0
    assert figure(told, "lastcall_on_duty") == 0
    assert figure(told, "lastcall_check_success_timestamp_seconds") == figure(told, "lastcall_check_timestamp_seconds")
    assert {name for name, _ in told} == set(FAMILIES), "a name of which nobody tells is no use"


def test_a_rehearsal_leaves_the_figures_of_the_last_run_alone(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    lab.guest("db")
    lab.shutdown(reason=Reason.POWEROFF)
    before = written(tmp_path)
    (call,) = lab.fire("post_shutdown", reason=Reason.POWEROFF)
    assert (call.result, call.message) == (
        Verdict.SKIPPED, "a rehearsal is no run: the figures stay those of the last one",
    )  # fmt: skip
    lab.plan()
    assert written(tmp_path) == before


def test_a_later_check_makes_up_for_what_a_run_could_not_write(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    lab.guest("deaf").is_deaf_to("acpi")
    (tmp_path / "collected").rmdir()
    report = lab.shutdown(reason=Reason.POWEROFF)
    assert [hook.result for hook in report.hooks] == [Verdict.FAILED]
    (tmp_path / "collected").mkdir()
    (tmp_path / "lab/plugins/metrics/shutdown.json").unlink()
    for _ in range(2):
        lab.check()
        assert figure(written(tmp_path), "lastcall_guests_forced_total") == 1, "told twice it still was one run"


def test_the_file_is_for_everybody_to_read_and_nothing_else_lies_beside_it(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    lab.check()
    (file,) = (tmp_path / "collected").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert {stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "lab/plugins/metrics").iterdir()} == {0o600}


def test_where_nothing_is_configured_nothing_listens_and_no_time_is_kept_for_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.guest("db")
    lab.check()
    assert lab.shutdown(reason=Reason.POWEROFF).hooks == ()
    assert not (tmp_path / "plugins").exists()


def test_a_missing_library_is_a_problem_of_the_check_and_spoils_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_with(tmp_path)
    lab.guest("db")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    (problem,) = lab.check()
    assert problem.severity is Severity.ERROR
    assert "prometheus-client is not installed" in problem.message
    assert "python3-prometheus-client" in problem.remedy
    report = lab.shutdown(reason=Reason.POWEROFF)
    assert report.run.exit_code == 0
    (call,) = report.hooks
    assert call.result is Verdict.SKIPPED
    assert "prometheus-client is not installed" in call.message
    monkeypatch.undo()
    lab.check()
    stop = {"kind": "shutdown", "reason": "poweroff"}
    assert figure(written(tmp_path), "lastcall_runs_total", **stop) == 1, "what the run knew was kept"


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("{textfile: /var/lib/lastcall.txt}", "should be an absolute path that ends in .prom"),
        ("{textfile: lastcall.prom}", "should be an absolute path that ends in .prom"),
        ("{guests: 3}", "textfile"),
    ],
)
def test_a_file_that_nobody_would_collect_is_refused(tmp_path: Path, section: str, why: str) -> None:
    with pytest.raises(Exception, match=why):
        Lab(tmp_path, config=f"plugins: {{metrics: {section}}}").check()


def test_a_folder_that_is_not_there_is_named_by_the_check(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    (tmp_path / "collected").rmdir()
    (problem,) = lab.check()
    assert problem.message == f"{tmp_path}/collected is no folder"


def test_no_more_guests_than_allowed_have_figures_and_the_rest_is_counted(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, guests=3)
    for number in range(5):
        lab.guest(f"g{number}")
    lab.shutdown(reason=Reason.POWEROFF)
    told = written(tmp_path)
    assert sum(name == "lastcall_guest_duration_seconds" for name, _ in told) == 3
    assert figure(told, "lastcall_guests_left_out", kind="shutdown") == 2


def test_figures_that_cannot_be_understood_are_set_aside_and_begin_anew(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    lab.check()
    kept = tmp_path / "lab/plugins/metrics/check.json"
    for broken in ("", "[]", "{}", '{"at": "then"}', "\x00"):
        kept.write_text(broken)
        lab.check()
        assert json.loads(kept.read_text())["problems"] == {}
    assert len(list(kept.parent.glob("check.json.invalid-*"))) == 5


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("story")
    return run_shutdown(folder, [FakeGuest("one"), FakeGuest("two")], reason=Reason.POWEROFF)


def named(report: Report, *names: str) -> Report:
    guests = zip(report.guests, names, strict=True)
    return replace(report, guests=tuple(replace(guest, name=name, uuid=name) for guest, name in guests))


def shown(folder: Path, report: Report) -> str:
    for old in folder.iterdir():
        old.unlink()
    kept = Kept(folder, 10)
    kept.learn_run(report)
    assert Kept(folder, 10).runs == kept.runs, "what is read again is what was kept"
    return exposition(kept)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shelf")


@given(names=st.tuples(st.text(st.characters()), st.text(st.characters(exclude_categories=[]))))
def test_guests_may_be_called_as_they_like(story: Report, shelf: Path, names: tuple[str, str]) -> None:
    told = read(shown(shelf, named(story, *names)))
    found = {dict(labels)["guest"] for name, labels in told if name == "lastcall_guest_duration_seconds"}
    plain = {name for name in names if name.isprintable()}
    assert plain <= found
    assert len(found) <= 2


@pytest.mark.parametrize(
    "name", ['a "quoted" one', "back\\slash", "two\nlines", "\udc80 lone", "zero\0", "\r\t\x1b", "日本 🖥"]
)
def test_odd_names_of_guests_pass_the_judge_of_prometheus(story: Report, tmp_path: Path, name: str) -> None:
    done = promtool("check", "metrics", told=shown(tmp_path, named(story, name, "two")))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_that_are_the_same_once_they_can_be_written_are_told_once(story: Report, tmp_path: Path) -> None:
    told = read(shown(tmp_path, named(story, "\udc80", "\\udc80")))
    assert sum(name == "lastcall_guest_duration_seconds" for name, _ in told) == 1


def as_run(report: Report, run: str, outcome: Outcome = Outcome.FORCED, reason: Reason = Reason.POWEROFF) -> Report:
    """The same under another id, with this outcome for everybody."""
    guests = tuple(replace(guest, outcome=outcome) for guest in report.guests)
    return replace(report, run=replace(report.run, id=run, reason=reason), guests=guests)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("20261127T101500Z-ffff", "20261127T101500Z-0000"),  # both within one second
        ("20380119T031407Z-aaaa", "20261127T101500Z-aaaa"),  # the clock was ahead
        ("20261127T101500Z-aaaa", "20261127T101501Z-aaaa"),
    ],
)
def test_a_run_that_ends_is_the_newest_whatever_its_id_says(
    story: Report, tmp_path: Path, first: str, second: str
) -> None:
    kept = Kept(tmp_path, 10)
    kept.learn_run(as_run(story, first, Outcome.STOPPED))
    kept.learn_run(as_run(story, second))
    kept = Kept(tmp_path, 10)
    runs = kept.runs["shutdown"]
    assert (runs.counted, runs.forced, runs.last["poweroff"].id) == ({"poweroff": 2}, 2, second)
    assert {(guest.run, guest.outcome) for guest in runs.guests} == {(second, "forced")}
    for again in (first, second, first, second):  # which of them a check calls the last one, its clock decides
        kept.make_up_for(as_run(story, again, Outcome.FORCED))
    assert kept.runs["shutdown"].model_dump(exclude={"known"}) == runs.model_dump(exclude={"known"})


def test_a_check_says_more_of_the_last_run_and_adds_one_that_could_not_tell_of_itself(
    story: Report, tmp_path: Path
) -> None:
    kept = Kept(tmp_path, 10)
    kept.learn_run(as_run(story, "b", Outcome.LEFT))
    for _ in range(2):
        kept.make_up_for(as_run(story, "b"))
        assert (kept.runs["shutdown"].counted, kept.runs["shutdown"].forced) == ({"poweroff": 1}, 2)
    for _ in range(2):
        kept.make_up_for(as_run(story, "a"))  # its clock was behind, and the plugin's folder could not be written then
        assert (kept.runs["shutdown"].counted, kept.runs["shutdown"].forced) == ({"poweroff": 2}, 4)


def test_what_is_said_later_of_a_run_leaves_alone_what_came_after_it(story: Report, tmp_path: Path) -> None:
    kept = Kept(tmp_path, 10)
    for reason, run in ((Reason.POWEROFF, "z"), (Reason.REBOOT, "a")):
        kept.learn_run(as_run(story, run, Outcome.STOPPED, reason))
    kept.make_up_for(as_run(story, "z"))
    runs = kept.runs["shutdown"]
    assert {(guest.run, guest.outcome) for guest in runs.guests} == {("a", "stopped")}
    assert (runs.counted, runs.forced) == ({"poweroff": 1, "reboot": 1}, 2)


def test_what_is_kept_of_runs_that_were_counted_is_bounded_and_lasts_while_checks_tell_of_one(
    story: Report, tmp_path: Path
) -> None:
    kept, runs = Kept(tmp_path, 10), 3 * KNOWN
    kept.learn_run(as_run(story, "ahead"))
    for number in range(runs):
        kept.learn_run(as_run(story, f"{number}"))
        if number % (KNOWN - 1) == 0:
            kept.make_up_for(as_run(story, "ahead"))
    assert kept.runs["shutdown"].counted == {"poweroff": runs + 1}
    assert len(kept.runs["shutdown"].known) == KNOWN


def test_every_name_follows_the_conventions_and_says_what_it_is() -> None:
    for name, family in FAMILIES.items():
        assert name.startswith("lastcall_")
        assert name.endswith("_total") == (family.kind == "counter")
        assert family.help.endswith((".", "more."))
