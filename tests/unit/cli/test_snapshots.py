"""What every command that prints facts shows of sixty guests: one with 87 letters, a Chinese one, a family of emoji."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from book.schemas import with_json
from fake_systemctl import FakeSystemctl
from lastcall import Report
from lastcall.api.guests import Reason
from lastcall.cli.commands import install, restore, shutdown, uninstall
from lastcall.cli.invocation import Invocation
from lastcall.cli.main import run
from lastcall.config.settings import Settings
from lastcall.formats.layout.screen import Screen
from lastcall.hypervisor.bare_connection import WORLD, make_world
from lastcall.installation.install import Installation
from lastcall.testing.memory import FakeGuest, run_restore, run_shutdown
from snapshots import Show, hold_against_its_schema, hold_against_snapshot
from support import write_config

LONG = "production-database-cluster-primary-node-of-the-accounts-department-in-frankfurt-main-1"  # 87 letters
CHINESE, FAMILY = "数据库-1", "👩\u200d👩\u200d👧\u200d👦-1"
NAMES = [*(f"db-{one}" for one in range(1, 41)), *(f"web-{one}" for one in range(1, 18)), LONG, CHINESE, FAMILY]
PLACE = "/tmp/lastcall-snapshots"  # in each snapshot; as long as the folders in which they are made
RULES = f"""\
guests:
- {{match: {{name: "web-*"}}, depends_on: ["db-*"]}}
- {{match: {{name: "{LONG}"}}, stop: [{{acpi: {{timeout: 20s}}}}, {{agent: {{timeout: 10s}}}}]}}
- {{match: {{name: nobody}}, order: 3}}
- {{match: {{name: "{CHINESE}"}}, depends_on: ["{FAMILY}", somebody]}}
"""
DROP_IN = f"""\
import lastcall

@lastcall.hookimpl
def on_guest_stop(guest, run):
    if guest.name == "db-2":
        run.evidence(postgresql={{"before": {{"dirty_pages": 12}}, "after": {{"dirty_pages": 0}}, "proven": True}})
    if guest.name in {{{LONG!r}, {CHINESE!r}}}:
        raise lastcall.HookFailed("its tables are not flushed: the connection to its database was refused", "start it")

@lastcall.hookimpl
def post_shutdown(run, report):
    raise lastcall.Skip("nobody wants to know")

@lastcall.hookimpl
def check_guest(guest, run):
    if guest.name in {{{LONG!r}, {CHINESE!r}}}:
        yield lastcall.Problem(what="backup", where=guest.name, message="its last backup is older than a week, and " * 2
            + "nobody is told", remedy="look into the journal of the backup server", severity="warning")
    if guest.name.startswith(("web-", "db-1", {LONG!r})):
        yield lastcall.Problem(what="certificate", where=guest.name, message="its certificate ends within a week",
            remedy=f"`renew {{guest.name}}`", severity="warning")

@lastcall.hookimpl
def no_such_hook():
    pass
"""
LIBVIRT_GUESTS = (
    "ON_BOOT=ignore\nSHUTDOWN_TIMEOUT=300\nPARALLEL_SHUTDOWN=3\nURIS='default lxc:///system'\nODD=$(date)\n"
)


def guests() -> list[FakeGuest]:
    deaf = {LONG: frozenset({"acpi", "agent"}), "db-12": frozenset({"acpi", "agent"}), FAMILY: frozenset({"acpi"})}
    return [
        FakeGuest(name, takes=1 + at % 7, deaf_to=deaf.get(name, frozenset()), uri=WORLD)
        for at, name in enumerate(NAMES)
    ]


def age(folder: Path, reports: Sequence[Report]) -> None:
    """Have these runs been on days of ours, on a host of ours."""
    for day, report in enumerate(reports, 1):
        log = folder / "runs" / f"{report.run.id}.jsonl"
        identity = f"2026010{day}T030000Z-000{day}"
        text = log.read_text().replace(report.run.id, identity).replace(f'"{report.run.host}"', '"host-1"')
        text = text.replace(report.run.started, f"2026-01-0{day}T03:00:00+00:00")
        log.unlink()
        log.with_name(f"{identity}.jsonl").write_text(text)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder whose path is always of one length, as it stands in columns."""
    folder = Path(tempfile.mkdtemp(prefix="lastcall-s", dir="/tmp"))
    assert len(str(folder)) == len(PLACE)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def kept(place: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Report]]:
    """What is in that folder at first, and the runs in it."""
    config = write_config(place, WORLD, more=RULES)
    drop_in = place / "hooks.d" / "20-flush.py"
    drop_in.write_text(DROP_IN)
    drop_in.chmod(0o600)
    (place / "libvirt-guests").write_text(LIBVIRT_GUESTS)
    state, given = place / "state", guests()
    reports = [run_shutdown(state, given[:30]), run_restore(state, given[:30])]
    given = guests()
    shutil.copytree(place / "hooks.d", state / "hooks.d")
    reports += [run_shutdown(state, given, reason=Reason.POWEROFF, config=RULES)]
    reports += [run_restore(state, given, names=NAMES[:50])]
    shutil.rmtree(state / "hooks.d")
    age(state, reports)
    template = tmp_path_factory.mktemp("kept") / "place"
    shutil.copytree(place, template)
    assert config.exists()
    return template, reports


@pytest.fixture
def show(
    place: Path, kept: tuple[Path, list[Report]], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Show]:
    template, reports = kept
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setenv("SUDO_USER", "ada")
    pretend(monkeypatch, place, reports)
    world = make_world(NAMES)

    def show(invocation: Invocation, words: Sequence[str]) -> str:
        for path in place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(template, place, dirs_exist_ok=True)
        config = [] if {"install", "uninstall"} & {*words} else ["--config", str(place / "config.yaml")]
        capfd.readouterr()
        run([*config, *(word.replace("PLACE", str(place)) for word in words)], invocation)
        shown, errors = capfd.readouterr()
        assert "internal error" not in errors, errors
        return shown.replace(str(place), PLACE)

    yield show
    world.close()
    monkeypatch.undo()
    time.tzset()


def pretend(monkeypatch: pytest.MonkeyPatch, place: Path, reports: Sequence[Report]) -> None:
    """Have runs end as those of this world did, without stopping anybody, and nothing installed for real."""

    def settings(_text: str | None) -> Settings:
        return Settings()

    def prepare(*_: object, **__: object) -> Any:
        return Installation(
            program=Path("/opt/lastcall"), settings=settings, systemctl=FakeSystemctl(), root=place, known=dict
        )

    def stop(*_: object, **__: object) -> Report:
        return reports[2]

    def bring_back(*_: object, **__: object) -> Report:
        return reports[3]

    monkeypatch.setattr(install, "prepare", prepare)
    monkeypatch.setattr(uninstall, "prepare", prepare)
    monkeypatch.setattr(shutdown, "stop_by_hand", stop)
    monkeypatch.setattr(restore, "restore_by_hand", bring_back)


# Each command with what it is called with, after its own words. For one more a line here and LASTCALL_SNAPSHOTS=write.
SHOWN: dict[str, tuple[str, ...]] = {
    "announce": ("--reason", "power", "--deadline", "90s"),
    "check": (),
    "config check": (),
    "config guest": (LONG,),
    "config import": ("PLACE/libvirt-guests",),
    "config show": (),
    "forget": ("web-*", LONG, CHINESE, FAMILY),
    "guest set": (LONG, f"depends_on={CHINESE}", "timeout=5min"),
    "guest unset": (LONG, "order"),
    "hook": ("on_guest_stop", "--guest", LONG, "--guest", CHINESE),
    "install": ("--dry-run",),
    "plugins": (),
    "report": (),
    "power battery": ("--ups", "ups@localhost"),
    "power line": (),
    "restore": (),
    "runs": (),
    "runs diff": ("3", "2"),
    "shutdown": ("--yes",),
    "uninstall": ("--dry-run",),
}
# With tests of their own for the screen, `power low` as it tells a time; a drill is its closing report, and lines of
# unit/report/test_drills.py, shedding and maintenance the reports of their runs; locks are one line each.
ELSEWHERE = {
    "drill", "lock release", "lock show", "lock take", "maintenance begin", "maintenance end", "plan", "power low",
    "shed", "sleep", "status",
}  # fmt: skip
NOT_FOR_THE_SCREEN = {"config import", "config show", "guest set", "install", "uninstall"}  # YAML, and steps with paths


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_shows_sixty_guests_as_its_snapshot_does(command: str, show: Show) -> None:
    words = [*command.split(), *SHOWN[command]]
    hold_against_snapshot(command.replace(" ", "-"), words, show, fits=command not in NOT_FOR_THE_SCREEN)


@pytest.mark.parametrize("command", SHOWN)
def test_what_programs_get_of_them_is_what_the_schema_says(command: str, show: Show) -> None:
    assert hold_against_its_schema([*command.split(), *SHOWN[command]], show, command.split())


def test_every_command_that_prints_facts_has_a_snapshot() -> None:
    assert {" ".join(words) for words in with_json()} == {*SHOWN, *ELSEWHERE}


@pytest.mark.parametrize("command", ["report", "shutdown", "runs diff"])
def test_names_are_whole_with_v_and_in_json(command: str, show: Show) -> None:
    words = [*command.split(), *SHOWN[command]]
    seen = Invocation(screens=lambda _descriptor, _wish: Screen(width=80))
    assert LONG not in show(seen, words)
    assert LONG in show(seen, ["-v", *words])
    assert LONG in hold_against_its_schema(words, show, command.split())
