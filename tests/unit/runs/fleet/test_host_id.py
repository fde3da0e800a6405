"""What this host is called at a lock server."""

from pathlib import Path

import pytest

from lastcall.errors import LastcallError
from lastcall.runs.fleet.host_id import host_id


def test_it_is_what_systemd_makes_of_a_machine_id_for_an_application(tmp_path: Path) -> None:
    """The second is what `systemd-id128 machine-id --app-specific=…` of systemd 252 says of the first."""
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    assert host_id(path) == "5845e68bbc3344118912787550fee309"


@pytest.mark.parametrize("text", [None, "", "uninitialized\n", "0123", "x" * 1000])
def test_a_host_without_a_machine_id_is_told_what_to_do(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "machine-id"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LastcallError, match="has no machine id") as caught:
        host_id(path)
    assert "fleet_lock.id" in caught.value.remedy
