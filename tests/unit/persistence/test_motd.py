"""The line at login."""

from pathlib import Path

from lastcall import Guest
from lastcall.config.settings import PathSettings
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.motd import Motd
from lastcall.persistence.state import StateFile

GUEST = Guest(uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db 1")


OTHER = Guest(uri="qemu:///system", uuid="66666666-2222-3333-4444-555555555555", name="web")


def test_whoever_logs_in_reads_who_is_not_back(tmp_path: Path) -> None:
    paths = PathSettings(state=tmp_path / "state", run=tmp_path / "run")
    motd = Motd(paths)
    motd.refresh()
    assert not (tmp_path / "run/motd").exists()
    state = StateFile(paths.state)
    state.add([GUEST], run="r", boot_id="before", cause="host", due=True)
    state.add([OTHER], run="r", boot_id=boot_id(), cause="host", due=False)
    state.save()
    motd.refresh()
    assert (tmp_path / "run/motd").read_text() == (
        "lastcall: 1 guest is not back since the last shutdown: db 1. See `lastcall report`.\n"
    )
    state.drop([GUEST.key])
    state.save()
    motd.refresh()
    assert not (tmp_path / "run/motd").exists()
