"""Whose word a configuration is: root's, or that of the user who runs lastcall, and nobody else's."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lastcall import Reason
from lastcall.config.load import read
from lastcall.errors import ConfigInvalid, Severity
from lastcall.persistence.last_good import LastGood
from lastcall.runs.loading import load
from support import run_lastcall

OTHER = 12345
SHUTDOWN = "shutdown: {parallel: 3}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that is as it should be, with one file laid over it."""
    folder = tmp_path / "above" / "etc"
    (folder / "conf.d").mkdir(parents=True)
    (folder / "conf.d" / "10.yaml").write_text(SHUTDOWN)
    (folder / "config.yaml").write_text("connections: ['lxc:///system']\n")
    return folder / "config.yaml"


def writable_by_others(path: Path) -> str:
    path.chmod(path.stat().st_mode | 0o002)
    return f"chmod go-w {path}"


def writable_by_its_group(path: Path) -> str:
    path.chmod(path.stat().st_mode | 0o020)
    return f"chmod go-w {path}"


def somebody_elses(path: Path) -> str:
    os.chown(path, OTHER, OTHER)
    return f"chown root {path}"


def link(path: Path) -> str:
    real = path.rename(path.with_name("real"))
    path.symlink_to(real)
    return f"{real}"


SPOILT = [writable_by_others, writable_by_its_group, somebody_elses, link]
PLACES = ["config.yaml", "conf.d", "conf.d/10.yaml", ".", ".."]
Spoil = Callable[[Path], str]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("spoil", SPOILT)
def test_a_configuration_that_others_could_have_written_is_an_error_that_says_what_helps(
    config: Path, place: str, spoil: Spoil
) -> None:
    wrong = Path(os.path.normpath(config.parent / place))
    remedy = spoil(wrong)
    with pytest.raises(ConfigInvalid) as caught:
        read(config)
    (problem,) = caught.value.problems
    assert problem.where == str(wrong)
    assert problem.message.startswith("not used as configuration: is ")
    assert remedy in problem.remedy


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("spoil", SPOILT)
def test_a_host_stop_goes_without_it_and_its_report_has_an_error(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, spoil: Spoil
) -> None:
    monkeypatch.setattr("lastcall.config.files.DEFAULT_FILE", config)
    spoil(Path(os.path.normpath(config.parent / place)))
    kept = LastGood(tmp_path / "last-good.json")
    loaded = load(None, Reason.POWEROFF, kept)
    assert (loaded.origin, loaded.problems[0].severity) == ("defaults", Severity.ERROR)
    kept.remember({config: "connections: ['test:///default']\n"})
    loaded = load(None, Reason.POWEROFF, kept)
    assert (loaded.origin, [one.uri for one in loaded.settings.connections]) == ("last_good", ["test:///default"])


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_folder_from_which_others_could_have_taken_files_away_is_an_error_also_when_it_is_empty(
    config: Path, spoil: Spoil
) -> None:
    (config.parent / "conf.d" / "10.yaml").unlink()
    assert read(config)
    spoil(config.parent / "conf.d")
    with pytest.raises(ConfigInvalid, match=r"conf\.d: not used as configuration"):
        read(config)


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_named_file_that_is_not_trusted_is_never_replaced_by_another(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr("lastcall.config.files.DEFAULT_FILE", config)
    named = tmp_path / "lab.yaml"
    named.write_text(SHUTDOWN)
    named.chmod(0o666)
    monkeypatch.setenv("LASTCALL_CONFIG", str(named))
    for reason in Reason:
        with pytest.raises(ConfigInvalid, match=r"lab\.yaml: not used as configuration: is writable by group"):
            load(named if by == "option" else None, reason, LastGood(tmp_path / "last-good.json"))


def test_by_hand_that_is_exit_code_6_and_what_is_advised_helps(config: Path) -> None:
    config.chmod(0o666)
    done = run_lastcall(config, "config", "check")
    assert done.returncode == 6
    assert done.stderr.splitlines()[:2] == [
        f"{config}: not used as configuration: is writable by group or others",
        f"  → chmod go-w {config}",
    ]
    config.chmod(0o644)
    assert run_lastcall(config, "config", "check").returncode == 0


def test_a_path_with_blanks_is_quoted_in_what_is_advised(tmp_path: Path) -> None:
    path = tmp_path / "my lab.yaml"
    path.write_text(SHUTDOWN)
    path.chmod(0o666)
    with pytest.raises(ConfigInvalid) as caught:
        read(path)
    assert caught.value.problems[0].remedy == f"chmod go-w '{path}'"


def test_a_last_good_configuration_that_others_could_have_written_is_not_used_either(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastcall.config.files.DEFAULT_FILE", config)
    kept = LastGood(tmp_path / "last-good.json")
    kept.remember({config: "connections: ['test:///default']\n"})
    config.write_text("connections: [")
    assert load(None, Reason.POWEROFF, kept).origin == "last_good"
    kept.path.chmod(0o666)
    assert load(None, Reason.POWEROFF, kept).origin == "defaults"
    config.write_text("connections: ['test:///default']\n")
    kept.remember({config: config.read_text()})
    assert kept.path.stat().st_mode & 0o777 == 0o600, "kept anew, although it says the same"


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_whoever_is_not_root_is_trusted_with_his_own_file_and_roots_alone(tmp_path: Path) -> None:
    """In a folder that only lets through, as /home may."""
    home = Path("/tmp") / f"lastcall-home-{os.getpid()}"  # the user may not go where tests have theirs
    (home / "own").mkdir(parents=True)
    try:
        own, roots, others = (home / name for name in ("own/lab.yaml", "own/root.yaml", "own/other.yaml"))
        for path, owner in ((own, OTHER), (roots, 0), (others, OTHER + 1)):
            path.write_text(SHUTDOWN)
            os.chown(path, owner, owner)
        os.chown(home / "own", OTHER, OTHER)
        home.chmod(0o711)
        told = {path: as_user(path) for path in (own, roots, others)}
    finally:
        shutil.rmtree(home)
    assert told == {own: "", roots: "", others: f"is owned by user {OTHER + 1}"}


def as_user(config: Path) -> str:
    """What is wrong with it when another user reads it, in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(OTHER)
            os.setuid(OTHER)
            read(config)
            told = ""
        except ConfigInvalid as error:
            told = error.problems[0].message.rpartition(": ")[2]
        except BaseException as error:  # the test process goes on in the parent alone
            told = repr(error)
        os.write(writer, told.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        return file.read()
