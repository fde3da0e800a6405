"""What `plan` shows of sixty guests, one with 87 letters among them: on terminals of several widths, and in a pipe."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from json_documents import hold_against_schema
from lastcall.api.guests import GuestState, Outcome
from lastcall.api.results import GuestResult
from lastcall.cli.invocation import Invocation
from lastcall.cli.main import run
from lastcall.cli.terminal.screens import Wish
from lastcall.formats.layout.cells import cell_width
from lastcall.formats.layout.screen import Screen
from lastcall.hypervisor.bare_connection import WORLD, make_world
from lastcall.planning.history import History
from support import write_config

LONG = "production-database-cluster-primary-node-of-the-accounts-department-in-frankfurt-main-1"
CHINESE, FAMILY = "数据库-1", "👩\u200d👩\u200d👧\u200d👦-1"
NAMES = [*(f"db-{one}" for one in range(1, 41)), *(f"web-{one}" for one in range(1, 18)), LONG, CHINESE, FAMILY]
RULES = f"""\
shutdown: {{deadline: 4min, parallel: 10}}
defaults: {{stop: [acpi]}}
guests:
- {{match: {{name: "db-*"}}, depends_on: {{name: "{LONG}"}}, timeout: 40s}}
- {{match: {{name: "{CHINESE}"}}, manage: false}}
"""
_CODE = re.compile(r"\x1b\[\d+m")
SNAPSHOT = Path(__file__).parent / "snapshots/plan.txt"
Show = Callable[..., str]


@pytest.fixture
def show(capfd: pytest.CaptureFixture[str]) -> Iterator[Show]:
    folder = Path(tempfile.mkdtemp(prefix="lastcall-plan-", dir="/tmp"))  # whose name takes as many cells each time
    config = write_config(folder, WORLD, more=RULES)
    world = make_world(NAMES)
    history = History(folder / "state")
    for domain in world.listAllDomains():
        history.learn([_result(domain.name(), domain.UUIDString(), 5.0 + NAMES.index(domain.name()) % 7)])
    history.write(history.render())

    def show(width: int | None, *words: str, colour: str = "never", verbose: bool = False) -> str:
        def screens(_descriptor: int, wish: Wish) -> Screen:
            return Screen(width=width, coloured=wish == "always")

        capfd.readouterr()
        more = ["-v"] if verbose else []
        run(["--config", str(config), "--color", colour, *more, "plan", *words], Invocation(screens=screens))
        shown, errors = capfd.readouterr()
        assert not errors
        return shown.replace(str(folder), "/tmp")

    yield show
    world.close()
    shutil.rmtree(folder)


def _result(name: str, uuid: str, seconds: float) -> GuestResult:
    return GuestResult(
        name=name, uuid=uuid, uri=WORLD, outcome=Outcome.STOPPED, method="acpi", started=0.0, duration=seconds,
        state_before=GuestState.RUNNING, persistent=True,
    )  # fmt: skip


def test_it_is_what_the_snapshot_has_on_screens_of_two_widths_plain_and_coloured_and_in_a_pipe(show: Show) -> None:
    parts = dict[str, str]()
    for width in (80, 120, None):
        parts[f"{width} columns" if width else "in a pipe"] = show(width, "--within", "2min")
        if width:
            parts[f"{width} columns, coloured"] = show(width, "--within", "2min", colour="always").replace("\x1b", "␛")
    text = "".join(f"──── {title}\n{part}" for title, part in parts.items())
    if os.environ.get("LASTCALL_SNAPSHOTS") == "write":
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(text)
    assert text.splitlines() == SNAPSHOT.read_text().splitlines(), "LASTCALL_SNAPSHOTS=write writes it anew"


@pytest.mark.parametrize("words", [(), ("--manual",), ("--within", "30s"), ("--deadline", "19h")])
def test_no_line_is_wider_than_the_screen_and_colours_are_all_that_colours_change(
    show: Show, words: Sequence[str]
) -> None:
    for width in (80, 120, 200):
        plain = show(width, *words)
        assert max(map(cell_width, plain.splitlines())) <= width
        assert _CODE.sub("", show(width, *words, colour="always")) == plain


def test_on_a_screen_long_names_and_lists_are_cut_and_with_v_and_in_a_pipe_they_are_whole(show: Show) -> None:
    screen, whole, pipe = show(80), show(80, verbose=True), show(None)
    assert LONG not in screen
    assert "after db-* (40)" in screen
    for text in (whole, pipe):
        assert LONG in text
        assert "db-9, db-10, db-11" in " ".join(text.split())
    assert "…" not in pipe
    assert not set("░█│◆") & set(pipe), "bars are for eyes"


def test_every_guest_has_a_bar_up_to_the_last_resort_and_the_critical_path_is_marked(show: Show) -> None:
    text = show(120)
    bars = [line for line in text.splitlines() if line.endswith("│")]
    assert len(bars) == len(NAMES) - 1, "one is not managed"
    assert len({cell_width(line) for line in bars}) == 1
    assert all("█" in line for line in bars)
    path = [name for name in text.split("usually over after")[1].split(" longest")[0].split() if "-" in name]
    marked = [line.split()[1] for line in bars if "◆" in line]
    assert marked[:3] == path[:3]


def test_with_v_each_time_and_setting_says_where_it_comes_from(show: Show) -> None:
    text = show(200, "db-1", "web-1", verbose=True)
    assert "goes off in usually 5s, from 1 run" in text
    assert 'depends_on, timeout: guests[0], match "db-*"' in text
    assert "stop: defaults" in text
    assert "all else: built-in" in text
    assert "guests[0]" not in show(200, "db-1", "web-1")


def test_its_json_is_what_the_schema_says_whatever_the_screen(show: Show) -> None:
    text = show(80, "--within", "2min", "--json", colour="always")
    hold_against_schema(text, "plan")
    assert LONG in text
    assert "\x1b" not in text
