"""A host key is one guest's: another guest with the same is refused, with both their names and what to do."""

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko  # noqa: TID253  to hash a host's name
import pytest

from lastcall import Guest, Json, LastcallError, ShellRefused
from lastcall.testing import Lab, LabGuest
from lastcall.testing.pytest_plugin import MakeLab
from lastcall_plugins.ssh.hostkeys import HostKey, KnownKeys, keys_of_host, parse

ONE = Guest(uri="qemu:///system", uuid="11111111-0000-0000-0000-000000000000", name="db one")
TWO = Guest(uri="qemu:///system", uuid="22222222-0000-0000-0000-000000000000", name="copy")


def keys_of(guest: Guest, folder: Path) -> KnownKeys:
    run: Any = SimpleNamespace(folder=folder)
    return KnownKeys(guest, run)


def keys(*texts: str) -> list[HostKey]:
    return parse("".join(f"ssh-ed25519 {text}\n" for text in texts))


A, B = keys("AAAA"), keys("BBBB")


def test_a_login_at_a_guest_whose_key_another_guest_has_too_is_refused_for_both(tmp_path: Path) -> None:
    keys_of(ONE, tmp_path).write(A)
    keys_of(ONE, tmp_path).verify(A[0])
    keys_of(TWO, tmp_path).write(A)
    for guest, other in ((ONE, TWO), (TWO, ONE)):
        with pytest.raises(ShellRefused, match=f"host key of {guest.name} is that of {other.name}, too") as caught:
            keys_of(guest, tmp_path).verify(A[0])
        assert "ssh-keygen -A" in caught.value.remedy
        assert str(tmp_path / f"{other.file_name}.pub") in caught.value.remedy
    keys_of(TWO, tmp_path).write(B)
    keys_of(ONE, tmp_path).verify(A[0])
    keys_of(TWO, tmp_path).verify(B[0])


def test_a_guest_that_shows_the_key_of_another_is_told_with_both_names(tmp_path: Path) -> None:
    keys_of(ONE, tmp_path).write(A)
    for known in ([], B):
        if known:
            keys_of(TWO, tmp_path).write(known)
        with pytest.raises(ShellRefused, match="host key of copy is that of db one, too"):
            keys_of(TWO, tmp_path).verify(A[0])


def showing(lab: Lab, name: str, *texts: str) -> LabGuest:
    """A guest whose agent gives these host keys away."""
    guest = lab.guest(name, agent=True)
    shown = "".join(f"ssh-ed25519 {text}\n" for text in texts)

    def read(arguments: Mapping[str, Json]) -> Json:
        return {"buf-b64": base64.b64encode(shown.encode() if "ed25519" in str(arguments["handle"]) else b"").decode()}

    guest.agent_answers({
        "guest-file-open": lambda arguments: arguments["path"], "guest-file-read": read, "guest-file-close": {},
    })  # fmt: skip
    return guest


def kept(lab: Lab) -> set[str]:
    """The guests whose keys are known."""
    files = {file.name for file in (lab.folder / "plugins" / "ssh").glob("*.pub")}
    return {name for name, guest in lab.guests.items() if f"{guest.guest.file_name}.pub" in files}


def test_a_key_that_another_guest_has_is_not_learnt(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab()
    showing(lab, "db one", "AAAA")
    assert lab.command("ssh", "enroll", "db one").exit_code == 0  # nobody is enrolled
    assert lab.command("ssh", "enroll", "db one").exit_code == 1
    assert lab.command("ssh", "enroll", "--replace", "db one").exit_code == 0
    showing(lab, "copy", "BBBB", "AAAA")
    done = lab.command("ssh", "enroll", "copy")
    assert done.exit_code == 1
    assert "its host key is that of db one, too" in done.errors
    assert "copy or db one" in done.errors.partition("→")[2]
    assert kept(lab) == {"db one"}
    showing(lab, "copy", "BBBB")
    assert lab.command("ssh", "enroll", "copy").exit_code == 0
    assert kept(lab) == {"db one", "copy"}


def test_of_guests_that_are_enrolled_at_once_and_share_a_key_none_is_the_first(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab()
    showing(lab, "db one", "AAAA", "BBBB")
    showing(lab, "copy", "AAAA")
    showing(lab, "three", "CCCC")
    lab.guest("four")
    done = lab.command("ssh", "enroll", "db one", "copy", "three", "four")
    assert done.exit_code == 1
    assert "✗ db one: its host key is that of copy, too" in done.errors
    assert "✗ copy: its host key is that of db one, too" in done.errors
    assert "✗ four: the guest agent is not connected" in done.errors
    assert done.output.startswith("✓ three: ssh-ed25519 ")
    assert kept(lab) == {"three"}


def test_a_file_that_is_no_text_and_a_name_with_a_line_end_harm_nobody(tmp_path: Path) -> None:
    odd = Guest(uri="u", uuid="44444444", name="a\nssh-ed25519 BBBB")
    keys_of(odd, tmp_path).write(A)
    assert keys_of(odd, tmp_path).read() == A
    (tmp_path / "55555555.pub").write_bytes(b"\xff\xfe\n")
    keys_of(TWO, tmp_path).admit(B)
    with pytest.raises(LastcallError, match=r"a\\nssh-ed25519 BBBB"):
        keys_of(TWO, tmp_path).admit(A)


def test_keys_that_cannot_be_written_are_told_and_exit_code_4(lastcall_lab: MakeLab) -> None:
    lab = lastcall_lab()
    one = showing(lab, "db one", "AAAA").guest
    folder = lab.folder / "plugins" / "ssh"
    (folder / f"{one.file_name}.pub").mkdir(parents=True)
    done = lab.command("ssh", "enroll", "--replace", "db one")
    assert done.exit_code == 4
    assert "✗ db one: " in done.errors
    assert f"{folder}/{one.file_name}.pub cannot be written" in done.errors


ODD_FILES: dict[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a directory": Path.mkdir,
    "a link that leads in a circle": lambda path: path.symlink_to(path),
    "no text": lambda path: path.write_bytes(b"ssh-ed25519 \xff\n"),
    "larger than": lambda path: path.write_bytes(b"x" * (2 << 20)),
}


@pytest.mark.parametrize("odd", ODD_FILES)
def test_an_odd_file_among_the_keys_costs_the_guest_whose_it_is_and_no_other(tmp_path: Path, odd: str) -> None:
    keys_of(ONE, tmp_path).write(A)
    file = tmp_path / f"{TWO.file_name}.pub"
    ODD_FILES[odd](file)
    keys_of(ONE, tmp_path).verify(A[0])
    keys_of(Guest(uri="u", uuid="4", name="four"), tmp_path).admit(B)
    with pytest.raises(ShellRefused, match=odd) as caught:
        keys_of(TWO, tmp_path).verify(B[0])
    assert str(file) in str(caught.value)
    assert caught.value.remedy.endswith("; then lastcall ssh enroll copy")
    assert str(file) in caught.value.remedy


def test_guests_of_two_daemons_with_one_uuid_have_host_keys_of_their_own(tmp_path: Path) -> None:
    elsewhere = Guest(uri="qemu+ssh://other/system", uuid=ONE.uuid, name="db one")
    keys_of(elsewhere, tmp_path).write(B)
    with pytest.raises(ShellRefused, match="is that of db one, too") as caught:
        keys_of(ONE, tmp_path).verify(B[0])
    assert "db one (qemu+ssh://other/system)" in caught.value.remedy
    keys_of(ONE, tmp_path).write(A)
    keys_of(ONE, tmp_path).verify(A[0])
    keys_of(elsewhere, tmp_path).verify(B[0])


def test_the_keys_of_jump_hosts_are_those_of_lines_that_name_them_as_they_are_or_hashed(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    hashed = paramiko.HostKeys.hash_host("[gate]:2222")
    lines = [
        "# a comment", "gate,192.0.2.1 ssh-ed25519 AAAA", f"{hashed} ssh-ed25519 BBBB", "@revoked gate ssh-rsa CCCC",
        "gate", "|1|x|y ssh-rsa DDDD", "gateway ssh-rsa EEEE",
    ]  # fmt: skip
    file.write_text("\n".join(lines))
    assert keys_of_host(file, "gate") == keys_of_host(file, "192.0.2.1") == A
    assert keys_of_host(file, "[gate]:2222") == B
    assert keys_of_host(file, "other") == []


@pytest.mark.parametrize("odd", [odd for odd in ODD_FILES if odd != "larger than"])
def test_an_odd_file_of_known_hosts_is_told_with_its_remedy(tmp_path: Path, odd: str) -> None:
    ODD_FILES[odd](tmp_path / "known_hosts")
    with pytest.raises(ShellRefused, match=f"jump host gate is not known: .*{odd}") as caught:
        keys_of_host(tmp_path / "known_hosts", "gate")
    assert str(tmp_path / "known_hosts") in caught.value.remedy
