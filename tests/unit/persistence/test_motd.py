"""The line at login."""

import re
from dataclasses import replace
from pathlib import Path

from lastcall import Guest
from lastcall.config.settings import PathSettings
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.motd import Motd
from lastcall.persistence.state import StateFile

GUEST, OTHER, THIRD = (
    Guest(uri="qemu:///system", uuid=f"{number}1111111-2222-3333-4444-555555555555", name=name)
    for number, name in enumerate(("db 1", "web", "mail"))
)
EPILOGUE = r"\. As of \d{4}-\d\d-\d\d \d\d:\d\d; `lastcall status` looks again\.\n"


def remember(folder: Path, *guests: Guest, boot: str = "before") -> PathSettings:
    paths = PathSettings(state=folder / "state", run=folder / "run")
    state = StateFile(paths.state)
    state.add(guests, run="r", boot_id=boot, cause="host", due=True)
    state.save()
    return paths


def told(paths: PathSettings) -> str:
    """The line without its end, which says of when it is."""
    text = (paths.run / "motd").read_text()
    assert re.search(EPILOGUE, text), text
    return re.sub(EPILOGUE, "", text)


def test_a_guests_name_is_no_line_of_its_own_at_login_and_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    evil = replace(GUEST, name="db\nroot: your password?\x1b[2J\u202e\udcff" + "x" * 5000)
    paths = remember(tmp_path, evil)
    Motd(paths).refresh(unseen="", off={evil.key})
    assert told(paths).isprintable()
    assert len(told(paths)) < 500


def test_whoever_logs_in_reads_who_was_seen_to_be_off(tmp_path: Path) -> None:
    paths = remember(tmp_path, GUEST, OTHER)
    Motd(paths).refresh(unseen="", back={OTHER.key}, off={GUEST.key})
    assert told(paths) == "lastcall: 1 guest is not back since the last shutdown: db 1"
    assert (tmp_path / "run/motd").stat().st_mode & 0o777 == 0o644
    Motd(paths).refresh(unseen="", off={GUEST.key, OTHER.key})
    assert told(paths) == "lastcall: 2 guests are not back since the last shutdown: db 1, web"


def test_of_whom_libvirt_said_nothing_the_line_claims_nothing(tmp_path: Path) -> None:
    paths = remember(tmp_path, GUEST, OTHER, THIRD)
    Motd(paths).refresh(unseen="", off={GUEST.key})
    expected = (
        "lastcall: 1 guest is not back since the last shutdown: db 1; 2 guests are perhaps not back since the last"
    )
    assert told(paths) == f"{expected} shutdown: mail, web"


def test_the_line_goes_when_everybody_is_back_or_nobody_is_to_come_back(tmp_path: Path) -> None:
    for rest in ({"back": {GUEST.key}}, {}):
        paths = remember(tmp_path, GUEST)
        Motd(paths).refresh(unseen="", off={GUEST.key})
        assert told(paths)
        Motd(paths, wanted=bool(rest)).refresh(unseen="", **rest)
        assert not (tmp_path / "run/motd").exists()
    assert Motd(paths, wanted=False).subjects == []


def test_the_line_is_about_those_of_earlier_boots(tmp_path: Path) -> None:
    paths = remember(tmp_path, GUEST, boot=boot_id())
    assert Motd(paths).subjects == []
    Motd(paths).refresh(unseen="", off={GUEST.key})
    assert not (tmp_path / "run/motd").exists()


def test_a_list_that_cannot_be_read_and_a_folder_that_cannot_be_written_cost_nothing(tmp_path: Path) -> None:
    paths = remember(tmp_path, GUEST)
    (tmp_path / "run").write_text("a file, not a folder")
    Motd(paths).refresh(unseen="", off={GUEST.key})
    (tmp_path / "state" / "state.json").write_text("nonsense")
    assert Motd(paths).subjects == []


def test_a_list_that_changed_since_it_was_read_is_read_again(tmp_path: Path) -> None:
    paths = remember(tmp_path, GUEST)
    motd = Motd(paths)
    assert [entry.name for entry in motd.subjects] == ["db 1"]
    remember(tmp_path, OTHER)
    motd.refresh(unseen="", off={GUEST.key, OTHER.key})
    assert told(paths) == "lastcall: 1 guest is not back since the last shutdown: web"
