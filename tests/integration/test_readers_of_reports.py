"""A group of users who may read status, reports and runs, and nothing else; real users, on real files."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fake_systemctl import FakeSystemctl
from lab.patience import LONGEST
from lastcall import Reason
from lastcall.cli.invocation import Invocation
from lastcall.cli.unit.calls import note_boot
from lastcall.config.settings import Settings
from lastcall.installation.choices import NOBODY, Choices
from lastcall.installation.install import Installation
from lastcall.persistence.announcement import NoticeBoard, announce
from support import PROGRAM, run_lastcall, write_config

GROUP, GID, MEMBER, STRANGER = "staff", 50, 65533, 65534  # of every Debian
WORLD = "test:///default"
SECRET = "correct-horse-battery"  # noqa: S105
KEEPS = """\
import lastcall

@lastcall.hookimpl
def on_guest_stop(run):
    lastcall.TextFile(run.folder / "note").write("a key")
"""


@pytest.fixture
def config() -> Iterator[Path]:
    # Not in pytest's folders, which are closed to others by every further run of it.
    with TemporaryDirectory(prefix="lastcall-readers-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        config = write_config(folder, WORLD)
        (folder / "state").chmod(0o700)
        (folder / "hooks.d/10-keeps.py").write_text(KEEPS)
        yield config


def choose(config: Path, readers: str) -> None:
    """What `lastcall install --group`, or `--no-group`, does to the folders."""
    for step in Choices(readers=readers).steps(FakeSystemctl(), config.with_name("state"), config.with_name("run")):  # pyright: ignore[reportArgumentType]
        step.do()


def as_user(config: Path, user: int, *words: str, group: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run the program as a user without any rights, who may be a member of the group."""
    groups = [f"--groups={group}"] if group else ["--clear-groups"]
    setpriv = ["setpriv", f"--reuid={user}", f"--regid={user}", *groups, "--", PROGRAM, "--config", str(config)]
    return subprocess.run([*setpriv, *words], capture_output=True, text=True, timeout=LONGEST, check=False)


def as_member(config: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return as_user(config, MEMBER, *words, group=GID)


def modes(folder: Path) -> dict[str, str]:
    found = {str(path.relative_to(folder)): path.stat() for path in folder.rglob("*")}
    return {name: f"{one.st_mode & 0o7777:o} {one.st_gid}" for name, one in found.items()}


LOOKS = [("status",), ("report",), ("report", "--json"), ("report", "1"), ("runs",), ("runs", "diff", "1", "2")]


@pytest.mark.parametrize("before", [True, False], ids=["with runs before it was chosen", "from the first run on"])
def test_members_read_what_lastcall_tells_and_nobody_else_does(config: Path, *, before: bool) -> None:
    runs = [("shutdown",), ("restore",), ("shutdown", "--reason", "power")]
    for words in runs[:2] if before else ():
        assert run_lastcall(config, *words).returncode == 0
    choose(config, GROUP)
    for words in runs[2:] if before else runs:
        assert run_lastcall(config, *words).returncode == 0
    for words in LOOKS:
        root, member = run_lastcall(config, *words), as_member(config, *words)
        assert (member.returncode, member.stdout) == (root.returncode, root.stdout), (words, member.stderr)
        stranger = as_user(config, STRANGER, *words)
        assert stranger.returncode == 4, (words, stranger.stdout)
        assert stranger.stdout == ""
        assert f"as a member of the group {GROUP}: `usermod -aG {GROUP} USER`" in stranger.stderr, words


def test_what_may_hold_a_secret_stays_roots_alone(config: Path) -> None:
    choose(config, GROUP)
    for words in (("shutdown",), ("restore",), ("report", "--ack")):
        assert run_lastcall(config, *words).returncode == 0
    state = config.with_name("state")
    told, runs = modes(state), [name for name in modes(state) if name.endswith(".jsonl")]
    read = {"state.json", "history.json", "seen.json", *runs}
    assert {name: mode for name, mode in told.items() if name in read} == dict.fromkeys(read, f"640 {GID}")
    assert told["runs"] == f"2750 {GID}"
    rest = {name: mode.split()[0] for name, mode in told.items() if name not in read | {"runs"}}
    assert {"plugins", "plugins/keeps", "plugins/keeps/note", "last-look.json"} <= rest.keys()
    assert {*rest.values()} == {"700", "600"}
    for name in ("plugins/keeps/note", "last-look.json"):
        done = subprocess.run(
            ["setpriv", f"--reuid={MEMBER}", f"--regid={MEMBER}", f"--groups={GID}", "--", "cat", state / name],
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode != 0


def test_members_may_write_nothing_and_are_told_so(config: Path) -> None:
    run_lastcall(config, "shutdown")
    choose(config, GROUP)
    before = modes(config.parent)
    for words in (("report", "--ack"), ("forget", "test"), ("restore",), ("announce", "--reason", "power")):
        done = as_member(config, *words)
        assert done.returncode == 4, (words, done.stderr)
        assert len(done.stderr.splitlines()) == 2, words
    done = as_member(config, "report", "--ack")
    assert f"members of the group {GROUP} may read it, and only root may write it" in done.stderr
    assert modes(config.parent) == before


def test_what_was_chosen_is_taken_back(config: Path) -> None:
    run_lastcall(config, "shutdown")
    before = modes(config.parent)
    choose(config, GROUP)
    run_lastcall(config, "announce", "--reason", "power")
    assert as_member(config, "report").returncode == 0
    choose(config, NOBODY)
    run_lastcall(config, "announce", "--cancel")
    after = modes(config.parent)
    assert {name: after[name] for name in before} == before
    assert as_member(config, "report").returncode == 4


def test_the_notes_of_a_boot_are_for_the_readers_of_the_state_from_its_first_note_on(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LASTCALL_CONFIG", str(config))
    choose(config, GROUP)
    run = config.with_name("run")
    for file in run.iterdir():
        file.unlink()
    run.rmdir()  # as a boot does
    assert note_boot(Invocation()) == 0
    NoticeBoard(run).put(announce(Reason.POWER, 60))
    assert modes(run.parent)["run"] == f"2755 {GID}"
    assert modes(run)["announcement.json"] == f"640 {GID}"
    assert "announced: the next host stop is for power" in as_member(config, "status").stdout
    assert modes(run)["lock"].startswith("600 ")


def test_an_installation_keeps_what_was_chosen_and_its_removal_takes_it_back(tmp_path: Path) -> None:
    def installed(readers: str | None = None) -> Installation:
        return Installation(
            program=Path("/opt/lastcall/bin/lastcall"), settings=lambda _: Settings(), systemctl=FakeSystemctl(),
            root=tmp_path, choices=Choices(readers=readers),
        )  # fmt: skip

    state = tmp_path / "var/lib/lastcall"
    for readers, mode in ((None, 0o700), (GROUP, 0o2750), (None, 0o2750), (NOBODY, 0o700), (GROUP, 0o2750)):
        for step in installed(readers).plan():
            step.do()
        assert state.stat().st_mode & 0o7777 == mode
        assert state.stat().st_gid == (GID if mode == 0o2750 else 0)
    for step in installed().undo():
        step.do()
    assert (state.stat().st_mode & 0o7777, state.stat().st_gid) == (0o700, 0)


def test_a_group_that_is_not_there_is_named_and_nothing_is_done(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="there is no group no-such-group"):
        list(Choices(readers="no-such-group").steps(FakeSystemctl(), tmp_path / "state", tmp_path / "run"))
    assert not (tmp_path / "state").exists()


def test_a_reader_who_may_not_read_the_configuration_is_told_where_is_looked(tmp_path: Path) -> None:
    """In a mount namespace of its own, as the usual path is meant."""
    script = f"""
set -e
mount --bind {tmp_path} /mnt
cp -a /etc /mnt/etc && mkdir -p /mnt/etc/lastcall && mount --bind /mnt/etc /etc
mount -t tmpfs none /var/lib; mount -t tmpfs none /run
mkdir -p /var/lib/lastcall/runs && chgrp -R {GID} /var/lib/lastcall
chmod 2750 /var/lib/lastcall /var/lib/lastcall/runs
printf 'plugins: {{}}\\n# {SECRET}\\n' >/etc/lastcall/config.yaml
chmod 600 /etc/lastcall/config.yaml
exec setpriv --reuid={MEMBER} --regid={MEMBER} --groups={GID} -- {PROGRAM} "$@"
"""
    for words, code in ((("status",), 3), (("report",), 0), (("runs",), 0)):
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *words],
            capture_output=True, text=True, timeout=LONGEST, check=False, env=dict(os.environ),
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert done.stderr == (
            "lastcall: the configuration is not for this user to read; "
            "looks into /var/lib/lastcall and /run/lastcall, where things are by default\n"
        )
        assert SECRET not in done.stdout
