"""What this host is called at a lock server."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lastcall.errors import LastcallError
from lastcall.runs.fleet.host_id import APPLICATION, MACHINE_ID, host_id


def test_it_is_what_systemd_makes_of_the_machine_id_for_an_application() -> None:
    tool = shutil.which("systemd-id128")
    if tool is None or not MACHINE_ID.exists() or not MACHINE_ID.read_text().strip():
        assert host_id.__module__  # nothing to compare with
        pytest.skip("no systemd-id128, or no machine id")
    done = subprocess.run(
        [tool, "machine-id", f"--app-specific={APPLICATION.hex}"], capture_output=True, text=True, check=True
    )
    assert host_id() == done.stdout.strip()
    assert host_id() != MACHINE_ID.read_text().strip()


@pytest.mark.parametrize("text", [None, "", "uninitialized\n", "0123", "x" * 1000])
def test_a_host_without_a_machine_id_is_told_what_to_do(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "machine-id"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LastcallError, match="has no machine id") as caught:
        host_id(path)
    assert "fleet_lock.id" in caught.value.remedy
