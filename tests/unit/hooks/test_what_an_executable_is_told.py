"""What an executable drop-in gets: its environment, and the JSON on its standard input, field by field as promised."""

import json
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest

from lastcall import Problem, Report
from lastcall.hooks.dropins import _EXECUTABLE_HOOKS as HOOKS  # pyright: ignore[reportPrivateUsage]
from lastcall.testing.memory import FakeGuest, run_restore, run_shutdown, run_sleep, run_waking
from support import by_name

PAGE = (Path(__file__).parents[3] / "docs" / "authors" / "executables.md").read_text()
TELL = """#!/bin/sh
env | grep ^LASTCALL_ > {said}/$LASTCALL_HOOK.env
cat > {said}/$LASTCALL_HOOK.json
echo $LASTCALL_HOOK >> $LASTCALL_STATE/hooks
"""
FOR_GUESTS = {
    "on_guest_stop", "on_guest_stopped", "on_guest_start", "on_guest_started", "guest_ready", "guest_busy",
    "guest_waits",
}  # fmt: skip
WITH_RESULT = {"on_guest_stopped", "on_guest_started"}
WITH_REPORT = {"post_shutdown", "post_restore"}


def put(folder: Path, hook: str, name: str, text: str) -> None:
    path = folder / "hooks.d" / hook / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def runs(folder: Path) -> tuple[Report, ...]:
    guest = FakeGuest("db 1")
    both = run_shutdown(folder, [guest]), run_restore(folder, [guest])
    return (*both, run_sleep(folder, [guest]), run_waking(folder, [guest]))


@pytest.fixture(name="told", scope="module")
def told_in_both_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    for number, hook in enumerate(sorted(HOOKS)):
        put(folder, hook, f"{number}0-tell.sh", TELL.format(said=folder))
    for report in runs(folder):
        assert report.run.exit_code == 0, report
    return folder


def environment(folder: Path, hook: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / f"{hook}.env").read_text().splitlines())


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_every_hook_of_executables_tells_the_run_and_the_folder(told: Path, hook: str) -> None:
    found, restore = (
        environment(told, hook),
        "restore" in hook or "start" in hook or hook in {"guest_ready", "post_wake"},
    )
    assert found["LASTCALL_KIND"] == ("restore" if restore else "shutdown")
    assert (found["LASTCALL_REASON"] == "sleep") == (hook in {"pre_sleep", "post_wake"})
    assert found["LASTCALL_STATE"] == str(told / "plugins" / "executable-tell.sh")
    assert ("LASTCALL_GUEST" in found) == (hook in FOR_GUESTS)
    assert found.get("LASTCALL_OUTCOME") == {"on_guest_stopped": "stopped", "on_guest_started": "started"}.get(hook)


def test_the_variables_that_are_told_are_those_of_the_page(told: Path) -> None:
    table = PAGE.split("| variable | meaning |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`(LASTCALL_\w+)`", row)}
    assert named == {name for hook in HOOKS for name in environment(told, hook)}


def test_programs_of_one_name_share_a_folder_that_nobody_else_has(told: Path) -> None:
    state = told / "plugins" / "executable-tell.sh"
    assert set((state / "hooks").read_text().split()) == HOOKS
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_keeps_no_program_from_its_work(tmp_path: Path) -> None:
    put(tmp_path, "on_guest_stop", "10-tell", 'echo "state: [$LASTCALL_STATE]"'.join(("#!/bin/sh\n", "\n")))
    (tmp_path / "plugins").write_text("in the way\n")
    lines: list[str] = []
    guest = FakeGuest("a")
    report = run_shutdown(tmp_path, [guest], sink=lambda record: lines.append(getattr(record, "line", "")))
    assert by_name(report, "a").hooks[0].result == "ok"
    assert "state: []" in lines
    assert any(line.startswith("LASTCALL_STATE is empty: ") for line in lines)


def promised(row: str) -> set[str]:
    """The fields that the page promises in the row of an object."""
    table = PAGE.split("## The JSON of an executable")[1].split("\n## ")[0]
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {row} |")]
    return set(re.findall(r"`(\w+)`", re.sub(r"in `.*?(?=,|;|$)", "", line.split("|")[2].split("; ")[0])))


def facts(folder: Path, hook: str) -> Any:
    return json.loads((folder / f"{hook}.json").read_text())


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_the_json_has_the_fields_that_are_promised_for_the_hook(told: Path, hook: str) -> None:
    found = facts(told, hook)
    more = {"guest" if hook in FOR_GUESTS else "guests"}
    more |= {"result"} if hook in WITH_RESULT else {"report"} if hook in WITH_REPORT else set[str]()
    assert found.keys() == promised("the whole") | more
    assert found["version"] == 1
    assert found["run"].keys() == promised("`run`")
    for guest in [found["guest"]] if "guest" in found else found["guests"]:
        assert guest.keys() == promised("`guest`, each of `guests`")


def objects(told: Path, name: str) -> Iterator[Mapping[str, Any]]:
    """All objects of a list, in whatever is told."""
    for hook in WITH_RESULT | WITH_REPORT:
        found = facts(told, hook)
        results = [found["result"]] if "result" in found else found["report"]["guests"]
        yield from results if name == "results" else (one for result in results for one in result.get(name, ()))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("results", "`result`, each of `report.guests`"),
        ("attempts", "each of `attempts`"),
        ("hooks", "each of `hooks`"),
    ],
)
def test_what_became_of_a_guest_is_told_as_promised(told: Path, name: str, row: str) -> None:
    found = list(objects(told, name))
    assert found
    assert all(one.keys() == promised(row) for one in found)


@pytest.mark.parametrize("hook", sorted(WITH_REPORT))
def test_the_report_is_told_as_promised(told: Path, hook: str) -> None:
    report = cast("dict[str, Any]", facts(told, hook)["report"])
    assert report.keys() == promised("`report`")
    assert report["run"].keys() == promised("`report.run`")
    assert {one.name for one in fields(Problem)} == promised("each of `report.problems`")
