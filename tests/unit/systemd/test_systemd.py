"""What lastcall tells systemd, the journal and the console, and what it reads from them."""

import os
import re
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fake_systemctl import ACTIVE, FakeSystemctl
from lastcall import Guest, Outcome, Reason, RunKind, Verdict
from lastcall.api.results import HookRecord
from lastcall.config.settings import Settings
from lastcall.errors import Problem, Severity
from lastcall.installation.packaged import packaged_units
from lastcall.records.records import (
    GuestAsked,
    GuestBegun,
    GuestEnded,
    GuestPlanned,
    HookBegun,
    HookEnded,
    HookSaid,
    ProblemFound,
    RunEnded,
    RunJoined,
    RunStarted,
)
from lastcall.systemd import unit_checks
from lastcall.systemd.console import Console
from lastcall.systemd.jobs import host_stop, reason_of
from lastcall.systemd.journal import Journal
from lastcall.systemd.notify import Notifier
from lastcall.systemd.status_lines import StatusLines
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.unit_checks import check_units, seconds
from lastcall.systemd.units import RESTORE, SERVICE, STAMP, Whereabouts, job_timeout

GUEST = Guest(uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db 1")


OTHER = Guest(uri="qemu:///system", uuid="66666666-2222-3333-4444-555555555555", name="web")


def started(deadline: float | None = 60.0) -> RunStarted:
    return RunStarted(
        at=0.0, id="run-1", kind=RunKind.SHUTDOWN, reason=Reason.POWEROFF, started="2026-01-01T00:00:00+00:00",
        deadline=deadline, boot_id="b", host="h", config="file", versions={},
    )  # fmt: skip


@contextmanager
def listener(path: Path) -> Generator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(path))
        heard.settimeout(60)
        yield heard


@pytest.mark.parametrize(
    ("jobs", "reason"),
    [
        ("12 poweroff.target start waiting\n13 shutdown.target start waiting\n14 libvirtd.service stop waiting",
         Reason.POWEROFF),
        ("12 reboot.target start waiting\n13 shutdown.target start waiting", Reason.REBOOT),
        ("12 halt.target start waiting\n13 shutdown.target start waiting", Reason.HALT),
        ("12 kexec.target start waiting\n13 shutdown.target start waiting", Reason.KEXEC),
        ("12 soft-reboot.target start waiting\n13 shutdown.target start waiting", Reason.SOFT_REBOOT),
        ("13 shutdown.target start waiting", Reason.OTHER),
        ("13 rescue.target start waiting\n14 lastcall.service stop running", None),
        ("12 poweroff.target stop waiting", None),
        ("No jobs running.", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_job_queue_tells_why_the_host_stops(jobs: str, reason: Reason | None) -> None:
    assert reason_of(jobs) == reason


def test_a_queue_that_cannot_be_read_is_a_host_stop() -> None:
    assert host_stop(FakeSystemctl()) is Reason.OTHER


def test_systemctl_that_fails_hangs_or_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemctlFailed, match="no such file"):
        Systemctl().ask("list-jobs")
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\necho no bus >&2; exit 1\n")
    program.chmod(0o755)
    with pytest.raises(SystemctlFailed, match="no bus"):
        Systemctl().ask("list-jobs")
    program.write_text("#!/bin/sh\nprintf 'broken \\377 bytes\\nand lines\\n' >&2; exit 1\n")
    with pytest.raises(SystemctlFailed, match="broken \ufffd bytes and lines"):
        Systemctl().ask("list-jobs")
    program.write_text("#!/bin/sh\nexec /bin/sleep 30\n")
    monkeypatch.setattr("lastcall.systemd.systemctl.ANSWER_TIME", 0.3)
    with pytest.raises(SystemctlFailed, match="no answer within"):
        Systemctl().ask("list-jobs")


def test_systemd_is_told_a_line_and_asked_for_time_and_programs_of_hooks_are_not_let_in(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "PATH": "/bin"}
    with listener(tmp_path / "notify") as heard:
        notifier = Notifier.from_environment(environment)
        assert notifier
        assert environment == {"PATH": "/bin"}
        notifier.send(status="stopping\n1/2", extend=2.5)
        assert heard.recv(4096) == b"STATUS=stopping 1/2\nEXTEND_TIMEOUT_USEC=2500000"
        notifier.send(status="over", extend=-1)
        assert heard.recv(4096) == b"STATUS=over"
    notifier.send(status="nobody listens any more")
    assert Notifier.from_environment({}) is None


def test_a_line_says_how_things_stand_and_time_is_asked_for_until_the_deadline_only(tmp_path: Path) -> None:
    with listener(tmp_path / "notify") as heard:
        attendant = StatusLines(Notifier(str(tmp_path / "notify")), None)
        attendant.take(started(deadline=60.0))
        assert heard.recv(4096) == b"STATUS=stopping 0/0 \xc2\xb7 60 s left\nEXTEND_TIMEOUT_USEC=30000000"
        for guest in (GUEST, OTHER):
            attendant.take(GuestPlanned(at=0.1, guest=guest))
        attendant.take(HookBegun(at=0.1, guest=None, hook="pre_shutdown", plugin="tell"))
        assert attendant.line(1) == "stopping 0/2 · pre_shutdown of tell · 59 s left"
        record = HookRecord(hook="pre_shutdown", plugin="tell", result=Verdict.OK, started=0.1, duration=1)
        attendant.take(HookEnded(at=1.1, guest=None, record=record))
        attendant.take(GuestBegun(at=1.1, guest=GUEST.key))
        assert attendant.line(19) == "stopping 0/2 · db 1 to be asked · 41 s left"
        attendant.take(HookBegun(at=1.1, guest=GUEST.key, hook="on_guest_stop", plugin="databases"))
        attendant.take(GuestAsked(at=1.2, guest=OTHER.key, method="acpi"))
        assert attendant.line(19) == "stopping 0/2 · db 1 flushing · web asked (acpi) · 41 s left"
        attendant.take(GuestEnded(at=20, guest=OTHER.key, outcome=Outcome.STOPPED))
        assert attendant.line(25) == "stopping 1/2 · db 1 flushing · 35 s left"
        attendant.tick(65)
        assert heard.recv(4096).endswith(b"EXTEND_TIMEOUT_USEC=5000000")
        attendant.tick(71)
        assert b"EXTEND" not in heard.recv(4096), "never past the deadline"
        attendant.take(RunJoined(at=72, reason=Reason.POWER, deadline=90))
        attendant.tick(72)
        assert b"18 s left\nEXTEND_TIMEOUT_USEC=28000000" in heard.recv(4096)


def test_the_console_gets_a_line_every_few_seconds_and_one_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    path = tmp_path / "console"
    path.touch()
    attendant = StatusLines(None, Console(path))
    attendant.take(started())
    for now in (1.0, 2.0, 5.0, 6.0, 10.5):
        time.sleep(0.05)
        attendant.tick(now)
    time.sleep(0.2)
    attendant.take(GuestPlanned(at=11, guest=GUEST))
    attendant.take(GuestEnded(at=11, guest=GUEST.key, outcome=Outcome.FORCED))
    attendant.take(RunEnded(at=12, exit_code=1))
    lines = path.read_text().splitlines()  # the file is written from its start each time it is opened
    assert lines[0] == "lastcall: done: 1 forced"
    os.mkfifo(tmp_path / "hangs")
    stuck = StatusLines(None, Console(tmp_path / "hangs"))
    stuck.take(started())
    stuck.take(RunEnded(at=1, exit_code=0))
    with (tmp_path / "hangs").open() as release:  # only now, the run being over, is there somebody who reads
        release.readline()


def fields_of(data: bytes) -> dict[str, str]:
    """A datagram of the journal's own protocol, read as journald reads it."""
    found: dict[str, str] = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, sign, value = line.partition(b"=")
        if sign:
            found[name.decode()], data = value.decode(), rest
        else:
            size = int.from_bytes(rest[:8], "little")
            found[name.decode()], data = rest[8 : 8 + size].decode(), rest[8 + size + 1 :]
    return found


def test_every_entry_of_the_journal_has_its_fields_and_how_much_it_matters(tmp_path: Path) -> None:
    with listener(tmp_path / "journal") as heard:
        journal = Journal.find(tmp_path / "journal")
        assert journal
        journal.take(started())
        first = fields_of(heard.recv(65536))
        assert first["MESSAGE"] == "shutdown (poweroff) begins, over within 60s"
        assert (first["PRIORITY"], first["SYSLOG_IDENTIFIER"]) == ("5", "lastcall")
        journal.take(GuestPlanned(at=0.1, guest=GUEST))
        journal.take(GuestAsked(at=0.2, guest=GUEST.key, method="acpi"))
        asked = fields_of(heard.recv(65536))
        assert {name: asked.get(name) for name in ("LASTCALL_RUN", "LASTCALL_GUEST", "LASTCALL_UUID", "LASTCALL_URI",
                                                   "LASTCALL_METHOD", "LASTCALL_EVENT")} == {
            "LASTCALL_RUN": "run-1", "LASTCALL_GUEST": "db 1", "LASTCALL_UUID": GUEST.uuid,
            "LASTCALL_URI": "qemu:///system", "LASTCALL_METHOD": "acpi", "LASTCALL_EVENT": "GuestAsked",
        }  # fmt: skip
        journal.take(HookSaid(at=1, guest=GUEST.key, hook="on_guest_stop", plugin="tell", line="two\nlines=1"))
        said = fields_of(heard.recv(65536))
        assert said["MESSAGE"] == "db 1: tell: two\\nlines=1"
        assert (said["LASTCALL_HOOK"], said["LASTCALL_PLUGIN"]) == ("on_guest_stop", "tell")
        priorities: list[str] = []
        for record in (
            GuestEnded(at=2, guest=GUEST.key, outcome=Outcome.STOPPED),
            GuestEnded(at=2, guest=GUEST.key, outcome=Outcome.FORCED),
            GuestEnded(at=2, guest=GUEST.key, outcome=Outcome.UNKNOWN),
            ProblemFound(at=3, problem=Problem(what="w", where="x", message="m")),
            RunEnded(at=4, exit_code=1),
        ):
            journal.take(record)
            priorities.append(fields_of(heard.recv(65536))["PRIORITY"])
        assert priorities == ["6", "4", "3", "3", "4"]
    journal.take(started())  # nobody listens any more
    assert Journal.find(tmp_path / "none") is None


def test_no_name_forges_a_line_or_a_field_of_what_systemd_the_console_and_the_journal_get(tmp_path: Path) -> None:
    evil = "db\nEXTEND_TIMEOUT_USEC=99\r\x1b[2J\u2028\u202e\udcff"
    planned = GuestPlanned(at=0.1, guest=Guest(uri="u", uuid="i", name=evil))
    asked = GuestAsked(at=0.2, guest=planned.guest.key, method="acpi")
    screen = tmp_path / "console"
    screen.touch()
    with listener(tmp_path / "notify") as heard, listener(tmp_path / "journal") as noted:
        console = Console(screen)
        attendant = StatusLines(Notifier(str(tmp_path / "notify")), console)
        journal = Journal(tmp_path / "journal")
        for record in (planned, asked):
            attendant.take(record)
            journal.take(record)
        attendant.tick(10)
        console.close()
        (line,) = heard.recv(4096).decode().splitlines()[:-1]
        assert line.isprintable()
        entry = fields_of(noted.recv(65536))
    assert entry["MESSAGE"] == "db\\nEXTEND_TIMEOUT_USEC=99\\r\\x1b[2J\\u2028\\u202e\\udcff: acpi"
    assert entry["LASTCALL_GUEST"] == evil.replace("\udcff", "?"), "a field is for programs, which want the true name"
    assert screen.read_bytes().decode().removesuffix("\r\n").isprintable()


def test_the_units_fit_the_program_and_the_state_wherever_they_lie() -> None:
    odd = Whereabouts(Path("/opt/my tools/100%/lastcall"), Path("/var/lib/lastcall"), Path("/run/my own"))
    text, stamp, *_ = odd.units().values()
    assert 'last-line stop /var/lib/lastcall "/run/my own"' in text
    assert 'ExecStart="/opt/my tools/100%%/lastcall" stamp' in stamp
    assert 'ExecStop=-"/opt/my tools/100%%/lastcall" shutdown --from-unit --again' in text
    assert 'RequiresMountsFor=/var/lib/lastcall "/opt/my tools/100%%"' in text
    for unit in (text, odd.units()[RESTORE]):
        for daemon in ("libvirtd", "virtqemud", "virtlxcd", "virtnetworkd", "virtstoraged", "virtlogd", "virtlockd"):
            assert f" {daemon}.service" in unit or f"={daemon}.service" in unit
            assert f"{daemon}.socket" in unit
        for bound in ("Requires=", "PartOf=", "BindsTo="):
            assert f"\n{bound}" not in unit, "a daemon that is restarted must not stop guests"
    assert "Before=pacemaker.service" in text


def test_the_units_in_contrib_are_those_that_are_installed_into_usr() -> None:
    folder = Path(__file__).parents[3] / "contrib" / "systemd"
    assert {path.name: path.read_text() for path in folder.glob("lastcall*")} == packaged_units()


def test_systemctl_status_says_which_interpreter_is_needed_and_a_failing_stamp_keeps_nobody_off_duty() -> None:
    where = Whereabouts(Path("/opt/x/lastcall"), Path("/state"), Path("/run/x"), python=Path("/opt/x/100%/python3"))
    units = where.units()
    for name in (SERVICE, STAMP):
        assert re.search(r"^Description=.*needs /opt/x/100%%/python3", units[name], re.MULTILINE)
    assert "ExecStart=/bin/true" in units[SERVICE]
    assert not re.search(rf"^(Requires|BindsTo)=.*{STAMP}", units[SERVICE], re.MULTILINE)
    assert "ExecStart=/opt/x/lastcall stamp" in units[STAMP], "its failure is not ignored"
    stops = re.findall(r"^ExecStop=(.*)", units[SERVICE], re.MULTILINE)
    assert [line.startswith("-") for line in stops] == [True, True, False], "the last line is reached in any case"


def test_the_limit_of_a_whole_shutdown_is_raised_only_where_the_deadline_needs_it() -> None:
    assert job_timeout(600) is None
    assert "JobTimeoutSec=3900" in (job_timeout(3600) or "")


@pytest.mark.parametrize(
    ("span", "expected"), [("30min", 1800), ("1h 5min", 3900), ("90s", 90), ("infinity", None), ("500ms", 0.5)]
)
def test_time_spans_of_systemctl_are_read(span: str, expected: float | None) -> None:
    assert seconds(span) == expected


@pytest.mark.parametrize(
    ("active", "enabled", "remedies"),
    [
        ("inactive", "disabled", ["`lastcall install`", "`lastcall install`"]),  # as a package brings it
        ("inactive", "enabled", ["`systemctl start lastcall.service`"]),
        ("active", "disabled", ["`systemctl enable lastcall.service`"]),
    ],
)
def test_a_unit_that_is_not_on_duty_is_to_be_installed_and_one_that_lacks_half_of_it_gets_that_half(
    tmp_path: Path, active: str, enabled: str, remedies: list[str]
) -> None:
    units = {"lastcall.service": {**ACTIVE, "ActiveState": active, "UnitFileState": enabled}}
    found = [one for one in check_units(FakeSystemctl(units), Settings(), tmp_path) if one.severity is Severity.ERROR]
    assert [problem.remedy for problem in found] == remedies


def test_check_says_what_keeps_a_shutdown_from_calling_lastcall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = {"JobTimeoutUSec": "30min"}

    def told(unit: dict[str, str], deadline: float | str = 600) -> list[str]:
        units = {"lastcall.service": unit, "poweroff.target": target, "reboot.target": target}
        settings = Settings.model_validate({"shutdown": {"deadline": deadline}})
        return [problem.message for problem in check_units(FakeSystemctl(units), settings, tmp_path)]

    assert told({"LoadState": "not-found"}) == ["is not installed: a shutdown of this host stops no guest"]
    assert told({**ACTIVE, "ActiveState": "inactive", "UnitFileState": "disabled"}) == [
        "is inactive: the next shutdown stops no guest", "is not enabled: it does not serve the next boot",
    ]  # fmt: skip
    assert told(ACTIVE) == []
    assert told(ACTIVE, "none") == ["none is good for runs by hand only: when the host stops, 10min is used"]
    assert told(ACTIVE, 3600)[0] == (
        "systemd forces the host off after 30min, before the run's deadline of 1h"
    )  # fmt: skip
    monkeypatch.setattr(unit_checks, "_SYSTEM_PATH", str(tmp_path))
    assert told(ACTIVE) == ["there is no virsh: where lastcall itself cannot run, nobody asks the guests"]
