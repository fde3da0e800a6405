"""`notify` with real servers on loopback: what is sent when, what waits, and what nobody may see."""

import email
import email.policy
import json
import re
import sys
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from lab.told import WebHook, closed_port, deaf_server, web_hook
from lastcall import Problem, Reason, Severity, hookimpl
from lastcall.testing import Lab
from lastcall.testing.pytest_plugin import MakeLab
from lastcall_plugins.notify.messages import Message, Unsent

SECRETS = ("s3cret-word", "t0ken-of-mine", "user:")
WEEK = 7 * 86_400.0


@pytest.fixture
def hook() -> Generator[WebHook]:
    with web_hook() as made:
        yield made


def lab_with(
    lastcall_lab: MakeLab, folder: Path, *urls: str, plugins: Mapping[str, object] | None = None, **options: Any
) -> Lab:
    """A lab that tells these of all runs."""
    file = folder / "urls"
    file.write_text("# ours\n" + "\n".join(urls) + "\n")
    file.chmod(0o600)
    section = {"urls": str(file), "by_hand": True, "retry": "10s", **options}
    lab = lastcall_lab(plugins=plugins, config=json.dumps({"plugins": {"notify": section}}))
    lab.guest("db-1")
    return lab


def files(lab: Lab) -> list[Path]:
    """The messages that wait."""
    return sorted((lab.folder / "plugins" / "notify").glob("[0-9]*.json"))


def gone(lab: Lab, seconds: float = 20.0) -> bool:
    """Whether none waits any more, as soon as that is so."""
    ends = time.monotonic() + seconds
    while files(lab) and time.monotonic() < ends:
        time.sleep(0.05)
    return not files(lab)


def test_a_host_stop_is_told_before_it_and_the_boot_with_what_the_shutdown_came_to(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook
) -> None:
    lab = lab_with(lastcall_lab, tmp_path, hook.url)
    lab.guest("deaf", takes=10_000)
    lab.shutdown(reason=Reason.POWEROFF)
    titles = [re.sub(r"^\S+ ?", "", title) for title in hook.wait_for(2)]
    assert titles == ["stopping its guests (2)", "guests did not stop as planned"]
    assert "deaf: forced" in hook.taken[1]["message"]
    assert hook.taken[1]["type"] == "failure"
    lab.restore()
    assert "is back: 2 started" in hook.wait_for(3)[2]
    told = hook.taken[2]["message"]
    assert "(poweroff) took" in told
    assert "1 stopped, 1 forced" in told
    assert gone(lab)
    assert "late" not in str(hook.taken)


class Fails:
    """A plugin whose part in every stop and start fails."""

    @hookimpl
    def on_guest_stop(self) -> None:
        raise ValueError("not flushed")

    @hookimpl
    def on_guest_started(self) -> None:
        raise ValueError("not back in the load balancer")


@pytest.mark.parametrize(
    ("plugin", "needing", "verdict", "kinds"),
    [
        (None, False, ("as planned", "OFF"), ["info", "success"]),
        (None, True, ("as planned", "OFF"), ["info", "success"]),
        (Fails(), False, ("not as planned", "ON"), ["failure", "failure"]),
    ],
)
def test_messages_and_the_broker_say_of_a_run_what_its_exit_code_says(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook, plugin: object, verdict: tuple[str, str], kinds: list[str],
    *, needing: bool,
) -> None:  # fmt: skip
    options = {"events": ["forced", "stopped", "restored"], "mqtt": {"host": "127.0.0.1", "port": closed_port()}}
    lab = lab_with(lastcall_lab, tmp_path, hook.url, plugins={"own": plugin} if plugin else {}, **options)
    lab.tolerates(ValueError)
    if needing:  # a run by hand warns of who goes on without db-1
        lab.guest("web")
        lab.config = json.dumps({**json.loads(lab.config), "guests": [{"match": "web", "depends_on": ["db-1"]}]})
    report = lab.shutdown("db-1")
    assert [one.severity for one in report.problems] == [Severity.WARNING] * needing
    for told in (1, 2):
        kept = json.loads((lab.folder / "plugins" / "notify" / "mqtt.json").read_text())
        assert (kept["outcome"], kept["problem"]) == verdict
        assert (kept["problem"] == "ON") == bool(report.run.exit_code)
        assert len(hook.wait_for(told)) == told, "no guest was forced: nobody is told that one was"
        report = lab.restore() if told == 1 else report
    assert [one["type"] for one in hook.taken] == kinds


def test_what_could_not_be_sent_is_sent_by_the_next_restore_once_and_says_that_it_is_late(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook
) -> None:
    hook.status = 500
    lab = lab_with(lastcall_lab, tmp_path, hook.url, events=["stopping", "stopped", "restored"], timeout="60s")
    lab.shutdown(reason=Reason.POWEROFF)
    waiting = files(lab)
    assert len(waiting) == 2
    (problem,) = [one for one in lab.check() if one.what == "notify"]
    assert "2 messages wait" in problem.message
    assert "500" in problem.message
    assert problem.remedy == "lastcall notify flush"
    for file, changed in zip(waiting, ({"boot": "another"}, {"written": time.time() - 3600}), strict=True):
        file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    hook.status = 200
    lab.restore()
    titles = hook.wait_for(3)
    assert [title.endswith("(sent late)") for title in titles] == [True, True, False]
    assert "Sent late: this is of 2" in hook.taken[0]["message"]
    assert gone(lab)
    lab.command("notify", "flush")
    assert len(hook.taken) == 3


def test_one_address_that_hangs_or_is_refused_costs_the_others_nothing_and_the_run_no_time(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook
) -> None:
    with deaf_server() as deaf:
        others = (f"json://127.0.0.1:{deaf}/a", f"json://127.0.0.1:{closed_port()}/b", "nonsense://x", "no address")
        lab = lab_with(lastcall_lab, tmp_path, *others, hook.url, timeout="6s")
        began = time.monotonic()
        report = lab.shutdown(reason=Reason.POWEROFF)
        assert time.monotonic() - began < 3
        assert report.run.exit_code == 0
        assert len(hook.wait_for(1)) == 1
        ends = time.monotonic() + 10
        while len(files(lab)) != 4 and time.monotonic() < ends:
            time.sleep(0.05)
        assert len(files(lab)) == 4


def test_no_file_no_line_and_no_report_has_an_address(lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook) -> None:
    hook.status = 500
    lab = lab_with(
        lastcall_lab, tmp_path, hook.url, f"tgram://{SECRETS[1]}-bot/4711", f"json://{SECRETS[1]}:{closed_port()}"
    )
    lab.guest("deaf", takes=10_000)
    report = lab.shutdown(reason=Reason.POWEROFF)
    said = [*map(str, lab.lines), str(report), str(lab.check()), str(lab.command("notify", "test", "--within", "4"))]
    said += [path.read_text() for path in lab.folder.rglob("*") if path.is_file() and path != tmp_path / "urls"]
    assert files(lab)
    assert len(said) > 6
    for text in said:
        assert not [secret for secret in SECRETS if secret in text], text


def test_messages_that_wait_are_for_root_alone(lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook) -> None:
    hook.status = 500
    lab = lab_with(lastcall_lab, tmp_path, hook.url)
    lab.shutdown(reason=Reason.POWEROFF)
    assert files(lab)
    folder = files(lab)[0].parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_runs_by_hand_and_rehearsals_are_told_to_nobody(lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook) -> None:
    lab = lab_with(lastcall_lab, tmp_path, hook.url, by_hand=False)
    lab.shutdown()
    lab.restore()
    lab.fire("pre_shutdown", reason=Reason.POWEROFF)
    assert "would tell" in lab.lines[0]
    assert lab.command("notify", "flush").output == "nothing waits\n"
    assert hook.asked == 0


def test_a_restore_that_has_nothing_new_is_silent(lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook) -> None:
    lab = lab_with(lastcall_lab, tmp_path, hook.url, events=["restored"])
    lab.restore()  # nobody waits, and nothing was shut down
    lab.shutdown(reason=Reason.POWEROFF)
    lab.restore()
    lab.restore()
    assert len(hook.wait_for(1)) == 1
    lab.command("notify", "flush")
    assert len(hook.taken) == 1
    # As the unit is started again each minute for a guest that waits for its disk.
    for count in (2, 2, 2, 3):
        if count == 3:
            lab.guest("db-2")
        lab.fire("post_restore", rehearsal=False)
        lab.command("notify", "flush")
        assert len(hook.wait_for(count)) == count


def test_a_file_of_its_own_that_cannot_be_had_costs_no_message_and_no_run(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook
) -> None:
    lab = lab_with(lastcall_lab, tmp_path, hook.url)
    (lab.folder / "plugins" / "notify" / "shutdown.json").mkdir(parents=True)
    assert lab.shutdown(reason=Reason.POWEROFF).run.exit_code == 0
    assert lab.restore().run.exit_code == 0
    assert len(hook.wait_for(2)) == 2


def test_a_shutdown_that_did_not_come_to_its_end_is_told_after_boot(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook
) -> None:
    lab = lab_with(lastcall_lab, tmp_path, hook.url)
    lab.fire("pre_shutdown", rehearsal=False, reason=Reason.POWER)
    lab.restore()
    assert len(hook.wait_for(2)) == 2
    assert re.search(r"The shutdown of \S+ \S+ \S+ \(power\) did not come to its end", hook.taken[1]["message"])


def test_at_boot_systemd_goes_on_with_what_waits_as_the_unit_takes_our_processes_with_it(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "systemd-run").write_text(f'#!/bin/sh\nfor word; do echo "$word"; done >{tmp_path}/words\n')
    (tools / "systemd-run").chmod(0o755)
    lab = lab_with(lastcall_lab, tmp_path, hook.url, events=["restored"])
    lab.config = json.dumps({**json.loads(lab.config), "hooks": {"environment": {"PATH": f"{tools}:/usr/bin:/bin"}}})
    monkeypatch.setenv("INVOCATION_ID", "0123")  # as systemd tells those whom it starts
    lab.fire("pre_shutdown", rehearsal=False, reason=Reason.POWER)
    lab.fire("post_restore", rehearsal=False, reason=Reason.BOOT)
    words = (tmp_path / "words").read_text().splitlines()
    assert words[-4:] == ["notify", "flush", "--within", "10s"]
    assert "--property=RuntimeMaxSec=70" in words
    assert Path(words[-5]).is_absolute()
    assert len(files(lab)) == 1
    (tools / "systemd-run").write_text("#!/bin/sh\necho no bus >&2; exit 1\n")
    lab.fire("pre_shutdown", rehearsal=False, reason=Reason.POWER)
    lab.fire("post_restore", rehearsal=False, reason=Reason.BOOT)
    assert "systemd does not send: no bus" in lab.lines
    assert len(hook.wait_for(2)) == 2


def test_without_its_section_no_run_knows_of_it(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab()
    lab.guest("db-1")
    report = lab.shutdown(reason=Reason.POWEROFF)
    assert not report.hooks
    assert not (lab.folder / "plugins" / "notify").exists()
    told = lab.command("notify", "test")
    assert told.exit_code != 0
    assert "plugins.notify.urls" in told.errors


def test_a_test_message_says_what_came_of_each_address(lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook) -> None:
    with deaf_server() as deaf:
        lab = lab_with(lastcall_lab, tmp_path, hook.url, "nonsense://x", f"json://127.0.0.1:{deaf}/a")
        told = lab.command("notify", "test", "--within", "3")
    assert told.exit_code == 1
    assert told.output == f"✓ {tmp_path}/urls:2 (json)\n"
    assert f"✗ {tmp_path}/urls:3 (nonsense): Apprise knows no such address\n" in told.errors
    assert f"✗ {tmp_path}/urls:4 (json): no answer within 3 s\n" in told.errors
    assert hook.titles() == ["lastcall: a test"]
    assert lab.shutdown(reason=Reason.POWEROFF).run.exit_code == 0


def test_check_finds_what_would_keep_messages_from_being_sent(lastcall_lab: MakeLab, tmp_path: Path) -> None:
    lab = lab_with(lastcall_lab, tmp_path, "nonsense://x")
    (problem,) = [one for one in lab.check() if one.what == "notify"]
    assert problem.where == f"{tmp_path}/urls:2 (nonsense)"
    (tmp_path / "urls").chmod(0o644)
    (problem,) = [one for one in lab.check() if one.what == "notify"]
    assert "others may read" in problem.message
    assert "chmod 600" in problem.remedy
    (tmp_path / "urls").unlink()
    assert any("urls cannot be read" in one.message for one in lab.check())
    assert lab.shutdown(reason=Reason.POWEROFF).run.exit_code == 0
    assert files(lab)  # it waits for addresses


def test_an_own_wording_is_used_and_one_with_an_unknown_field_is_an_error_with_its_line(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook
) -> None:
    words = {"stopping": {"title": "{{bye}} {guests}", "body": "{names} for {reason}"}}
    lab = lab_with(lastcall_lab, tmp_path, hook.url, words=words)
    lab.shutdown(reason=Reason.REBOOT)
    assert hook.wait_for(1) == ["{bye} 1"]
    assert hook.taken[0]["message"] == "db-1 for reboot"
    for wrong, why in {
        "{hots}": "did you mean {host}", "{host.__class__}": "no field", "{0}": "there are host", "{host!r}": "no",
        "{host:>9999999999}": "no field", "{": "", "}": "", "{host[0]}": "no field",
    }.items():  # fmt: skip
        words["stopping"]["title"] = wrong
        with pytest.raises(Exception, match=r"config:1:\d+: plugins\.notify\.words\.stopping\.title: ") as caught:
            lab_with(lastcall_lab, tmp_path, hook.url, words=words).check()
        assert why in str(caught.value)


def test_without_the_library_a_message_waits_and_check_says_how_to_install_it(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_with(lastcall_lab, tmp_path, hook.url)
    with monkeypatch.context() as without:
        without.setattr(sys, "path", list(_paths_without("apprise", sys.path, tmp_path / "path")))
        assert lab.shutdown(reason=Reason.POWEROFF).run.exit_code == 0
        (problem, waiting) = [one for one in lab.check() if one.what == "notify"]
        assert problem.message == "apprise is not installed"
        assert "pip install 'lastcall[notify]'" in problem.remedy
        assert "1 messages wait" in waiting.message
    assert lab.command("notify", "flush").output == f"✓ {tmp_path}/urls:2 (json)\n"
    assert len(hook.taken) == 1


def _paths_without(package: str, path: list[str], folder: Path) -> Generator[str]:
    """The same modules, without those of a package."""
    for index, one in enumerate(map(Path, path)):
        if not (one / package).is_dir():
            yield str(one)
            continue
        made = folder / str(index)
        made.mkdir(parents=True)
        for inside in one.iterdir():
            if not inside.name.startswith(package):
                (made / inside.name).symlink_to(inside)
        yield str(made)


class Mailbox:
    """Keeps what an SMTP server takes."""

    def __init__(self) -> None:
        self.letters: list[Any] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        self.letters.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"


def test_mail_arrives_at_a_real_smtp_server(lastcall_lab: MakeLab, tmp_path: Path) -> None:
    box = Mailbox()
    port = closed_port()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    try:
        lab = lab_with(lastcall_lab, tmp_path, f"mailto://127.0.0.1:{port}?from=host@example.org&to=ops@example.org")
        told = lab.command("notify", "test")
        assert told.exit_code == 0, told.errors
    finally:
        server.stop()
    (letter,) = box.letters
    assert letter["To"] == "ops@example.org"
    assert "a test" in letter["Subject"]


def test_what_waits_is_bounded_expires_and_minds_no_odd_file(tmp_path: Path) -> None:
    unsent, now = Unsent(tmp_path, WEEK), time.time()
    for age in (0, 6 * 86_400, 8 * 86_400):
        unsent.add(Message(title=f"{age}", body="", written=now - age))
    (tmp_path / "0000000000000-00000000-all.json").mkdir()
    (tmp_path / f"{int(now * 1000):013}-00000001-all.json").write_text("[nothing")
    (tmp_path / f"{int(now * 1000):013}-00000002-all.json").symlink_to("nowhere")
    unsent.share_out(["aaaaaaaa", "bbbbbbbb"])
    for target in ("aaaaaaaa", "bbbbbbbb"):
        assert [one.message.title for one in unsent.of(target)] == [f"{6 * 86_400}", "0"]
    for count in range(600):
        (tmp_path / f"{int(now * 1000) + count:013}-000000ff-aaaaaaaa.json").write_text("{}")
    unsent.share_out(["aaaaaaaa"])
    assert len(list(tmp_path.glob("*.json"))) <= 502


class Finds:
    """A plugin that finds these problems."""

    def __init__(self, *problems: Problem) -> None:
        self.problems: tuple[Problem, ...] = problems

    @hookimpl
    def check(self) -> tuple[Problem, ...]:
        """Find them."""
        return self.problems


def error(where: str, message: str = "no agent answers") -> Problem:
    return Problem(what="agent", where=where, message=message, remedy="install it")


def test_what_others_say_of_a_host_stays_readable_and_what_is_a_credential_does_not(
    lastcall_lab: MakeLab, tmp_path: Path
) -> None:
    said = "backup.example.net of operator, who-mails-us, does not answer; pa55-of-mine, 4711:AbCdEfGh, and lastcall"
    addresses = (
        "mailtos://operator:pa55-of-mine@backup.example.net?to=who-mails-us@backup.example.net",
        "tgram://4711:AbCdEfGh/lastcall",
    )
    lab = lab_with(lastcall_lab, tmp_path, *addresses, plugins={"finds": Finds(error("disk", said))})
    (problem,) = [one for one in lab.check() if one.where == "disk"]
    assert problem.message == (
        "backup.example.net of operator, who-mails-us, does not answer; •••, 4711:•••, and lastcall"
    )


def test_in_its_own_words_no_host_of_an_address_is_named(lastcall_lab: MakeLab, tmp_path: Path) -> None:
    lab = lab_with(lastcall_lab, tmp_path, "json://alerts.nowhere-at-all.invalid/plain-word", timeout="5s")
    told = lab.command("notify", "test", "--within", "60")
    assert told.exit_code == 1
    lab.shutdown(reason=Reason.POWEROFF)
    said = [told.errors, told.output, str(lab.check()), *(file.read_text() for file in files(lab))]
    assert len(said) == 4
    assert "•••" in told.errors
    assert not [text for text in said if "nowhere-at-all" in text or "plain-word" in text]


@pytest.fixture
def by_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOCATION_ID", "0123")  # as systemd tells those whom it starts


@pytest.mark.usefixtures("by_unit")
def test_a_check_by_a_unit_is_told_where_its_errors_are_others_than_before(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook
) -> None:
    finds = Finds()
    lab = lab_with(lastcall_lab, tmp_path, hook.url, plugins={"finds": finds}, timeout="60s")

    def checked(*problems: Problem) -> int:
        finds.problems = problems
        lab.check()
        assert gone(lab, 60)
        return len(hook.taken)

    warning = Problem(what="agent", where="x", message="may hang", severity=Severity.WARNING)
    assert checked(warning) == 0, "nothing was wrong before"
    assert checked(error("db"), error("web")) == 1
    assert hook.titles()[0].endswith(": lastcall check: 2 errors")
    assert "db: no agent answers (→ install it)" in hook.taken[0]["message"]
    assert checked(error("web"), warning, error("db")) == 1, "whatever their order, and whatever is no error"
    assert checked(error("db"), error("web"), error("mail", "7 of 9")) == 2
    assert hook.titles()[1].endswith(": 3 errors, 1 of them new")
    assert checked(error("db"), error("web"), error("mail", "12 of 13")) == 2, "it is the same error"
    assert checked(error("mail", "12 of 13")) == 3
    assert "over: db: no agent answers" in hook.taken[2]["message"]
    assert [one["type"] for one in hook.taken] == ["failure"] * 3
    assert checked(warning) == 4
    assert hook.titles()[3].endswith(": no errors any more")
    assert hook.taken[3]["type"] == "success"
    assert gone(lab)


def test_a_check_by_hand_or_one_that_nobody_wants_told_is_not(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_with(lastcall_lab, tmp_path, hook.url, plugins={"finds": Finds(error("db"))})
    lab.check()
    monkeypatch.setenv("INVOCATION_ID", "0123")
    silent = lab_with(lastcall_lab, tmp_path, hook.url, events=["stopping"], plugins={"finds": Finds(error("db"))})
    silent.check()
    assert (hook.asked, files(lab), files(silent)) == (0, [], [])


@pytest.mark.usefixtures("by_unit")
def test_what_a_check_could_not_send_waits_for_the_next_one(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook
) -> None:
    hook.status = 500
    lab = lab_with(lastcall_lab, tmp_path, hook.url, plugins={"finds": Finds(error("db"))})
    lab.check()
    assert len(files(lab)) == 1
    hook.status = 200
    lab.check()
    assert len(hook.wait_for(1, 60)) == 1
    assert gone(lab)


@pytest.mark.usefixtures("by_unit")
@pytest.mark.parametrize("kept", ["", "{}", "[7, null]", "[nothing", "7"])
def test_a_file_that_says_nothing_of_errors_has_them_told_again(
    lastcall_lab: MakeLab, tmp_path: Path, hook: WebHook, kept: str
) -> None:
    lab = lab_with(lastcall_lab, tmp_path, hook.url, plugins={"finds": Finds(error("db"))})
    lab.check()
    (lab.folder / "plugins" / "notify" / "checked.json").write_text(kept)
    lab.check()
    assert len(hook.wait_for(2, 60)) == 2


@pytest.mark.parametrize("written", ["1e999", "-1", "1e300", '"soon"', "null", "NaN"])
def test_a_message_of_a_time_that_no_calendar_has_is_set_aside(tmp_path: Path, written: str) -> None:
    unsent = Unsent(tmp_path, WEEK)
    unsent.add(Message(title="t", body="", written=time.time()))
    (file,) = tmp_path.glob("*.json")
    file.write_text(re.sub(r'("written": )[^,]+', rf"\g<1>{written}", file.read_text()))
    assert unsent.everything() == []
    assert not file.exists()
